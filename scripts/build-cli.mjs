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
import { buildProgram } from './one-file.mjs';

await buildProgram({ name: 'bellwether', entry: 'src/cli/main.ts' });
