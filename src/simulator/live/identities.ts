import { readFile, writeFile } from 'node:fs/promises';
import { z } from 'zod';
import { Id } from '../../protocol/node/index.js';

/** One enrolled node: its id, and the 32 bytes of which its Ed25519 key is made. */
const Identity = z.strictObject({
  id: Id,
  name: z.string().min(1).max(128),
  key: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
});
export type Identity = z.infer<typeof Identity>;

const IdentityFile = z.strictObject({
  schema: z.literal('bellwether.simulated-nodes.v1'),
  /** The origin that their tokens are for. */
  manager: z.string().max(2_048),
  group_id: Id,
  nodes: z.array(Identity).min(1).max(200_000),
});
export type IdentityFile = z.infer<typeof IdentityFile>;

/** Null when there is no such file. Throws when it is another manager's, or none of ours. */
export async function readIdentities(path: string, origin: string): Promise<IdentityFile | null> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  const read = IdentityFile.safeParse(JSON.parse(text));
  if (!read.success) throw new Error(`${path} is no file of simulated nodes`);
  if (read.data.manager === origin) return read.data;
  throw new Error(
    `the nodes of ${path} are enrolled with ${read.data.manager}, not with ${origin}`,
  );
}

/** For the owner alone: it holds private keys. */
export const writeIdentities = (path: string, file: IdentityFile): Promise<void> =>
  writeFile(path, `${JSON.stringify(file)}\n`, { mode: 0o600 });
