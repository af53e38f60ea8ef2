import { copyFile, link, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { FleetError } from '../../core/kernel/index.js';
import {
  Channel,
  judgePromotion,
  manifestBytes,
  parseManifest,
  type Manifest,
} from '../../core/release/index.js';
import { usageError, type Command } from '../command.js';
import { connect, MANAGER_OPTIONS } from '../connection.js';
import { writeNew } from '../new-file.js';
import { whole } from '../values.js';
import { MANIFEST_FILE } from './folder.js';
import { findRelease, isFolder, REFERENCE_NOTE } from './reference.js';

export const promote: Command = {
  name: 'release promote',
  summary: 'write the manifest of a release for a wider channel, to be signed',
  operands: ['REF'],
  options: {
    channel: { value: 'C', help: 'beta or stable; wider than before', isRequired: true },
    sequence: { value: 'N', help: 'higher than before', isRequired: true },
    out: { value: 'DIR', help: 'folder for it; must not hold a release yet', isRequired: true },
    ...MANAGER_OPTIONS,
  },
  notes: [
    REFERENCE_NOTE,
    'A signature is for one channel, so the new manifest wants new ones: sign and publish DIR. The',
    'artifacts stay the same; those of a folder are put beside it, others the manager has already.',
  ],
  run: async (given, terminal) => {
    const reference = given.operand(0);
    const { manifest } = await findRelease(reference, () => connect(given, terminal));
    const next: Manifest = {
      ...manifest,
      channel: given.need('channel', Channel),
      sequence: given.need('sequence', whole(1, Number.MAX_SAFE_INTEGER)),
    };
    const verdict = judgePromotion([manifest], next);
    if (!verdict.ok) throw new FleetError(verdict.error.code, verdict.error.message);
    const bytes = Buffer.from(manifestBytes(next));
    const parsed = parseManifest(bytes);
    if (!parsed.ok) throw usageError(parsed.error.message);
    const folder = given.text('out');
    await mkdir(folder, { recursive: true });
    await writeNew(join(folder, MANIFEST_FILE), bytes, 0o644);
    if (await isFolder(reference)) await takeFiles(reference, folder, next);
    terminal.out(`${join(folder, MANIFEST_FILE)}\n`);
  },
};

/** As links where that can be had, so that nothing is there twice. */
async function takeFiles(from: string, to: string, manifest: Manifest): Promise<void> {
  for (const { file } of [...manifest.artifacts, ...(manifest.deltas ?? [])]) {
    const target = join(to, file);
    await rm(target, { force: true });
    await link(join(from, file), target).catch(() => copyFile(join(from, file), target));
  }
}
