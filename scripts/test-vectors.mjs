// Runs `bellwether release verify-bundle` over a folder of cases: one folder each, refused when its name
// ends in `_fail` and accepted otherwise. Laid out as test/vectors/sigstore, whose README tells how.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const ISSUER = 'https://token.actions.githubusercontent.com';
const IDENTITY =
  'https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main';

const folder = process.argv[2] ?? join(ROOT, 'test/vectors/sigstore');
const cases = existsSync(folder)
  ? readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory())
  : [];
if (cases.length === 0) {
  console.error(`no case in ${folder}`);
  process.exit(2);
}

let wrong = 0;
for (const { name } of cases) {
  const own = (file, other) => {
    const path = join(folder, name, file);
    return existsSync(path) ? path : join(folder, other);
  };
  const key = join(folder, name, 'key.pub');
  const who = existsSync(key)
    ? ['--key', key]
    : ['--certificate-identity', IDENTITY, '--certificate-oidc-issuer', ISSUER];
  const { status, stderr } = spawnSync(
    process.execPath,
    [
      join(ROOT, 'dist/src/cli/main.js'),
      ...['release', 'verify-bundle', '--bundle', join(folder, name, 'bundle.sigstore.json')],
      ...['--trusted-root', own('trusted_root.json', 'public-good-trusted-root.json')],
      ...who,
      own('artifact', 'a.txt'),
    ],
    { encoding: 'utf8' },
  );
  const isRight = status === (name.endsWith('_fail') ? 1 : 0);
  if (!isRight) wrong += 1;
  const what = status === 0 ? 'accepted' : `refused: ${stderr.trim().split('\n')[0]}`;
  console.log(`${isRight ? 'right' : 'WRONG'}  ${name}  ${what}`);
}
console.log(`${cases.length - wrong} right, ${wrong} wrong`);
process.exit(wrong === 0 ? 0 : 1);
