// Builds what is shipped of the operator, from its sources, into one folder:
//
//   bellwether-operator.mjs  one plain JavaScript file, for a Node 24 that is there already: that of its container image
//   packages.json            the third-party code in it: name and version
//   THIRD-PARTY.txt          its licences
//   SHA256SUMS               of all of that
//
//   node scripts/build-operator.mjs [--out DIR]
//
// The same commit gives the same bytes. There are no executables: it runs in a container, which brings Node.
import { buildProgram } from './one-file.mjs';

await buildProgram({
  name: 'bellwether-operator',
  entry: 'src/operator/main.ts',
  hasExecutables: false,
});
