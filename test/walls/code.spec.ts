import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { FORBIDDEN_CODE } from './planted.js';
import { plantedTree } from './tree.js';

interface LintResult {
  readonly filePath: string;
  readonly messages: readonly { readonly ruleId: string | null }[];
}

/** `npm run check` lints the real tree; here the linter itself is put to the test. */
describe('the linter', () => {
  it('finds forbidden code, by every rule that guards a wall', { timeout: 120_000 }, async () => {
    const tree = plantedTree(FORBIDDEN_CODE);
    try {
      const found = await lint(
        tree.path,
        FORBIDDEN_CODE.map(({ file }) => file),
      );
      const missed = FORBIDDEN_CODE.filter(({ rule, file }) => {
        const of = found.find(({ filePath }) => filePath === join(tree.path, file));
        return of?.messages.some(({ ruleId }) => ruleId === rule) !== true;
      });
      expect(missed).toEqual([]);
    } finally {
      tree.remove();
    }
  });
});

async function lint(root: string, files: readonly string[]): Promise<readonly LintResult[]> {
  const words = ['--config', 'test/walls/eslint.config.mjs', '--format', 'json', ...files];
  const bin = join(root, 'node_modules/.bin/eslint');
  const run = promisify(execFile)(bin, words, { cwd: root, maxBuffer: 64 * 1024 * 1024 });
  // It leaves with 1 when it found something, which here it must.
  const { stdout } = await run.catch((error: unknown) => error as { stdout: string });
  return JSON.parse(stdout) as readonly LintResult[];
}
