import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** An install root with one version in it, for specs of drivers. */
export function makeDriverRoot(): {
  readonly root: string;
  /** Makes a shell program what `current` holds. */
  install(program: string): void;
  remove(): Promise<void>;
} {
  const root = mkdtempSync(join(tmpdir(), 'bellwether-driver-'));
  return {
    root,
    install: (program) => {
      const place = join(root, 'versions', '1.0.0');
      mkdirSync(place, { recursive: true });
      writeFileSync(join(place, 'run'), `#!/bin/sh\n${program}\n`);
      chmodSync(join(place, 'run'), 0o755);
      rmSync(join(root, 'current'), { force: true });
      symlinkSync(join('versions', '1.0.0'), join(root, 'current'));
    },
    remove: () => {
      rmSync(root, { recursive: true, force: true });
      return Promise.resolve();
    },
  };
}
