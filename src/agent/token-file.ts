import { open } from 'node:fs/promises';

/** A token has below 100 characters; a file of more is another file. */
const TOKEN_BYTES_MAX = 4_096;
const OPTION = '--token-file';

/** What cannot be used of the given option; its message never holds anything of the token. */
export class TokenFileError extends Error {}

/**
 * The arguments with `--token-file FILE` (`-` for standard input) replaced by `--token` and what is
 * in there. A token on the command line can be read by everybody on the machine, in the list of
 * processes; this one exists in the memory of this process alone. Throws TokenFileError.
 */
export async function withTokenFrom(argv: readonly string[]): Promise<string[]> {
  const at = argv.findIndex((word) => word === OPTION || word.startsWith(`${OPTION}=`));
  if (at < 0) return [...argv];
  const word = argv[at] ?? '';
  const isJoined = word !== OPTION;
  const path = isJoined ? word.slice(OPTION.length + 1) : (argv[at + 1] ?? '');
  const rest = [...argv.slice(0, at), ...argv.slice(at + (isJoined ? 1 : 2))];
  if (path === '') throw new TokenFileError(`${OPTION} needs a file, or - for standard input`);
  if (rest.some((other) => /^--token(-file)?(=|$)/.test(other))) {
    throw new TokenFileError('one token is enough: give --token-file alone, and once');
  }
  return [...rest, `--token=${await readToken(path)}`];
}

async function readToken(path: string): Promise<string> {
  const name = path === '-' ? 'standard input' : path;
  const bytes = await readBounded(path === '-' ? '/dev/stdin' : path).catch((error: unknown) => {
    throw new TokenFileError(
      `${name} cannot be read (${String((error as { code?: string }).code)})`,
    );
  });
  const token = bytes.toString('utf8').trim();
  if (token === '') throw new TokenFileError(`${name} is empty: it should hold one token`);
  if (bytes.length > TOKEN_BYTES_MAX || /\s/.test(token)) {
    throw new TokenFileError(`${name} holds more than one token`);
  }
  return token;
}

/** At most one byte more than fits, so that too much is seen and no more of it is read. */
async function readBounded(path: string): Promise<Buffer> {
  const file = await open(path, 'r');
  try {
    const bytes = Buffer.alloc(TOKEN_BYTES_MAX + 1);
    let length = 0;
    while (length < bytes.length) {
      const { bytesRead } = await file.read(bytes, length, bytes.length - length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    return bytes.subarray(0, length);
  } finally {
    await file.close();
  }
}
