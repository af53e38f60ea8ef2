import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { extract as tarExtract } from 'tar-stream';
import { safePath } from './extract.js';
import type { KeptArchive } from './kept-archives.js';

/** What differs is told for so many files; more of them are one cause. */
const TOLD_MAX = 20;

async function digestOf(stream: AsyncIterable<Buffer>): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of stream) hash.update(chunk);
  return hash.digest('hex');
}

/**
 * Compares an installed tree with the archive that was kept of it: the digest of the archive's content is
 * that of the signed manifest, and each file in it lies in the tree with the same bytes. Answers what
 * differs; nothing, when all is as it was signed. Reads in bounded memory and changes nothing.
 */
export async function compareWithArchive(kept: KeptArchive, tree: string): Promise<string[]> {
  const problems: string[] = [];
  const content = createHash('sha256');
  const archive = tarExtract();
  const plain = kept.format === 'tar' ? new PassThrough() : createGunzip();
  const counted = async function* (stream: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of stream) {
      content.update(chunk);
      yield chunk;
    }
  };
  const done = pipeline(createReadStream(kept.path), plain, counted, archive);
  done.catch(() => undefined);
  try {
    for await (const entry of archive) {
      const { name, type } = entry.header;
      if (type !== 'file' && type !== 'contiguous-file') {
        entry.resume();
        continue;
      }
      const signed = await digestOf(entry as AsyncIterable<Buffer>);
      const path = join(tree, safePath(name));
      const there = await digestOf(createReadStream(path)).catch(() => null);
      if (there === signed || problems.length >= TOLD_MAX) continue;
      problems.push(`${path} ${there === null ? 'is missing' : 'was changed'}`);
    }
    await done;
  } catch (error) {
    return [...problems, `${kept.path} is damaged: ${(error as Error).message}`];
  }
  if (content.digest('hex') !== kept.sha256) problems.push(`${kept.path} is not what was signed`);
  return problems;
}
