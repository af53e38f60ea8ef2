import { z } from 'zod';
import { FleetError } from '../../core/kernel/index.js';
import { Sha256 } from '../../core/release/index.js';
import type { Answer } from '../../protocol/api/index.js';
import type { Client } from '../client.js';
import { usageError, type Command } from '../command.js';
import { connect, MANAGER_OPTIONS, OUTPUT_OPTION, show } from '../connection.js';
import { bytesInWords, progressOf, type Terminal } from '../terminal.js';
import {
  artifactPath,
  checkArtifact,
  filesOf,
  readReleaseFolder,
  type NamedFile,
  type ReleaseFolder,
} from './folder.js';

type Release = Answer<'releases.publish'>;

export const publish: Command = {
  name: 'release publish',
  summary: 'upload artifacts and deltas, and publish the signed manifest',
  operands: ['DIR'],
  options: {
    draft: { help: 'only store it, for others to look at and sign; nodes do not see it' },
    ...MANAGER_OPTIONS,
    ...OUTPUT_OPTION,
  },
  notes: [
    'Safe to repeat: what the manager holds already is not sent again, and an upload that broke off',
    'goes on where it stopped.',
  ],
  run: async (given, terminal) => {
    const release = await readReleaseFolder(given.operand(0));
    const draft = given.isSet('draft');
    if (release.signatures.length === 0 && !draft) {
      throw usageError(
        `${release.folder} holds no signature`,
        'Sign it first: `bellwether release sign --key FILE DIR`.',
      );
    }
    const client = await connect(given, terminal);
    const published = await publishWhole(client, { release, draft }, terminal);
    show(
      given,
      terminal,
      published,
      ({ id, product, version, channel }) =>
        `${draft ? 'drafted' : 'published'} ${product} ${version} on ${channel} as ${id}\n`,
    );
  },
};

/**
 * Asks first and uploads what the manager then says is missing, so that a repeated run costs one
 * question. A second refusal for a missing artifact is told as it is.
 */
async function publishWhole(
  client: Client,
  { release, draft }: { readonly release: ReleaseFolder; readonly draft: boolean },
  terminal: Terminal,
): Promise<Release> {
  const body = {
    draft,
    manifest: release.manifestBytes.toString('utf8'),
    signatures: release.signatures.map(({ text }) => text),
  };
  let missing: Set<string>;
  try {
    return await client.call('releases.publish', { body });
  } catch (error) {
    missing = missingOf(error);
  }
  for (const artifact of filesOf(release)) {
    if (missing.delete(artifact.sha256)) await uploadOne(client, release, { artifact, terminal });
  }
  return client.call('releases.publish', { body });
}

const Missing = z.object({ missing: z.array(z.object({ sha256: Sha256 })) });

/** The digests that the manager misses; whatever else went wrong is thrown on. */
function missingOf(error: unknown): Set<string> {
  if (!(error instanceof FleetError) || error.code !== 'release_artifact_missing') throw error;
  const told = Missing.safeParse(error.context);
  if (!told.success) throw error;
  return new Set(told.data.missing.map(({ sha256 }) => sha256));
}

async function uploadOne(
  client: Client,
  release: ReleaseFolder,
  { artifact, terminal }: { readonly artifact: NamedFile; readonly terminal: Terminal },
): Promise<void> {
  const { file, sha256, size } = artifact;
  // A damaged file is found here, with its name, and not after minutes of sending.
  await checkArtifact(release, artifact);
  const progress = progressOf(terminal, `uploading ${file}`, size);
  try {
    const path = artifactPath(release, artifact);
    await client.upload({
      path,
      sha256,
      size,
      onSent: (bytes) => {
        progress.at(bytes);
      },
    });
    progress.done(`uploaded ${file}: ${bytesInWords(size)}`);
  } catch (error) {
    progress.stop();
    throw error;
  }
}
