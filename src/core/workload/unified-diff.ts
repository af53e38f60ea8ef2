import { createHash } from 'node:crypto';
import { ok, refuse, type Refusal, type Result } from '../kernel/index.js';

/** Lines around a change, as git shows them. */
const CONTEXT = 3;
const PATH_MAX = 200;
const SEGMENT = /^[A-Za-z0-9_][A-Za-z0-9._-]*$/;

/**
 * Where a file of a repository may lie: below its root, and nowhere where a dot begins a name, for there
 * stands what runs by itself (`.git`, `.github`).
 */
export function repositoryPath(text: string): Result<string, Refusal<'workload_unsupported'>> {
  const isGood = text.length <= PATH_MAX && text.split('/').every((part) => SEGMENT.test(part));
  if (isGood) return ok(text);
  const shown = text.slice(0, 100);
  return refuse('workload_unsupported', `"${shown}" is no path of a file in a repository`);
}

/** A file before and after; null: it is not there. */
export interface FileChange {
  readonly path: string;
  readonly before: string | null;
  readonly after: string | null;
}

/**
 * The change of one file as `git diff` writes it and `git apply` takes it, with the ids of both blobs, so
 * that a merge by three ways can find them. One hunk from the first line that differs to the last. Empty
 * where nothing differs.
 */
export function unifiedDiff({ path, before, after }: FileChange): string {
  if (before === after) return '';
  const mode = before === null ? 'new file mode' : after === null ? 'deleted file mode' : null;
  const ids = `index ${blobId(before)}..${blobId(after)}`;
  const head = [
    `diff --git a/${path} b/${path}`,
    ...(mode === null ? [`${ids} 100644`] : [`${mode} 100644`, ids]),
  ];
  const hunk = hunkOf(linesOf(before), linesOf(after));
  if (hunk === '') return `${head.join('\n')}\n`;
  const from = before === null ? '/dev/null' : `a/${path}`;
  const to = after === null ? '/dev/null' : `b/${path}`;
  return `${[...head, `--- ${from}`, `+++ ${to}`].join('\n')}\n${hunk}`;
}

/** Each with what ends it; the last may have nothing. */
const linesOf = (text: string | null): string[] =>
  text === null || text === '' ? [] : text.split(/(?<=\n)/);

function hunkOf(before: readonly string[], after: readonly string[]): string {
  const shorter = Math.min(before.length, after.length);
  let start = 0;
  while (start < shorter && before[start] === after[start]) start += 1;
  let end = 0;
  while (end < shorter - start && before.at(-1 - end) === after.at(-1 - end)) end += 1;
  if (start === before.length && start === after.length) return '';
  const from = Math.max(0, start - CONTEXT);
  const tail = Math.max(0, end - CONTEXT);
  const range = (lines: readonly string[]): string => {
    const count = lines.length - tail - from;
    return `${count === 0 ? from : from + 1},${count}`;
  };
  return [
    `@@ -${range(before)} +${range(after)} @@\n`,
    ...before.slice(from, start).map((line) => written(' ', line)),
    ...before.slice(start, before.length - end).map((line) => written('-', line)),
    ...after.slice(start, after.length - end).map((line) => written('+', line)),
    ...before.slice(before.length - end, before.length - tail).map((line) => written(' ', line)),
  ].join('');
}

const written = (sign: string, line: string): string =>
  line.endsWith('\n') ? `${sign}${line}` : `${sign}${line}\n\\ No newline at end of file\n`;

/** As git names what a file holds. */
function blobId(text: string | null): string {
  if (text === null) return '0'.repeat(40);
  const bytes = Buffer.from(text, 'utf8');
  return createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
}

const ZERO = '0'.repeat(40);
const oneLine = (text: string): string => text.replace(/\p{C}+/gu, ' ').slice(0, 200);

/** A diff as a mail, as `git format-patch` writes it, `git am` takes it, and `git apply` too. */
export function mailOf(
  diff: string,
  said: {
    readonly from: string;
    readonly at: Date;
    readonly subject: string;
    readonly body: string;
  },
): string {
  return [
    `From ${ZERO} Mon Sep 17 00:00:00 2001`,
    `From: ${oneLine(said.from)}`,
    `Date: ${said.at.toUTCString().replace('GMT', '+0000')}`,
    `Subject: [PATCH] ${oneLine(said.subject)}`,
    '',
    oneLine(said.body),
    '---',
    '',
    `${diff}-- `,
    'bellwether',
    '',
  ].join('\n');
}
