#!/usr/bin/env node
// Nothing else is imported before the version is known: an older Node would fail on it with a
// message that helps nobody.
const NODE_MAJOR_MIN = 24;
const major = Number(process.versions.node.split('.')[0]);

if (major < NODE_MAJOR_MIN) {
  console.error(
    `bellwether-agent: needs Node ${NODE_MAJOR_MIN} or newer; this is ${process.versions.node}`,
  );
  process.exitCode = 1;
} else {
  const { main } = await import('./command-line.js');
  process.exitCode = await main(process.argv.slice(2), process.env);
}

export {};
