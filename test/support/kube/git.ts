import { execFileSync } from 'node:child_process';

const ENV = {
  PATH: process.env['PATH'],
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_COMMITTER_NAME: 'a spec',
  GIT_COMMITTER_EMAIL: 'spec@example.com',
  GIT_AUTHOR_NAME: 'a spec',
  GIT_AUTHOR_EMAIL: 'spec@example.com',
};

/** The real git in one folder, whatever is configured on this machine; gives what it prints. */
export const gitIn =
  (folder: string) =>
  (words: readonly string[], input = ''): string =>
    execFileSync('git', ['-C', folder, ...words], { env: ENV, input, stdio: 'pipe' }).toString();
