import { mkdir, readdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { replaceFile, syncDirectory } from '../durable-files.js';
import {
  checksum,
  lineOf,
  parseSegment,
  parseSegmentName,
  segmentName,
  type SpoolRecord,
} from './segment.js';

/** What is known of a segment without reading it again. */
export interface Segment {
  name: string;
  /** The number its name carries: no record in it, or after it, has a lower one. */
  readonly firstSeq: number;
  /** Of its last record; `firstSeq - 1` when it holds none. */
  lastSeq: number;
  /** The numbers it holds: one run, unless some were damaged or dropped. */
  runs: Run[];
  bytes: number;
  hasInfo: boolean;
}

/** Both ends belong to it. */
export interface Run {
  readonly from: number;
  to: number;
}

function runsOf(records: readonly SpoolRecord[]): Run[] {
  const runs: Run[] = [];
  for (const { seq } of records) {
    const last = runs.at(-1);
    if (last !== undefined && last.to === seq - 1) last.to = seq;
    else runs.push({ from: seq, to: seq });
  }
  return runs;
}

export interface FoundSpool {
  readonly id: string;
  /** Oldest first; never empty: the last one is written to. */
  readonly segments: Segment[];
  /** Ids of the newest records, oldest first, with their numbers. */
  readonly ids: readonly (readonly [string, number])[];
  /** Up to where the manager had acknowledged, as far as that was written down; 0 if not. */
  readonly acked: number;
  /** Numbers were given that are not here any more: they must not be given to other events. */
  readonly isNumberingLost: boolean;
  /** What had to be mended, in words; null when nothing was. */
  readonly recovered: string | null;
}

const ID_FILE = 'spool-id';
const ACKED_FILE = 'acked';
const SPOOL_ID = /^spl_[0-9a-z]{6,40}$/;

export function newSpoolId(): string {
  const alphabet = '0123456789abcdefghijklmnopqrstuvwxyz';
  return `spl_${[...randomBytes(20)].map((byte) => alphabet[byte % 36]).join('')}`;
}

export const describe = (
  name: string,
  firstSeq: number,
  records: readonly SpoolRecord[],
  bytes: number,
): Segment => ({
  name,
  firstSeq,
  lastSeq: records.at(-1)?.seq ?? firstSeq - 1,
  runs: runsOf(records),
  bytes,
  hasInfo: records.some((record) => record.event.severity === 'info'),
});

export async function createSegment(
  folder: string,
  spoolId: string,
  firstSeq: number,
): Promise<Segment> {
  const name = segmentName(spoolId, firstSeq);
  await writeFile(join(folder, name), '', { flag: 'wx', mode: 0o640 });
  await syncDirectory(folder);
  return describe(name, firstSeq, [], 0);
}

/** Replaces the content of a segment as a whole; durable when it resolves. */
export async function rewriteSegment(
  folder: string,
  segment: Segment,
  records: readonly SpoolRecord[],
): Promise<Segment> {
  const text = records.map(lineOf).join('');
  await replaceFile(join(folder, segment.name), text);
  return describe(segment.name, segment.firstSeq, records, Buffer.byteLength(text));
}

export const writeSpoolId = (folder: string, id: string): Promise<void> =>
  replaceFile(join(folder, ID_FILE), `${id}\n`);

/**
 * Notes an acknowledgement. Not synced: it only spares work, the manager tells it again in every
 * `welcome`.
 */
export async function writeAcked(folder: string, id: string, through: number): Promise<void> {
  const text = `${id} ${through}`;
  const temporary = join(folder, `${ACKED_FILE}.tmp`);
  await writeFile(temporary, `${checksum(text)} ${text}\n`, { mode: 0o640 });
  await rename(temporary, join(folder, ACKED_FILE));
}

async function readAcked(folder: string, id: string): Promise<number> {
  const line = await readFile(join(folder, ACKED_FILE), 'utf8').catch(() => '');
  const text = line.slice(9).trimEnd();
  const [owner, through] = text.split(' ');
  return line.slice(0, 8) === checksum(text) && owner === id ? Number(through) : 0;
}

/**
 * Opens the folder: makes it if need be, cuts a torn end, sets a damaged file aside while keeping
 * each of its good lines, and removes what an interrupted renewal left. Throws only what the file
 * system throws.
 */
export async function findSpool(folder: string, rememberedMax: number): Promise<FoundSpool> {
  await mkdir(folder, { recursive: true, mode: 0o750 });
  const mended: string[] = [];
  const names = (await readdir(folder)).sort();
  for (const name of names.filter((one) => one.endsWith('.tmp'))) {
    await rm(join(folder, name), { force: true });
  }
  const id = await findId(folder, names, mended);
  const segments: Segment[] = [];
  const ids: (readonly [string, number])[] = [];
  let isEndLost = false;
  for (const name of names) {
    const parsed = parseSegmentName(name);
    if (parsed === null) continue;
    if (parsed.spoolId !== id) {
      // Of a renewal that was cut short before it removed the old files.
      await rm(join(folder, name), { force: true });
      continue;
    }
    const found = await mend(folder, { name, firstSeq: parsed.firstSeq, mended });
    segments.push(found.segment);
    isEndLost = found.isEndLost;
    for (const record of found.records) ids.push([record.id, record.seq]);
    if (ids.length > 2 * rememberedMax) ids.splice(0, ids.length - rememberedMax);
  }
  if (segments.length === 0) segments.push(await createSegment(folder, id, 1));
  const acked = await readAcked(folder, id);
  const isNumberingLost = isEndLost || acked > (segments.at(-1)?.lastSeq ?? 0);
  if (isNumberingLost) mended.push('its last numbers were lost, so it was begun anew');
  const recovered = mended.length > 0 ? mended.join('; ') : null;
  return { id, segments, ids, acked, isNumberingLost, recovered };
}

async function findId(folder: string, names: readonly string[], mended: string[]): Promise<string> {
  const text = await readFile(join(folder, ID_FILE), 'utf8').catch((error: unknown) => {
    if ((error as { code?: string }).code === 'ENOENT') return null;
    throw error;
  });
  const stored = text?.trim() ?? '';
  if (SPOOL_ID.test(stored)) return stored;
  const inNames = new Set(names.flatMap((name) => parseSegmentName(name)?.spoolId ?? []));
  const [only] = inNames;
  if (text !== null || inNames.size > 0) mended.push('the id of the spool was lost');
  // Segments carry the id too; only when they disagree is it unknowable, and a new one is taken.
  const id = inNames.size === 1 && only !== undefined ? only : newSpoolId();
  if (inNames.size > 1) {
    for (const name of names) {
      if (parseSegmentName(name) !== null) await setAside(folder, name);
    }
  }
  await writeSpoolId(folder, id);
  return id;
}

async function setAside(folder: string, name: string): Promise<void> {
  await rename(join(folder, name), join(folder, `${name}.damaged`));
}

async function mend(
  folder: string,
  file: { readonly name: string; readonly firstSeq: number; readonly mended: string[] },
): Promise<{ segment: Segment; records: readonly SpoolRecord[]; isEndLost: boolean }> {
  const { name, firstSeq, mended } = file;
  const path = join(folder, name);
  const bytes = await readFile(path);
  const { records, goodBytes, condition } = parseSegment(bytes);
  const fits = records.filter((record) => record.seq >= firstSeq);
  const isDamaged = condition === 'damaged' || condition === 'damaged_end';
  const isEndLost = condition === 'damaged_end';
  if (isDamaged || fits.length < records.length) {
    mended.push(`${name} was damaged: ${fits.length} events of it were saved, it was set aside`);
    await writeFile(`${path}.damaged`, bytes, { mode: 0o640 });
    const segment = await rewriteSegment(folder, describe(name, firstSeq, [], 0), fits);
    return { segment, records: fits, isEndLost };
  }
  // Nothing behind the last whole line was ever promised to anybody.
  if (condition === 'torn') await truncate(path, goodBytes);
  return { segment: describe(name, firstSeq, records, goodBytes), records, isEndLost };
}
