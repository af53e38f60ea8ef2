import { HOOK_NAMES, type UpdateHooks } from '../supervisor/index.js';
import { programAt } from '../updater/index.js';

/**
 * What would keep a hook from being run, one line each: its program is missing, cannot be run, or could
 * be changed by others. The same look is taken again each time before one is run.
 */
export async function problemsOfHooks(hooks: UpdateHooks): Promise<string[]> {
  const problems: string[] = [];
  for (const name of HOOK_NAMES) {
    const program = hooks[name]?.command[0];
    if (program === undefined) continue;
    const found = await programAt(program);
    if ('problem' in found) problems.push(`hook ${name}: ${program} ${found.problem}`);
  }
  return problems;
}
