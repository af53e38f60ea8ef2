import { stat } from 'node:fs/promises';
import { FleetError } from '../../core/kernel/index.js';
import { Channel, parseManifest, seenOn, type Manifest } from '../../core/release/index.js';
import type { Answer } from '../../protocol/api/index.js';
import type { Client } from '../client.js';
import { usageError } from '../command.js';
import { readReleaseFolder } from './folder.js';

/** A release, wherever it was found. */
export interface Found {
  readonly manifest: Manifest;
  readonly signatures: number;
  /** As the manager has it; null for a folder. */
  readonly known: Answer<'releases.show'> | null;
}

const NAMED = /^([a-z][a-z0-9-]{0,62})@([^/]{1,64})(?:\/(stable|beta|dev))?$/;

/** What `show`, `diff`, `promote` and `yank` take. */
export const REFERENCE_NOTE =
  'REF is a folder, an id (rel_...), or PRODUCT@VERSION, with /CHANNEL when it is on several.';

/** Whether a reference is a folder on this machine. */
export const isFolder = (reference: string): Promise<boolean> =>
  stat(reference).then(
    (about) => about.isDirectory(),
    () => false,
  );

/** Finds a release by a folder, or in the manager. Throws `not_found`, `cli_usage`. */
export async function findRelease(
  reference: string,
  connected: () => Promise<Client>,
): Promise<Found> {
  if (await isFolder(reference)) {
    const { manifest, signatures } = await readReleaseFolder(reference);
    return { manifest, signatures: signatures.length, known: null };
  }
  const client = await connected();
  const id = await idOf(reference, client);
  const known = await client.call('releases.show', { params: { id } });
  const parsed = parseManifest(Buffer.from(known.manifest, 'utf8'));
  if (!parsed.ok) throw new FleetError('manager_answer_invalid', parsed.error.message);
  return { manifest: parsed.value, signatures: known.signatures.length, known };
}

/** The id of a release in the manager. Of one that is on several channels, that of the widest. */
export async function idOf(reference: string, client: Client): Promise<string> {
  if (/^rel_[a-z0-9]{1,40}$/.test(reference)) return reference;
  const [, product, version, channel] = NAMED.exec(reference) ?? [];
  if (product === undefined || version === undefined) {
    throw usageError(`${reference} is no release`, REFERENCE_NOTE);
  }
  const wanted = channel === undefined ? {} : { channel: Channel.parse(channel) };
  const { items } = await client.call('releases.list', {
    query: { product, version, ...wanted, limit: 10 },
  });
  const byWidth = seenOn('dev');
  const [widest] = items.sort((a, b) => byWidth.indexOf(a.channel) - byWidth.indexOf(b.channel));
  if (widest === undefined) throw new FleetError('not_found', `no release ${reference}`);
  return widest.id;
}
