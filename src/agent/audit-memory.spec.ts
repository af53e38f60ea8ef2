import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  consistencySteps,
  formatVerifier,
  Frontier,
  joined,
  leafHash,
  makeCheckpoint,
  verifierOf,
  type Hash,
} from '../core/audit/index.js';
import type { Reach } from './link/index.js';
import { toSpoolEvent } from './report/index.js';
import { AuditMemory, proofFetcher, type AuditMemoryOptions } from './audit-memory.js';

const { privateKey } = generateKeyPairSync('ed25519');
const origin = 'manager.example/audit/1';
const verifierKey = formatVerifier(verifierOf(origin, privateKey));

/** A log with its nodes: what an honest manager has, or one with another history. */
function logOf(texts: readonly string[]) {
  const nodes = new Map<string, Hash>();
  const sizes = [new Frontier().root];
  const tree = new Frontier();
  for (const text of texts) {
    tree.append(leafHash(text), ({ level, index }, hash) => nodes.set(`${level}/${index}`, hash));
    sizes.push(tree.root);
  }
  return {
    at: (size: number, key = privateKey) =>
      makeCheckpoint({ origin, size, root: sizes[size] ?? Buffer.alloc(32) }, key),
    proof: async (from: number, to: number) =>
      consistencySteps(from, to).map((step) =>
        joined(step.map(({ level, index }) => nodes.get(`${level}/${index}`) ?? Buffer.alloc(32))),
      ),
  };
}
const names = Array.from({ length: 12 }, (_, at) => `entry ${at}`);
const honest = logOf(names);
const rewritten = logOf(names.with(2, 'another entry'));

let dir: string;
let told: Parameters<AuditMemoryOptions['report']>[0][];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'bellwether-memory-'));
  told = [];
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

const memory = (change: Partial<AuditMemoryOptions> = {}) =>
  new AuditMemory({
    dir,
    verifierKey,
    fetchProof: honest.proof,
    report: async (event) => void told.push(event),
    log: () => undefined,
    ...change,
  });
const kept = (): string => readFileSync(join(dir, 'audit-checkpoint.txt'), 'utf8');
const codes = () => told.map(({ details }) => details['error_code']);

describe('an agent', () => {
  it('keeps the newest checkpoint that grew out of the one before, over restarts', async () => {
    await memory().heard(honest.at(3));
    expect(kept()).toBe(honest.at(3));
    const next = memory();
    await Promise.all([
      next.heard(honest.at(7)),
      next.heard(honest.at(12)),
      next.heard(honest.at(12)),
    ]);
    expect(kept()).toBe(honest.at(12));
    expect(told).toEqual([]);
  });

  it('refuses a log that was rewritten, whatever its proof, and keeps the evidence', async () => {
    await memory().heard(honest.at(7));
    for (const fetchProof of [honest.proof, rewritten.proof, async () => []]) {
      await memory({ fetchProof }).heard(rewritten.at(12));
    }
    expect(kept()).toBe(honest.at(7));
    // Said once for one checkpoint, however often the manager offers it.
    expect(codes()).toEqual(['audit_history_forked']);
    expect(told[0]?.details).toMatchObject({ kept: honest.at(7), refused: rewritten.at(12) });
    expect(readFileSync(join(dir, 'audit-checkpoint-refused.txt'), 'utf8')).toBe(rewritten.at(12));
    const [event] = told;
    if (event === undefined) throw new Error('nothing was told');
    const outbox = { ...event, id: 'agent:1', at: '2026-11-21T08:00:00.000Z', command_id: null };
    expect(toSpoolEvent(null, outbox)).toMatchObject({ type: 'audit_checkpoint_refused' });
  });

  it.each([
    ['of the same size with another root', rewritten.at(7)],
    ['that is smaller', honest.at(6)],
    [
      'of another log',
      makeCheckpoint({ origin: 'other', size: 9, root: leafHash('x') }, privateKey),
    ],
  ])('refuses one %s', async (_, note) => {
    const one = memory({ verifierKey: null });
    await one.heard(honest.at(7));
    await one.heard(note);
    expect([kept(), codes()]).toEqual([honest.at(7), ['audit_history_forked']]);
    await one.heard(honest.at(9));
    expect(kept()).toBe(honest.at(9));
  });

  it('refuses one that the key it was given did not sign, also the first', async () => {
    const stranger = generateKeyPairSync('ed25519').privateKey;
    await memory().heard(honest.at(3, stranger));
    await memory().heard('nonsense');
    expect(existsSync(join(dir, 'audit-checkpoint.txt'))).toBe(false);
    expect(codes()).toEqual(['audit_checkpoint_invalid', 'audit_checkpoint_invalid']);
  });

  it('believes nothing and says nothing while no proof can be fetched', async () => {
    await memory().heard(honest.at(3));
    const cut = async (): Promise<never> => Promise.reject(new Error('no way there'));
    await memory({ fetchProof: cut }).heard(honest.at(7));
    expect([kept(), told]).toEqual([honest.at(3), []]);
    await memory().heard(honest.at(7));
    expect(kept()).toBe(honest.at(7));
  });

  it('begins anew after its own file was damaged', async () => {
    writeFileSync(join(dir, 'audit-checkpoint.txt'), 'half a note');
    await memory().heard(honest.at(3));
    expect([kept(), told]).toEqual([honest.at(3), []]);
  });
});

describe('a proof', () => {
  it('is not waited for for ever where the way hangs', async () => {
    const silent = createServer(() => undefined).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const at = `127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const asked = (origin: string, reach: Reach): Promise<unknown> =>
      proofFetcher({
        ...{ manager: 'https://manager.example', origin: () => origin, reach, timeoutMs: 200 },
        ...{ nodeId: 'nod_000000000001', key: privateKey, now: () => Date.now() },
      })(1, 2);
    await expect(asked(`http://${at}`, {})).rejects.toThrow();
    const proxy = { HTTPS_PROXY: `http://${at}` };
    await expect(asked('https://manager.example', { proxy })).rejects.toThrow();
    silent.close();
  });
});
