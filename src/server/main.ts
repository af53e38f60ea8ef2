#!/usr/bin/env node
/**
 * Starts the manager from its environment, or does a command on what it keeps. Nothing else is imported up here: an old Node must be
 * told so in words before it meets a native module that makes it crash.
 */
const NODE_MAJOR_MIN = 24;
/** EX_CONFIG of sysexits.h: the service manager need not try again. */
const EXIT_CONFIG = 78;

const major = Number(process.versions.node.split('.')[0]);
if (major < NODE_MAJOR_MIN) {
  process.stderr.write(
    `Bellwether needs Node ${NODE_MAJOR_MIN} or newer; this is Node ${process.versions.node}.\n` +
      'Start it with `npm start`: the right Node is installed beside it.\n',
  );
  process.exit(EXIT_CONFIG);
} else {
  const [, , ...args] = process.argv;
  const { runMaintenance, runManager } = await import('./run.js');
  await (args.length === 0 ? runManager() : runMaintenance(args));
}

export {};
