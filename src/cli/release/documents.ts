import { readFile } from 'node:fs/promises';
import { type z } from 'zod';
import { toIso } from '../../core/kernel/index.js';
import {
  Channel,
  ChannelIndex,
  documentBytes,
  documentDigest,
  DowngradePermit,
  parseDocument,
  PolicyUpdate,
  ProductName,
  Version,
} from '../../core/release/index.js';
import type { Answer } from '../../protocol/api/index.js';
import { usageError, type Command, type Given, type OptionSpec } from '../command.js';
import {
  connect,
  ITEMS_OPTIONS,
  MANAGER_OPTIONS,
  OUTPUT_OPTION,
  show,
  showRows,
} from '../connection.js';
import { writeNew } from '../new-file.js';
import { type Column } from '../output/index.js';
import type { Terminal } from '../terminal.js';
import { present, Span, whole } from '../values.js';
import { readReleaseFolder } from './folder.js';
import { readDocument } from './signable.js';

const Sequence = whole(1, Number.MAX_SAFE_INTEGER);
/** An index has to be signed anew before it ends: often enough to be noticed, not every night. */
const INDEX_VALID_SECONDS = 7 * 86_400;
const PERMIT_VALID_SECONDS = 86_400;

const MADE: Readonly<Record<string, OptionSpec>> = {
  sequence: {
    value: 'N',
    help: 'rises with each document of its kind (default: the seconds since 1970)',
  },
  valid: { value: 'SPAN', help: 'how long it counts, such as 12h or 7d' },
  out: { value: 'FILE', help: 'file to write; must not be there yet', isRequired: true },
};
const SIGN_NEXT = 'Then sign it: `bellwether release sign --key FILE DOCUMENT`';

/** The fields that every document has; the time comes from SOURCE_DATE_EPOCH where that is set. */
function issued(given: Given, terminal: Terminal, validSeconds: number) {
  const epoch = terminal.env['SOURCE_DATE_EPOCH'] ?? '';
  if (!/^\d{0,11}$/.test(epoch)) throw usageError('SOURCE_DATE_EPOCH is not a number of seconds');
  const nowMs = epoch === '' ? terminal.now() : Number(epoch) * 1000;
  const seconds = given.read('valid', Span) ?? validSeconds;
  return {
    sequence: given.read('sequence', Sequence) ?? Math.floor(nowMs / 1000),
    issued_at: toIso(nowMs),
    expires_at: toIso(nowMs + seconds * 1000),
  };
}

/** Whatever is wrong with the whole is told before a file is made. */
async function write(
  given: Given,
  terminal: Terminal,
  made: { readonly schema: z.ZodType; readonly document: Parameters<typeof documentBytes>[0] },
): Promise<void> {
  const bytes = Buffer.from(documentBytes(made.document));
  const parsed = parseDocument(made.schema, bytes, 'document');
  if (!parsed.ok) throw usageError(parsed.error.message);
  await writeNew(given.text('out'), bytes, 0o644);
  terminal.out(`${given.text('out')}\n`);
}

async function readIndex(path: string): Promise<ChannelIndex> {
  const parsed = parseDocument(ChannelIndex, (await readDocument(path)).bytes, 'channel index');
  if (!parsed.ok) throw usageError(`${path}: ${parsed.error.message}`);
  return parsed.value;
}

export const index: Command = {
  name: 'release index',
  summary: 'make a channel index: what is current, until when that counts',
  operands: ['DIR'],
  options: {
    previous: { value: 'FILE', help: 'the index before, whose kill list and floor go on' },
    floor: { value: 'N', help: 'no release with a lower sequence is installed any more' },
    ...MADE,
  },
  notes: [
    'DIR holds the release that is current. Counts for a week unless told otherwise.',
    SIGN_NEXT,
  ],
  run: async (given, terminal) => {
    const { manifest, manifestBytes } = await readReleaseFolder(given.operand(0));
    const { product, channel, version, sequence } = manifest;
    const path = given.optional('previous');
    const previous = path === undefined ? null : await readIndex(path);
    if (previous !== null && (previous.product !== product || previous.channel !== channel)) {
      throw usageError(`--previous is of ${previous.product} on ${previous.channel}`);
    }
    const document: ChannelIndex = {
      schema: 'bellwether.channel.v1',
      product,
      channel,
      ...issued(given, terminal, INDEX_VALID_SECONDS),
      current: { version, manifest_sha256: documentDigest(manifestBytes), sequence },
      floor: given.read('floor', whole(0, sequence)) ?? previous?.floor ?? 0,
      revoked: previous?.revoked ?? [],
    };
    checkRises(document, previous);
    await write(given, terminal, { schema: ChannelIndex, document });
  },
};

function checkRises(next: ChannelIndex, previous: ChannelIndex | null): void {
  if (previous === null || next.sequence > previous.sequence) return;
  throw usageError(
    `the index before has sequence ${previous.sequence}`,
    'Give a higher --sequence.',
  );
}

