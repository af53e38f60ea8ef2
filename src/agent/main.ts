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
  await import('./runtime/plain-schemas.js');
  const { EXIT, main } = await import('./command-line.js');
  const { TokenFileError, withTokenFrom } = await import('./token-file.js');
  try {
    process.exitCode = await main(await withTokenFrom(process.argv.slice(2)), process.env);
  } catch (error) {
    if (!(error instanceof TokenFileError)) throw error;
    console.error(`bellwether-agent: ${error.message}`);
    process.exitCode = EXIT.usage;
  }
}

export {};
