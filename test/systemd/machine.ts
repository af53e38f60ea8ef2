import { spawnSync } from 'node:child_process';

/** Runs systemctl in this machine and gives what it printed; throws its words when it fails. */
export function systemctl(...args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync('systemctl', args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`systemctl ${args.join(' ')}: ${stderr}`);
  return stdout.trim();
}

/** One property of a unit. */
export const show = (unit: string, property: string): string =>
  systemctl('show', '--value', `--property=${property}`, unit);

export const journal = (unit: string): string =>
  spawnSync('journalctl', ['--no-pager', '-b', '-o', 'cat', '-u', unit], { encoding: 'utf8' })
    .stdout;
