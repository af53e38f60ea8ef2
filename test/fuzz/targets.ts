import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse as parseToml } from 'smol-toml';
import { AgentConfig } from '../../src/agent/config.js';
import { parsePolicy } from '../../src/agent/policy-file.js';
import { lineOf, parseSegment, type SpoolEvent } from '../../src/agent/report/segment.js';
import { safeLink, safePath } from '../../src/agent/updater/extract.js';
import {
  formatVerifier,
  makeCheckpoint,
  parseCheckpoint,
  parseVerifier,
  verifierOf,
} from '../../src/core/audit/index.js';
import { DeltaDecoder } from '../../src/core/delta/index.js';
import {
  canonicalJson,
  FleetError,
  type Refusal,
  type Result,
} from '../../src/core/kernel/index.js';
import {
  ChannelIndex,
  formatPublicKey,
  Manifest,
  manifestBytes,
  parseBundle,
  parseDocument,
  parseManifest,
  parsePublicKey,
  parseSignature,
  parseTrustedRoot,
  publicKeyOf,
  signMinisign,
} from '../../src/core/release/index.js';
import { freshState, nextAction, FRESH_WATCH, UpdateState } from '../../src/core/update/index.js';
import {
  ManagerMessage,
  makeNodeToken,
  NodeMessage,
  readNodeToken,
  SyncRequest,
} from '../../src/protocol/node/index.js';
import { answerExample } from '../../src/server/platform/http/examples.js';
import { deltaStream } from '../support/release/delta.js';
import { DELTA, MANIFEST } from '../support/release/manifests.js';
import { aHello } from '../support/node-link.js';
import { ROOT } from '../walls/tree.js';
import type { Target } from './explore.js';

const { privateKey } = generateKeyPairSync('ed25519');
const text = (value: string): Buffer => Buffer.from(value, 'utf8');
const json = (value: unknown): Buffer => text(JSON.stringify(value));
const vector = (...path: readonly string[]): Buffer =>
  readFileSync(join(ROOT, 'test/vectors/sigstore', ...path));

const must = <T>(result: Result<T, Refusal>): T => {
  if (!result.ok) throw new Error(result.error.message);
  return result.value;
};
const expectThat = (isSo: boolean, what: string): void => {
  if (!isSo) throw new Error(what);
};
const verdictOf = <T>(result: Result<T, Refusal>, look?: (value: T) => void): string => {
  if (!result.ok) {
    expectThat(result.error.message.length < 100_000, 'a refusal is short enough to be told');
    return result.error.code;
  }
  look?.(result.value);
  return 'taken';
};

/** What came as JSON under a schema; what it gives is taken again and gives the same. */
const asJson =
  (schema: { safeParse(value: unknown): { success: boolean; data?: unknown } }) =>
  (bytes: Buffer): string => {
    let value: unknown;
    try {
      value = JSON.parse(bytes.toString('utf8'));
    } catch {
      return 'not JSON';
    }
    const parsed = schema.safeParse(value);
    if (!parsed.success) return 'refused';
    const again = schema.safeParse(JSON.parse(JSON.stringify(parsed.data)));
    expectThat(again.success, 'what was taken is refused when it comes back');
    const [once, twice] = [parsed.data, again.data].map((each) => JSON.stringify(each));
    expectThat(once === twice, 'what was taken means something else when it comes back');
    return 'taken';
  };

const messages = [aHello(), ...NodeMessage.options.map((option) => answerExample(option))];
const orders = ManagerMessage.options.map((option) => answerExample(option));

const manifests = [
  MANIFEST,
  { ...MANIFEST, notes: 'Faster start', compatibility: { min_from: '1.2.0' } },
  {
    ...MANIFEST,
    artifacts: MANIFEST.artifacts.map((one) => ({
      ...one,
      content: { size: 200, sha256: 'd'.repeat(64) },
    })),
    deltas: [DELTA],
  },
];

