import { FleetError } from '../../core/kernel/index.js';
import type { Given, OptionSpec } from '../command.js';
import { nearest } from '../nearest.js';
import type { Terminal } from '../terminal.js';
import { readConfig, type Config, type ContextEntry } from './store.js';

export type Context = ContextEntry & { readonly name: string };

export const CONTEXT_OPTION: Readonly<Record<string, OptionSpec>> = {
  context: {
    value: 'NAME',
    help: 'a context that `login` wrote (or BELLWETHER_CONTEXT; else the one in use)',
  },
};

/** One that must be there. Throws `not_found`, with the nearest name. */
export function contextOf(config: Config, name: string): Context {
  if (name === '') {
    throw new FleetError('not_found', 'no context is in use', {
      context: { fix: 'Sign in with `bellwether login`, or take one with `context use`.' },
    });
  }
  const entry = Object.hasOwn(config.contexts, name) ? config.contexts[name] : undefined;
  if (entry !== undefined) return { ...entry, name };
  const near = nearest(name, Object.keys(config.contexts));
  const fix =
    near === null
      ? 'See `bellwether context list`.'
      : `Did you mean ${near}? See \`context list\`.`;
  throw new FleetError('not_found', `there is no context ${name}`, { context: { fix } });
}

/** Which context is meant by name: the option, else the environment, else the one in use. */
export const contextNamed = (given: Given, terminal: Terminal): string | null =>
  given.optional('context') ?? (terminal.env['BELLWETHER_CONTEXT'] || null);

/** The context that is meant; null when none is, or `mayBeNew` and it is not there yet. */
export async function readContext(
  given: Given,
  terminal: Terminal,
  mayBeNew = false,
): Promise<Context | null> {
  const named = contextNamed(given, terminal);
  // Whoever says where and who needs no file: a pipeline may have no home.
  const isComplete =
    named === null &&
    (given.optional('manager') ?? terminal.env['BELLWETHER_MANAGER']) !== undefined &&
    (given.optional('token-file') ?? terminal.env['BELLWETHER_TOKEN']) !== undefined;
  if (isComplete) return null;
  const config = await readConfig(terminal);
  const name = named ?? config.current;
  if (name === null || (mayBeNew && !Object.hasOwn(config.contexts, name))) return null;
  return contextOf(config, name);
}
