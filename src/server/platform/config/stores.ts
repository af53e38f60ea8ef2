import { z } from 'zod';

/** What an address of PostgreSQL may ask for behind the `?`; anything else would be overlooked. */
const POSTGRES_WORDS = ['sslmode', 'sslrootcert', 'host'];
const SSL_MODES = ['disable', 'require', 'verify-ca', 'verify-full'];
/** More would not answer sooner. */
const SENTINELS_MAX = 16;

const urlOf = (text: string, ...schemes: string[]): URL | null => {
  const url = URL.canParse(text) ? new URL(text) : null;
  return url !== null && schemes.includes(url.protocol) ? url : null;
};

export function isPostgresUrl(text: string): boolean {
  const url = urlOf(text, 'postgres:', 'postgresql:');
  if (url === null || url.hash !== '') return false;
  const words = [...url.searchParams.keys()];
  const mode = url.searchParams.get('sslmode') ?? 'disable';
  const isKnown = words.every((word) => POSTGRES_WORDS.includes(word)) && SSL_MODES.includes(mode);
  return isKnown && new Set(words).size === words.length;
}

/** Host, perhaps a port, a login and a number of the database; nothing that would be overlooked. */
export function isRedisUrl(text: string): boolean {
  const url = urlOf(text, 'redis:', 'rediss:');
  if (url === null) return false;
  const { hostname, pathname, search, hash, username, password } = url;
  const isPlain = hostname !== '' && /^\/?\d{0,4}$/.test(pathname) && `${search}${hash}` === '';
  return isPlain && !/%(?![0-9a-f]{2})/i.test(`${username}${password}`);
}

const SENTINEL = /^([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):([1-9]\d{0,4})$/;

const isSentinel = (text: string): boolean => {
  const port = Number(SENTINEL.exec(text)?.[2] ?? 0);
  return port >= 1 && port <= 65_535;
};

const namesIn = (text: string): string[] => text.split(',').map((one) => one.trim());

/** Some of the variables of both stores; the rows of the README are held against those of `config.ts`. */
export const StoresEnvironment = {
  sentinels: z
    .string()
    .refine(
      (text) => namesIn(text).length <= SENTINELS_MAX && namesIn(text).every(isSentinel),
      'give host:port of each sentinel with commas between, such as 10.0.0.1:26379,10.0.0.2:26379',
    )
    .optional(),
} as const;

export const sentinelsOf = (text: string): readonly string[] => (text === '' ? [] : namesIn(text));

type Given = Readonly<Record<string, string | undefined>>;

/** What does not fit together. */
export const problemsOfStores = (given: Given): string[] => [
  ...problemsOfRedis(given),
  ...problemsOfPostgres(given),
];

function problemsOfRedis(given: Given): string[] {
  const problems: string[] = [];
  const address = given['REDIS_URL'] ?? '';
  if (given['BELLWETHER_REDIS_CA_FILE'] !== undefined && !address.startsWith('rediss:')) {
    problems.push(
      'BELLWETHER_REDIS_CA_FILE: give REDIS_URL as rediss://, or leave this one out; without TLS ' +
        'nobody proves anything',
    );
  }
  const others = ['BELLWETHER_REDIS_SENTINELS', 'BELLWETHER_REDIS_PASSWORD_FILE'];
  for (const name of others.filter((one) => address === '' && given[one] !== undefined)) {
    problems.push(`${name}: REDIS_URL is needed too, or leave this one out`);
  }
  if (given['BELLWETHER_REDIS_SENTINELS'] === undefined) {
    if (given['BELLWETHER_REDIS_SENTINEL_PASSWORD_FILE'] !== undefined) {
      problems.push(
        'BELLWETHER_REDIS_SENTINEL_PASSWORD_FILE: name the sentinels too, or leave this one out',
      );
    }
  } else if (urlOf(address, 'redis:', 'rediss:')?.port !== '') {
    problems.push(
      'BELLWETHER_REDIS_SENTINELS: the host in REDIS_URL is then the name that the sentinels know, ' +
        'such as redis://mymaster; they say the port',
    );
  }
  const isTwice = urlOf(address, 'redis:', 'rediss:')?.password !== '' && address !== '';
  if (isTwice && given['BELLWETHER_REDIS_PASSWORD_FILE'] !== undefined) {
    problems.push('BELLWETHER_REDIS_PASSWORD_FILE: the password is in REDIS_URL already');
  }
  return problems;
}

function problemsOfPostgres(given: Given): string[] {
  const problems: string[] = [];
  const address = given['DATABASE_URL'] ?? '';
  const files = ['BELLWETHER_DATABASE_PASSWORD_FILE', 'BELLWETHER_DATABASE_CA_FILE'];
  for (const name of files.filter((one) => address === '' && given[one] !== undefined)) {
    problems.push(`${name}: DATABASE_URL is needed too, or leave this one out`);
  }
  const url = urlOf(address, 'postgres:', 'postgresql:');
  if (url === null) return problems;
  if (url.password !== '' && given['BELLWETHER_DATABASE_PASSWORD_FILE'] !== undefined) {
    problems.push('BELLWETHER_DATABASE_PASSWORD_FILE: the password is in DATABASE_URL already');
  }
  if (given['BELLWETHER_DATABASE_CA_FILE'] === undefined) return problems;
  if (url.searchParams.get('sslmode') === 'disable') {
    problems.push(
      'BELLWETHER_DATABASE_CA_FILE: take sslmode=disable out of DATABASE_URL; without TLS nobody proves anything',
    );
  }
  if (url.searchParams.has('sslrootcert')) {
    problems.push('BELLWETHER_DATABASE_CA_FILE: DATABASE_URL names an sslrootcert already');
  }
  return problems;
}
