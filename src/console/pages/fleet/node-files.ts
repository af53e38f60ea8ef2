/**
 * The two files of a node that decide about one service: what runs there (`agent.toml`), and whose signatures count
 * (`policy.toml`). Written here only to be copied: no message of the manager can put them onto a node.
 */

/** Who signed a release, as far as a policy can name it. */
export type KnownSigner =
  | { readonly kind: 'minisign'; readonly keyId: string }
  | { readonly kind: 'sigstore'; readonly issuer: string; readonly identity: string }
  | { readonly kind: 'unknown' };

export interface WantedService {
  readonly product: string;
  /** Its install root, absolute. */
  readonly root: string;
  /** `child`: the agent runs the program `exec` of the release. `systemd`: the unit `bellwether-svc@<product>`. */
  readonly driver: 'child' | 'systemd';
  readonly exec: string;
  /** `NAME=value`, one a line; of a `child`. */
  readonly env: string;
  /** Asked whether it is well; empty: it counts as well while it runs. */
  readonly healthUrl: string;
}

export const AGENT_FILE = '/etc/bellwether/agent.toml';
export const rootOf = (product: string): string => `/opt/bellwether/${product}`;

/** As TOML writes a text of one line. */
const quoted = (text: string): string => JSON.stringify(text);

/** `NAME=value`, one a line, as pairs; null: a line is none. */
export function envIn(text: string): readonly (readonly [name: string, value: string])[] | null {
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== '');
  const pairs = lines.map((line) => {
    const [, name = '', value = ''] = /^\s*([A-Za-z_]\w*)=(.*)$/.exec(line) ?? [];
    return [name, value.trim()] as const;
  });
  const names = new Set(pairs.map(([name]) => name));
  return names.has('') || names.size < pairs.length ? null : pairs;
}

/** To be put at the end of `agent.toml`. */
export function agentLines({ product, root, driver, exec, env, healthUrl }: WantedService): string {
  const url = healthUrl.trim();
  const pairs = (envIn(env) ?? []).map(([name, value]) => `${name} = ${quoted(value)}`);
  return [
    '[[services]]',
    `name = ${quoted(product)}`,
    `product = ${quoted(product)}`,
    `root = ${quoted(root)}`,
    `driver = ${quoted(driver)}`,
    ...(driver === 'child' ? [`exec = ${quoted(exec.trim())}`] : []),
    ...(driver === 'child' && pairs.length > 0 ? [`env = { ${pairs.join(', ')} }`] : []),
    url === '' ? 'health = { kind = "none" }' : `health = { kind = "http", url = ${quoted(url)} }`,
    '',
  ].join('\n');
}

/** Algorithm (2), key id (8), Ed25519 key (32). */
const PUBLIC_KEY_BYTES = 42;

/** The line of a minisign public key in what was pasted (the line, or the whole file), with its id; null: there is none. */
export function publicKeyIn(text: string): { readonly key: string; readonly keyId: string } | null {
  const key = text.trim().split(/\r?\n/).at(-1)?.trim() ?? '';
  let bytes: string;
  try {
    bytes = atob(key);
  } catch {
    return null;
  }
  if (bytes.length !== PUBLIC_KEY_BYTES || !bytes.startsWith('Ed')) return null;
  // As minisign prints it: a little-endian number.
  const keyId = Array.from(bytes.slice(2, 10), (letter) =>
    letter.charCodeAt(0).toString(16).padStart(2, '0'),
  ).toReversed();
  return { key, keyId: keyId.join('').toUpperCase() };
}

const WORKFLOW = /^(https:\/\/[^/]+\/[^/]+\/[^/]+)\/(.+)@(refs\/(heads|tags)\/.+)$/;

/** A workflow that signs each version from a tag of its own is meant by all tags of that form. */
const refOf = (ref: string): string =>
  ref.startsWith('refs/tags/') ? ref.replace(/\d[\w.+-]*$/, '*') : ref;

function signerLines(
  signer: KnownSigner,
  index: number,
  keys: ReadonlyMap<string, string>,
): string[] {
  const name = `name = ${quoted(index === 0 ? 'release pipeline' : `release pipeline ${index + 1}`)}`;
  if (signer.kind === 'sigstore') {
    const [, repository, workflow, ref] = WORKFLOW.exec(signer.identity) ?? [];
    if (repository === undefined || workflow === undefined || ref === undefined) return [];
    return [
      '[[signers]]',
      name,
      'kind = "sigstore"',
      `issuer = ${quoted(signer.issuer)}`,
      `repository = ${quoted(repository)}`,
      `workflow = ${quoted(workflow)}`,
      `ref = ${quoted(refOf(ref))}`,
    ];
  }
  if (signer.kind === 'unknown') return [];
  const key = keys.get(signer.keyId);
  return [
    '[[signers]]',
    name,
    ...(key === undefined
      ? [`# the public key with the id ${signer.keyId}, from its .pub file`]
      : []),
    `public_key = ${quoted(key ?? `PUT THE KEY ${signer.keyId} HERE`)}`,
  ];
}

/** How a new version is judged, besides by who signed it. */
export interface Judged {
  readonly channel: string;
  /** How long it is watched after it was started, before it stays. */
  readonly watchSecs: number;
}
export const WATCH_SECS = 120;

/**
 * The whole `policy.toml` of the install root. A key that is not in `keys` (by its id) is left to be filled in; until
 * then the node refuses the file, and with it every release.
 */
export function policyText(
  signers: readonly KnownSigner[],
  keys: ReadonlyMap<string, string>,
  { channel, watchSecs }: Judged,
): string {
  const blocks = signers.map((signer, index) => signerLines(signer, index, keys));
  return [
    'enabled = true',
    `allowed_channels = [${quoted(channel)}]`,
    `boot_health_window_secs = ${watchSecs}   # it has to be well for so long before it stays`,
    'threshold = 1   # how many of the signers must have signed',
    ...blocks.filter((lines) => lines.length > 0).flatMap((lines) => ['', ...lines]),
    '',
  ].join('\n');
}

export interface PolicyDraft {
  readonly text: string;
  /** Keys that signed the newest release. */
  readonly wantedIds: readonly string[];
  /** Of the key that was pasted; null: what was pasted is none. */
  readonly givenId: string | null;
  /** The key that was pasted did not sign that release. */
  readonly isStranger: boolean;
}

/** Before the first release nobody is known: some key of the pipeline has to stand there. */
const SOME_KEY: readonly KnownSigner[] = [{ kind: 'minisign', keyId: 'OF YOUR PIPELINE' }];

/** A policy for the signers of a release (none: there is no release yet) and the public key that was pasted. */
export function draftPolicy(
  signers: readonly KnownSigner[],
  pasted: string,
  judged: Judged,
): PolicyDraft {
  const given = publicKeyIn(pasted);
  const wantedIds = signers.flatMap((one) => (one.kind === 'minisign' ? [one.keyId] : []));
  if (given === null) {
    const listed = signers.length === 0 ? SOME_KEY : signers;
    const text = policyText(listed, new Map(), judged);
    return { text, wantedIds, givenId: null, isStranger: false };
  }
  const isStranger = wantedIds.length > 0 && !wantedIds.includes(given.keyId);
  const own: readonly KnownSigner[] = [{ kind: 'minisign', keyId: given.keyId }];
  const listed = isStranger || signers.length === 0 ? own : signers;
  const text = policyText(listed, new Map([[given.keyId, given.key]]), judged);
  return { text, wantedIds, givenId: given.keyId, isStranger };
}