const manifest: Target = {
  name: 'manifest',
  seeds: manifests.map((one) => {
    const parsed = Manifest.safeParse(one);
    return parsed.success ? Buffer.from(manifestBytes(parsed.data)) : json(one);
  }),
  judge: (bytes) =>
    verdictOf(parseManifest(bytes), (taken) =>
      // One meaning, one spelling: otherwise two readers could see two releases.
      expectThat(Buffer.from(manifestBytes(taken)).equals(bytes), 'another spelling was taken'),
    ),
};

const POLICY = `enabled = true
allowed_channels = ["stable", "beta"]
min_version = "1.0.0"
threshold = 1
sources = ["https://mirror.example/releases/"]

[[window]]
days = ["mon", "tue"]
start = "22:00"
duration_minutes = 240
time_zone = "Europe/Berlin"

[[signers]]
name = "build"
public_key = "${formatPublicKey(publicKeyOf(privateKey)).split('\n')[1] ?? ''}"
`;
const AGENT = `manager = "https://bellwether.example"
transport = "auto"

[labels]
site = "fra"

[[services]]
name = "edge"
product = "edge"
root = "/opt/bellwether/edge"
driver = "systemd"
unit = "edge.service"

[services.health]
kind = "http"
url = "http://127.0.0.1:8080/healthz"
`;

const event = {
  category: 'upgrade',
  type: 'upgrade_started',
  severity: 'info',
  message: 'begins',
  at: '2026-11-21T08:00:00Z',
} as unknown as SpoolEvent;
const records = [1, 2, 3].map((seq) => ({ seq, id: `evt_${seq}`, event }));

const states = [
  freshState({ service: 'edge', product: 'edge', variant: 'default' }),
  {
    ...freshState({ service: 'edge', product: 'edge', variant: 'default' }),
    current: { version: '1.4.0', channel: 'stable', sequence: 14, state_schema: null },
    floors: { stable: 14 },
    generation: 3,
    answers: [{ command_id: 'cmd_000001', error_code: null, message: 'accepted' }],
  },
];

const [OLD, NEW] = [text('abcdefgh'.repeat(40)), text('abcdXfgh'.repeat(44))];
const SIZES = { oldSize: OLD.length, newSize: NEW.length };

