import { access } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { FleetError } from '../core/kernel/index.js';
import { CONFIG_FILE, problemsOf, ReachSettings, readConfig } from './config.js';
import type { Enrollment } from './enroll.js';
import { reachFrom } from './reach-config.js';

interface Options {
  readonly dir: string;
  readonly manager?: string | undefined;
  readonly 'manager-url'?: readonly string[] | undefined;
  readonly 'manager-ca-file'?: string | undefined;
  readonly 'manager-pin'?: readonly string[] | undefined;
  readonly 'https-proxy'?: string | undefined;
}

/**
 * How an enrollment reaches the manager: as the options say, else as an `agent.toml` that is there
 * already, else as the environment. Throws `config_invalid`.
 */
export async function settingsFor(
  options: Options,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Pick<Enrollment, 'reach' | 'settings' | 'managerUrls'>> {
  const { dir } = options;
  const file = options['manager-ca-file'];
  const given = Object.entries({
    manager_urls: options['manager-url'],
    manager_ca_file: file === undefined ? undefined : resolve(file),
    manager_pins: options['manager-pin'],
    https_proxy: options['https-proxy'],
  }).filter(([, value]) => value !== undefined);
  const parsed = ReachSettings.safeParse(Object.fromEntries(given));
  if (!parsed.success) throw new FleetError('config_invalid', problemsOf(parsed.error));
  const isThere = await access(join(dir, CONFIG_FILE)).then(
    () => true,
    () => false,
  );
  const known = isThere ? await readConfig(dir) : {};
  const all = { ...known, ...parsed.data };
  const settings = Object.fromEntries(given) as Enrollment['settings'] & object;
  return { reach: await reachFrom(dir, all, env), settings, managerUrls: all.manager_urls };
}
