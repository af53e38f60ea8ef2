// Builds what is shipped of the command line, from its sources, into one folder:
//
//   bellwether.mjs           one plain JavaScript file, for a Node 24 that is there already
//   linux-x64/, linux-arm64/ the executable, which needs nothing else, its licence and those in it
//   packages.json            the third-party code in it: name and version
//   SHA256SUMS               of all of that
//
//   node scripts/build-cli.mjs [--out DIR] [--js-only]
//
// The same commit gives the same bytes; how, and on which runtime, is told in one-file.mjs.
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { bundle, compile, fail, notices, root, RUNTIMES, runtimeFor, sums } from './one-file.mjs';

const { values } = parseArgs({
  options: { out: { type: 'string' }, 'js-only': { type: 'boolean', default: false } },
});
const out = resolve(values.out ?? join(root, 'dist', 'bellwether'));
rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
const js = join(out, 'bellwether.mjs');
const packages = await bundle({ entry: 'src/cli/main.ts', outfile: js });
const listed = packages.map(({ name, version, license }) => ({ name, version, license }));
writeFileSync(join(out, 'packages.json'), `${JSON.stringify(listed, null, 2)}\n`);
if (!values['js-only']) {
  const compiler = runtimeFor(RUNTIMES[process.arch] ?? fail(`no runtime for ${process.arch}`));
  for (const arch of Object.keys(RUNTIMES)) {
    const folder = join(out, `linux-${arch}`);
    mkdirSync(folder);
    compile(js, { arch, to: join(folder, 'bellwether'), compiler });
    cpSync(join(root, 'LICENSE'), join(folder, 'LICENSE'));
    writeFileSync(join(folder, 'THIRD-PARTY.txt'), notices(packages));
  }
}
writeFileSync(join(out, 'SHA256SUMS'), sums(out));
console.log(out);
