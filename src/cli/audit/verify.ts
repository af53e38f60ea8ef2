import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import {
  CHECKPOINT_BYTES_MAX,
  compareHistories,
  ExportVerifier,
  parseVerifier,
  trustedCheckpoint,
  verifyFile,
  type Checkpoint,
  type NoteVerifier,
} from '../../core/audit/index.js';
import { FleetError, type Refusal, type Result } from '../../core/kernel/index.js';
import { AuditConsistency } from '../../protocol/api/index.js';
import { usageError, type Command, type Given, type OptionSpec } from '../command.js';
import { plain } from '../output/index.js';

/** A proof of 64 hashes with its sizes stays far below. */
const SMALL_FILE_BYTES_MAX = 16 * 1_024;

const KEY_OPTION: Readonly<Record<string, OptionSpec>> = {
  'public-key': {
    value: 'KEY',
    help: 'verifier key of the log: the line itself, or a file with it',
    isRequired: true,
  },
};

export const verifyAudit: Command = {
  name: 'audit verify',
  summary: 'check an export of the audit log against checkpoints, offline',
  operands: ['EXPORT'],
  options: {
    checkpoint: {
      value: 'FILE',
      help: 'a checkpoint; the largest says where the export must end',
      isRequired: true,
      isMultiple: true,
    },
    ...KEY_OPTION,
    segment: {
      value: 'FILE',
      help: 'a sealed segment before the export, oldest first',
      isMultiple: true,
    },
  },
  notes: [
    'Asks nobody and trusts nothing but the key. Finds any entry that was changed, dropped, added or moved',
    'since the checkpoint, and a log that was cut. With several checkpoints it says between which of them.',
    'Exit code 0 when all is as it was signed, 1 when it is not, 2 when the command was wrong.',
  ],
  run: async (given, terminal) => {
    const key = await keyOf(given);
    const checkpoints: Checkpoint[] = [];
    for (const path of given.list('checkpoint')) checkpoints.push(await readCheckpoint(path, key));
    sameSizesAgree(checkpoints);
    const verifier = new ExportVerifier(checkpoints);
    for (const path of [...given.list('segment'), given.operand(0)]) {
      required(await checkedFile(verifier, path), path);
    }
    const { first, last } = required(verifier.end(), given.operand(0));
    const sizes = checkpoints.map(({ size }) => size).sort((a, b) => a - b);
    const what = first > last ? 'The log is empty' : `Entries ${first} to ${last}`;
    terminal.out(
      `${what}: as signed by ${plain(key.name)} at ${sizes.join(', ')} entries.\n` +
        (first > 1 ? `Entries 1 to ${first - 1} lie in files that were not given.\n` : ''),
    );
  },
};

export const compareCheckpoints: Command = {
  name: 'audit compare',
  summary: 'say whether two checkpoints tell one history, offline',
  operands: ['ONE', 'OTHER'],
  options: {
    ...KEY_OPTION,
    proof: { value: 'FILE', help: 'consistency proof, for checkpoints of two sizes' },
  },
  notes: [
    'Two signed checkpoints that do not fit are proof that the manager keeps two histories, or rewrote',
    'the one: exit code 1 with `audit_history_forked`. The proof comes from `bellwether audit consistency`.',
  ],
  run: async (given, terminal) => {
    const key = await keyOf(given);
    const one = await readCheckpoint(given.operand(0), key);
    const other = await readCheckpoint(given.operand(1), key);
    const file = given.optional('proof');
    const proof = file === undefined ? null : await readProof(file, one, other);
    required(compareHistories(one, other, proof), `${given.operand(0)}, ${given.operand(1)}`);
    const [small, large] = [one.size, other.size].sort((a, b) => a - b);
    terminal.out(`One history: the log of ${large ?? 0} entries holds that of ${small ?? 0}.\n`);
  },
};

/** What a rule says, or its refusal as an error that names the file. */
function required<T>(result: Result<T, Refusal>, where: string): T {
  if (result.ok) return result.value;
  throw new FleetError(result.error.code, `${where}: ${plain(result.error.message)}`);
}

/** A line that no export has is a broken export, not a mistake of ours. */
async function checkedFile(verifier: ExportVerifier, path: string): Promise<Result<void, Refusal>> {
  try {
    return await verifyFile(verifier, createReadStream(path));
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new FleetError('audit_verification_failed', `${path}: ${error.message}`);
  }
}

async function readText(path: string): Promise<string> {
  const { size } = await stat(path);
  if (size > SMALL_FILE_BYTES_MAX) throw usageError(`${path} is too long for what it should be`);
  return readFile(path, 'utf8');
}

async function keyOf(given: Given): Promise<NoteVerifier> {
  const said = given.text('public-key');
  const line = parseVerifier(said).ok ? said : await readText(said);
  const key = parseVerifier(line);
  if (!key.ok) throw usageError(`--public-key: ${key.error.message}`);
  return key.value;
}

async function readCheckpoint(path: string, key: NoteVerifier): Promise<Checkpoint> {
  const text = await readText(path);
  if (Buffer.byteLength(text) > CHECKPOINT_BYTES_MAX) throw usageError(`${path} is no checkpoint`);
  return required(trustedCheckpoint(text, key), path);
}

/** Before anything is read: two roots of one size are the plainest proof there is. */
function sameSizesAgree(checkpoints: readonly Checkpoint[]): void {
  for (const one of checkpoints) {
    const other = checkpoints.find(({ size, root }) => size === one.size && !root.equals(one.root));
    if (other !== undefined) required(compareHistories(one, other, null), 'checkpoints');
  }
}

async function readProof(path: string, one: Checkpoint, other: Checkpoint): Promise<Buffer[]> {
  let json: unknown;
  try {
    json = JSON.parse(await readText(path));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  const read = AuditConsistency.safeParse(json);
  const [from, to] = [one.size, other.size].sort((a, b) => a - b);
  if (!read.success) throw usageError(`--proof ${path} is no consistency proof`);
  if (read.data.from !== from || read.data.to !== to) {
    throw usageError(`--proof ${path} is from ${read.data.from} to ${read.data.to}, not these two`);
  }
  return read.data.path.map((hash) => Buffer.from(hash, 'base64'));
}