/** Every reader of bytes that strangers, neighbours or a crash can have written. */
export const TARGETS: readonly Target[] = [
  { name: 'node message', seeds: messages.map(json), judge: asJson(NodeMessage) },
  { name: 'manager message', seeds: orders.map(json), judge: asJson(ManagerMessage) },
  {
    name: 'sync request',
    seeds: [json({ poll_id: 'pol_000001', seq: 1, messages, received: 0, wait_ms: 1_000 })],
    judge: asJson(SyncRequest),
  },
  {
    name: 'node token',
    seeds: [
      text(
        makeNodeToken({
          nodeId: 'nod_000001',
          origin: 'https://bellwether.example',
          key: privateKey,
          nowMs: Date.UTC(2026, 10, 21),
          jti: 'jti_0000000000000001',
        }),
      ),
    ],
    judge: (bytes) => verdictOf(readNodeToken(bytes.toString('utf8'))),
  },
  manifest,
  {
    name: 'channel index',
    seeds: [
      text(
        canonicalJson({
          schema: 'bellwether.channel.v1',
          product: 'edge',
          channel: 'stable',
          sequence: 4,
          issued_at: '2026-11-21T08:00:00Z',
          expires_at: '2026-12-21T08:00:00Z',
          current: { version: '1.4.0', manifest_sha256: 'a'.repeat(64), sequence: 14 },
          floor: 2,
          revoked: [{ version: '1.3.0', sha256: 'b'.repeat(64), reason: 'it loses data' }],
        }),
      ),
    ],
    judge: (bytes) => verdictOf(parseDocument(ChannelIndex, bytes, 'index')),
  },
  {
    name: 'signature',
    seeds: [text(must(signMinisign(privateKey, text('hello'), 'edge 1.4.0')))],
    judge: (bytes) => verdictOf(parseSignature(bytes.toString('utf8'))),
  },
  {
    name: 'public key',
    seeds: [text(formatPublicKey(publicKeyOf(privateKey)))],
    judge: (bytes) => verdictOf(parsePublicKey(bytes.toString('utf8'))),
  },
  {
    name: 'Sigstore bundle',
    seeds: ['happy-path-v0.1', 'happy-path-v0.3'].map((name) =>
      vector(name, 'bundle.sigstore.json'),
    ),
    judge: (bytes) => verdictOf(parseBundle(bytes.toString('utf8'))),
  },
  {
    name: 'trusted root',
    seeds: [vector('public-good-trusted-root.json')],
    judge: (bytes) => verdictOf(parseTrustedRoot(bytes)),
  },
  {
    name: 'checkpoint',
    seeds: [
      text(makeCheckpoint({ origin: 'fleet', size: 7, root: Buffer.alloc(32, 7) }, privateKey)),
    ],
    judge: (bytes) => verdictOf(parseCheckpoint(bytes.toString('utf8'))),
  },
  {
    name: 'verifier key',
    seeds: [text(formatVerifier(verifierOf('fleet', privateKey)))],
    judge: (bytes) =>
      verdictOf(parseVerifier(bytes.toString('utf8')), (taken) =>
        expectThat(
          formatVerifier(taken) === bytes.toString('utf8').trim(),
          'another spelling was taken',
        ),
      ),
  },
  {
    name: 'policy.toml',
    seeds: [text(POLICY), text('enabled = false\n')],
    judge: (bytes) => verdictOf(parsePolicy('policy.toml', bytes)),
  },
  {
    name: 'agent.toml',
    seeds: [text(AGENT)],
    judge: (bytes) => {
      let toml: unknown;
      try {
        toml = parseToml(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
      } catch {
        return 'not TOML';
      }
      return AgentConfig.safeParse(toml).success ? 'taken' : 'refused';
    },
  },
  {
    name: 'state.json',
    seeds: states.map(json),
    judge: (bytes) => {
      const verdict = asJson(UpdateState)(bytes);
      if (verdict !== 'taken') return verdict;
      // Whatever a damaged disk makes of it: as long as it is of the schema, there is something to do.
      const state = UpdateState.parse(JSON.parse(bytes.toString('utf8')));
      if (state.job === null) nextAction({ state, watch: FRESH_WATCH }, {} as never);
      return verdict;
    },
  },
  {
    name: 'spool',
    seeds: [text(records.map(lineOf).join('')), text(records.map(lineOf).join('').slice(0, -30))],
    judge: (bytes) => {
      const { records, goodBytes, condition } = parseSegment(bytes);
      expectThat(goodBytes <= bytes.length, 'more bytes are good than there are');
      const numbers = records.map(({ seq }) => seq);
      expectThat(
        numbers.every((seq, at) => at === 0 || seq > (numbers[at - 1] ?? 0)),
        'numbers that do not rise',
      );
      return condition;
    },
  },
  {
    name: 'delta',
    seeds: [deltaStream(OLD, NEW)],
    judge: (bytes) => {
      const decoder = new DeltaDecoder(SIZES);
      let made = 0;
      for (let at = 0; at < bytes.length; at += 7) {
        const pieces = decoder.push(bytes.subarray(at, at + 7));
        if (!pieces.ok) return pieces.error.code;
        for (const piece of pieces.value) {
          made += piece.bytes.length;
          const end = piece.kind === 'old' ? piece.from + piece.bytes.length : 0;
          expectThat(end <= SIZES.oldSize, 'it reads behind the old content');
        }
        expectThat(made <= SIZES.newSize, 'it makes more than there is to be made');
      }
      return verdictOf(decoder.end());
    },
  },
  {
    name: 'path in an archive',
    seeds: [text('bin/edge'), text('./share/doc/read me.txt'), text('a/../b'), text('/etc/x')],
    judge: (bytes) => {
      const name = bytes.toString('utf8');
      try {
        const path = safePath(name);
        const isBelow = !path.startsWith('/') && !path.split('/').includes('..');
        expectThat(isBelow && !path.includes('\0'), `it leads out: ${path}`);
        safeLink('bin/edge', name);
        return 'taken';
      } catch (error) {
        if (error instanceof FleetError) return error.code;
        throw error;
      }
    },
  },
];
