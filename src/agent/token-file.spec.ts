import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { makeTempDir } from '../../test/support/databases.js';
import { withTokenFrom } from './token-file.js';

describe('--token-file', () => {
  const dir = makeTempDir();
  afterAll(() => dir.remove());
  const fileWith = (name: string, content: string): string => {
    const path = join(dir.path, name);
    writeFileSync(path, content);
    return path;
  };

  it('takes the token from the file, without its end of line', async () => {
    const path = fileWith('good', 'bwe_secret\n');
    const wanted = ['enroll', '--name', 'n', '--token=bwe_secret'];
    expect(await withTokenFrom(['enroll', '--token-file', path, '--name', 'n'])).toEqual(wanted);
    expect(await withTokenFrom(['enroll', `--token-file=${path}`, '--name', 'n'])).toEqual(wanted);
  });

  it('leaves everything else alone', async () => {
    expect(await withTokenFrom(['run', '--dir', '/x'])).toEqual(['run', '--dir', '/x']);
    expect(await withTokenFrom(['enroll', '--token', 't'])).toEqual(['enroll', '--token', 't']);
  });

  it.each([
    ['no file', ['--token-file'], 'needs a file'],
    ['an empty name', ['--token-file='], 'needs a file'],
    ['a file that is not there', ['--token-file', '/nonexistent/token'], 'ENOENT'],
    ['a folder', ['--token-file', '/'], 'EISDIR'],
    ['a second token', ['--token-file', '/x', '--token', 'y'], 'one token is enough'],
    ['a second file', ['--token-file', '/x', '--token-file', '/y'], 'one token is enough'],
  ])('refuses %s', async (_what, argv, says) => {
    await expect(withTokenFrom(['enroll', ...argv])).rejects.toThrow(says);
  });

  it.each([
    ['nothing', ' \n', 'is empty'],
    ['two tokens', 'one\ntwo\n', 'more than one'],
    ['far too much', 'x'.repeat(5_000), 'more than one'],
  ])('refuses a file with %s', async (name, content, says) => {
    const path = fileWith(name.replaceAll(' ', '-'), content);
    await expect(withTokenFrom(['enroll', '--token-file', path])).rejects.toThrow(says);
  });
});
