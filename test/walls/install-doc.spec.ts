import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ROOT } from './tree.js';

const page = readFileSync(join(ROOT, 'docs/install.md'), 'utf8');
const script = readFileSync(join(ROOT, 'deploy/install.sh'), 'utf8');
const usage = script.slice(script.indexOf("cat <<'END'"), script.indexOf('\nEND\n'));

/** Followed literally it is by `npm run test:systemd`; this holds on every machine. */
it('docs/install.md gives install.sh only options that it has', () => {
  const calls = [...page.matchAll(/^.*\bsh \S*install\.sh (.*)$/gm)].map(([, words = '']) => words);
  expect(calls.length).toBeGreaterThanOrEqual(6);
  const used = calls.flatMap((words) => words.match(/--[a-z-]+/g) ?? []);
  expect(
    used.filter((option) => !usage.includes(`${option} `) && !usage.includes(`[${option}`)),
  ).toEqual([]);
});

it('docs/install.md tells the exit codes that install.sh has', () => {
  const [, given = ''] = /^(DONE=.*)$/m.exec(script) ?? [];
  const codes = [...given.matchAll(/=(\d)/g)].map(([, code]) => code);
  const told = [...page.matchAll(/^\| (\d) \|/gm)].map(([, code]) => code);
  expect(told).toEqual(codes);
});
