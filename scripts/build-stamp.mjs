// What the build was made of, as one digest: it stands in `dist` beside what was built. Plain JavaScript for any
// Node from 20 on, as with-setup.mjs.
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

export const buildStamp = join(root, 'dist', '.bellwether-build');

export const stampOf = (path) => (existsSync(path) ? readFileSync(path, 'utf8') : '');

export const hashOf = (paths) => {
  const hash = createHash('sha256');
  for (const path of paths)
    hash.update(path.slice(root.length)).update('\0').update(readFileSync(path));
  return hash.digest('hex');
};

export const filesUnder = (folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort();

export const buildHash = () =>
  hashOf([
    join(root, 'tsconfig.json'),
    join(root, 'package-lock.json'),
    ...[...filesUnder(join(root, 'src')), ...filesUnder(join(root, 'migrations'))].filter(
      (path) =>
        path.endsWith('.ts') && !path.endsWith('.spec.ts') && !path.includes('/src/console/'),
    ),
  ]);

/** Whether `dist` holds what the sources of this moment give. */
export const isBuilt = () => stampOf(buildStamp) === buildHash();
