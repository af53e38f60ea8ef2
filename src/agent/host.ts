import { readFileSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { hostname, release, totalmem } from 'node:os';
import { FleetError } from '../core/kernel/index.js';
import type { Host } from '../protocol/node/index.js';

/** What this machine is, in the words of the protocol. Throws `config_invalid` on other platforms. */
export function describeHost(labels: Readonly<Record<string, string>>): Host {
  const { platform, arch } = process;
  if ((platform !== 'linux' && platform !== 'darwin') || (arch !== 'x64' && arch !== 'arm64')) {
    throw new FleetError('config_invalid', `${platform}/${arch} is not supported`);
  }
  return {
    os: platform,
    arch,
    hostname: hostname().slice(0, 255) || 'unknown',
    kernel: release().slice(0, 255),
    memory_bytes: totalmem(),
    labels: { ...labels },
  };
}

/** Changes at every boot of the machine; `unknown` where the system does not tell. */
export function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim().slice(0, 64) || 'unknown';
  } catch {
    return 'unknown';
  }
}

/** 0 when the file system does not answer. */
export async function freeBytes(dir: string): Promise<number> {
  try {
    const { bavail, bsize } = await statfs(dir);
    return bavail * bsize;
  } catch {
    return 0;
  }
}
