import { gzipSync } from 'node:zlib';
import { pack, type Header } from 'tar-stream';

export interface Entry extends Partial<Header> {
  readonly name: string;
  readonly content?: string | Buffer;
}

/** A tar file of exactly these entries, however ill-mannered they are. */
export async function tar(entries: Iterable<Entry>): Promise<Buffer> {
  const packing = pack();
  const chunks: Buffer[] = [];
  const read = (async (): Promise<void> => {
    for await (const chunk of packing) chunks.push(chunk as Buffer);
  })();
  for (const { content = '', ...header } of entries) packing.entry(header, content);
  packing.finalize();
  await read;
  return Buffer.concat(chunks);
}

export const tarGz = async (entries: Iterable<Entry>): Promise<Buffer> =>
  gzipSync(await tar(entries));
