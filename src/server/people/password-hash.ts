import { argon2, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { normalPassword } from '../../core/people/index.js';
import { FleetError } from '../../core/kernel/index.js';

/**
 * Argon2id as the OWASP Password Storage Cheat Sheet advises: 19 MiB, two passes, one lane. Stored
 * with each hash (PHC string format), so that they can be raised: see `isOutdated`.
 */
const MEMORY_KIB = 19_456;
const PASSES = 2;
const LANES = 1;
const TAG_BYTES = 32;
const SALT_BYTES = 16;
/** Each takes a core and 19 MiB for some 30 ms: a flood must not take the machine. */
const AT_ONCE_MAX = 2;
const WAITING_MAX = 64;

const PHC = /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,3}),p=(\d{1,2})\$([\w+/-]+)\$([\w+/-]+)$/;

const derive = promisify(argon2);

interface Cost {
  readonly memory: number;
  readonly passes: number;
  readonly parallelism: number;
}
const COST: Cost = { memory: MEMORY_KIB, passes: PASSES, parallelism: LANES };
const paramsOf = ({ memory, passes, parallelism }: Cost): string =>
  `m=${memory},t=${passes},p=${parallelism}`;

let running = 0;
const waiting: (() => void)[] = [];

/** Throws `rate_limited` when too many wait already. */
async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  if (running >= AT_ONCE_MAX) {
    if (waiting.length >= WAITING_MAX) {
      throw new FleetError('rate_limited', 'too many people sign in at once', {
        context: { retry_after_seconds: 1 },
      });
    }
    await new Promise<void>((resolve) => waiting.push(resolve));
  } else running += 1;
  try {
    return await work();
  } finally {
    const next = waiting.shift();
    if (next === undefined) running -= 1;
    else next();
  }
}

const tagOf = (password: string, nonce: Buffer, cost: Cost, tagLength: number): Promise<Buffer> =>
  inTurn(() =>
    derive('argon2id', {
      message: normalPassword(password),
      nonce,
      tagLength,
      ...cost,
    }),
  );

const text = (bytes: Uint8Array): string =>
  Buffer.from(bytes).toString('base64').replace(/=+$/, '');

/** The PHC string of a password. Throws `rate_limited` when too many hashes are asked for at once. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(SALT_BYTES);
  const tag = await tagOf(password, salt, COST, TAG_BYTES);
  return `$argon2id$v=19$${paramsOf(COST)}$${text(salt)}$${text(tag)}`;
}

/** Of no password: what is compared against when there is no user, so that it takes as long. */
const NOBODY = `$argon2id$v=19$${paramsOf(COST)}$${text(Buffer.alloc(SALT_BYTES, 7))}$${text(Buffer.alloc(TAG_BYTES))}`;

/**
 * Whether it is the password of the hash. With `null` the answer is no, after the same work: the
 * time does not tell whether a user exists. A hash that cannot be read is refused.
 */
export async function isPassword(password: string, hash: string | null): Promise<boolean> {
  const [, memory, passes, parallelism, salt = '', tag = ''] = PHC.exec(hash ?? NOBODY) ?? [];
  const cost = { memory: Number(memory), passes: Number(passes), parallelism: Number(parallelism) };
  const wanted = Buffer.from(tag, 'base64');
  if (wanted.length === 0) return false;
  const given = await tagOf(password, Buffer.from(salt, 'base64'), cost, wanted.length);
  return timingSafeEqual(given, wanted) && hash !== null;
}

/** Whether a hash was made with other parameters than a new one would be. */
export const isOutdated = (hash: string): boolean =>
  !hash.startsWith(`$argon2id$v=19$${paramsOf(COST)}$`);