export const revoke: Command = {
  name: 'release revoke',
  summary: 'make the next channel index, with a release on its kill list',
  operands: ['DIR'],
  options: {
    previous: { value: 'FILE', help: 'the index before', isRequired: true },
    reason: {
      value: 'TEXT',
      help: 'why, in one line; it is shown on every node',
      isRequired: true,
    },
    ...MADE,
  },
  notes: [
    'DIR holds the release that must not run any more: all its artifacts are revoked. When it is the',
    'current one, publish another first and make an index of that. ' + SIGN_NEXT,
  ],
  run: async (given, terminal) => {
    const previous = await readIndex(given.text('previous'));
    const { manifest } = await readReleaseFolder(given.operand(0));
    if (manifest.product !== previous.product) {
      throw usageError(`DIR is of ${manifest.product}, the index of ${previous.product}`);
    }
    const { version } = manifest;
    if (version === previous.current.version) {
      throw usageError(
        `${version} is the current release of ${previous.channel}`,
        'Make an index of another release first: `bellwether release index`.',
      );
    }
    const reason = given.text('reason');
    const known = new Set(previous.revoked.map(({ sha256 }) => sha256));
    const added = [...new Set(manifest.artifacts.map(({ sha256 }) => sha256))]
      .filter((sha256) => !known.has(sha256))
      .map((sha256) => ({ version, sha256, reason }));
    const document = {
      ...previous,
      ...issued(given, terminal, INDEX_VALID_SECONDS),
      revoked: [...previous.revoked, ...added],
    };
    checkRises(document, previous);
    await write(given, terminal, { schema: ChannelIndex, document });
  },
};

export const downgradePermit: Command = {
  name: 'release downgrade-permit',
  summary: 'make a permit to go back further than nodes allow by themselves',
  operands: [],
  options: {
    product: { value: 'P', help: 'product', isRequired: true },
    channel: { value: 'C', help: 'channel of the version to go back to', isRequired: true },
    to: { value: 'V', help: 'version to go back to', isRequired: true },
    'from-min': { value: 'V', help: 'lowest version that may be left', isRequired: true },
    'from-max': { value: 'V', help: 'highest version that may be left', isRequired: true },
    node: { value: 'ID', help: 'this node only (default: every node)', isMultiple: true },
    ...MADE,
  },
  notes: ['Counts for a day unless told otherwise. ' + SIGN_NEXT],
  run: async (given, terminal) => {
    const nodes = [...given.list('node')];
    const document = {
      schema: 'bellwether.downgrade.v1' as const,
      product: given.need('product', ProductName),
      channel: given.need('channel', Channel),
      ...issued(given, terminal, PERMIT_VALID_SECONDS),
      to: given.need('to', Version),
      from: { min: given.need('from-min', Version), max: given.need('from-max', Version) },
      ...present({ node_ids: nodes.length === 0 ? undefined : nodes }),
    };
    await write(given, terminal, { schema: DowngradePermit, document });
  },
};

export const policyUpdate: Command = {
  name: 'release policy-update',
  summary: 'make an update of the local policy of a service',
  operands: ['POLICY'],
  options: {
    service: { value: 'S', help: 'service, as agent.toml names it', isRequired: true },
    product: { value: 'P', help: 'product (default: the name of the service)' },
    ...MADE,
  },
  notes: [
    'POLICY is the whole new policy.toml, with `sequence = N` in it: give the same --sequence.',
    'Sign it with keys of the policy that is in force, bring it to the node with its signatures, and run',
    '`bellwether-agent policy update FILE` there. No manager and no message can do that.',
  ],
  run: async (given, terminal) => {
    const service = given.need('service', ProductName);
    const document = {
      schema: 'bellwether.policy.v1' as const,
      service,
      product: given.read('product', ProductName) ?? service,
      ...issued(given, terminal, INDEX_VALID_SECONDS),
      policy: await readFile(given.operand(0), 'utf8'),
    };
    await write(given, terminal, { schema: PolicyUpdate, document });
  },
};

export const announce: Command = {
  name: 'release announce',
  summary: 'hand a signed channel index or downgrade permit to the manager',
  operands: ['FILE'],
  options: { ...MANAGER_OPTIONS, ...OUTPUT_OPTION },
  notes: [
    'FILE.*.minisig lie beside it. Safe to repeat. Nodes that are linked fetch it within the minute.',
  ],
  run: async (given, terminal) => {
    const { file, bytes, signatures } = await readDocument(given.operand(0));
    if (signatures.length === 0) throw usageError(`${file} is not signed`, SIGN_NEXT);
    const client = await connect(given, terminal);
    const body = {
      document: bytes.toString('utf8'),
      signatures: signatures.map(({ text }) => text),
    };
    const announced = await client.call('documents.announce', { body });
    show(given, terminal, announced, ({ kind, product, channel, sequence }) => {
      const what = kind === 'channel' ? 'index' : 'downgrade permit';
      return `announced ${what} ${sequence} of ${product} on ${channel}\n`;
    });
  },
};

type Announced = Answer<'documents.list'>['items'][number];
const COLUMNS: readonly Column<Announced>[] = [
  ['product', ({ product }) => product],
  ['channel', ({ channel }) => channel],
  ['document', ({ kind, version }) => (kind === 'channel' ? 'index' : `leave to ${version ?? ''}`)],
  ['sequence', ({ sequence }) => sequence],
  ['ends', ({ expires_at: at }) => at, 'time'],
  ['announced', ({ stored_at }) => stored_at, 'time'],
];

export const listDocuments: Command = {
  name: 'release documents',
  summary: 'the newest signed index and downgrade permit of each channel',
  operands: [],
  options: {
    product: { value: 'P', help: 'of this product only' },
    ...ITEMS_OPTIONS,
  },
  notes: [
    'An index that ends is to be signed anew before: nodes that want one stop upgrading then.',
  ],
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    const query = present({ product: given.read('product', ProductName) });
    await showRows(given, terminal, {
      load: () => client.call('documents.list', { query }),
      columns: COLUMNS,
      whenEmpty: 'nothing was announced',
    });
  },
};
