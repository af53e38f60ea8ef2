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
import { cpSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { buildProgram } from './one-file.mjs';

/**
 * Most of the agent's code runs once: it is compiled to machine code ten times later than usual. That
 * saves about 4 MB of memory; digests and decompression are the runtime's own machine code anyway.
 */
const COMPILE_LATE = '--compile-jit-policy=10';

/** Beside the executable: what the installer puts onto the node. */
function furnish(folder, deploy) {
  for (const name of ['install.sh', 'policy.toml', 'systemd']) {
    const from = join(deploy, name);
    if (existsSync(from)) cpSync(from, join(folder, name), { recursive: true });
  }
}

await buildProgram({
  name: 'bellwether-agent',
  entry: 'src/agent/main.ts',
  flags: [COMPILE_LATE],
  furnish,
});
