// Builds what is shipped of the agent, from its sources, into one folder:
//
//   bellwether-agent.mjs     one plain JavaScript file, for a Node 24 that is there already
//   linux-x64/, linux-arm64/ what a node gets: the executable, units, installer, policy to start from
//   packages.json            the third-party code in it: name and version
//   SHA256SUMS               of all of that
//
//   node scripts/build-agent.mjs [--out DIR] [--js-only]
//
// The same commit gives the same bytes, in any folder and at any time. The runtime is not among the
// packages of this project, because only this script needs it: it is fetched by npm as one archive
// whose digest is written here, and nothing in it is run before that is compared. deploy/README.md
// says why it is this runtime.
import { cpSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { bundle, compile, fail, notices, root, RUNTIMES, runtimeFor, sums } from './one-file.mjs';

/**
 * Most of the agent's code runs once: it is compiled to machine code ten times later than usual. That
 * saves about 4 MB of memory; digests and decompression are the runtime's own machine code anyway.
 */
const COMPILE_LATE = '--compile-jit-policy=10';

/** Beside the executable: what the installer puts onto the node. */
function furnish(folder, packages) {
  for (const name of ['install.sh', 'policy.toml', 'systemd']) {
    const from = join(root, 'deploy', name);
    if (existsSync(from)) cpSync(from, join(folder, name), { recursive: true });
  }
  cpSync(join(root, 'LICENSE'), join(folder, 'LICENSE'));
  writeFileSync(join(folder, 'THIRD-PARTY.txt'), notices(packages));
}

const { values } = parseArgs({
  options: { out: { type: 'string' }, 'js-only': { type: 'boolean', default: false } },
});
const out = resolve(values.out ?? join(root, 'dist', 'bellwether-agent'));
rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
const js = join(out, 'bellwether-agent.mjs');
const packages = await bundle({ entry: 'src/agent/main.ts', outfile: js });
const listed = packages.map(({ name, version, license }) => ({ name, version, license }));
writeFileSync(join(out, 'packages.json'), `${JSON.stringify(listed, null, 2)}\n`);
if (!values['js-only']) {
  const compiler = runtimeFor(RUNTIMES[process.arch] ?? fail(`no runtime for ${process.arch}`));
  for (const arch of Object.keys(RUNTIMES)) {
    const folder = join(out, `linux-${arch}`);
    mkdirSync(folder);
    compile(js, {
      arch,
      to: join(folder, 'bellwether-agent'),
      compiler,
      flags: [COMPILE_LATE],
    });
    furnish(folder, packages);
  }
}
writeFileSync(join(out, 'SHA256SUMS'), sums(out));
console.log(out);
