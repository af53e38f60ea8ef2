import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { startManager } from '../../src/server/manager.js';
import { loadConfig } from '../../src/server/platform/index.js';
import { makeTempDir, silentLog } from '../support/databases.js';
import { callRoute, makeClock } from '../support/manager.js';

const dirs = [makeTempDir(), makeTempDir()] as const;
afterAll(() => {
  for (const dir of dirs) dir.remove();
});

/** A manager on a data directory, as `docs/operate.md` says it is brought back. */
async function on(path: string) {
  const config = loadConfig({ BELLWETHER_DATA_DIR: path, BELLWETHER_PORT: '0' });
  const manager = await startManager({ config, log: silentLog, clock: makeClock() });
  const ask = async (
    name: Parameters<typeof callRoute>[1],
    given: Parameters<typeof callRoute>[2],
    token: string | null,
  ) => {
    const { status, body } = await callRoute(manager.config.publicUrl, name, given, token);
    return { status, body: body as Record<string, never> & { items?: { id: string }[] } };
  };
  return { manager, ask };
}

it('is as it was on a copy of its data directory that was made while it stood still', async () => {
  const [live, backup] = dirs.map(({ path }) => join(path, 'data'));
  const first = await on(live ?? '');
  const body = { setup_token: first.manager.setupToken ?? '', name: 'ann' };
  const admin = String((await first.ask('setup.finish', { body }, null)).body['secret']);
  const made = await first.ask('groups.create', { body: { name: 'kept' } }, admin);
  expect(made.status).toBe(201);
  const sink = {
    name: 'soc',
    kind: 'webhook',
    config: { url: 'https://192.0.2.1/hook' },
    credentials: { secret: `whsec_${Buffer.alloc(32, 5).toString('base64')}` },
  };
  expect((await first.ask('sinks.create', { body: sink }, admin)).status).toBe(201);
  await first.manager.stop();
  cpSync(live ?? '', backup ?? '', { recursive: true });

  const again = await on(live ?? '');
  const late = { name: 'late', role: 'viewer', group_id: 'grp_default' };
  const token = String((await again.ask('tokens.create', { body: late }, admin)).body['secret']);
  const [note] = [(await again.ask('audit.key', {}, admin)).body];
  await again.manager.stop();

  const restored = await on(backup ?? '');
  try {
    const groups = await restored.ask('groups.list', {}, admin);
    expect(groups.body.items?.map(({ id }) => id)).toContain(made.body['id']);
    // Sealed secrets open: the key was in the copy.
    const [kept] = (await restored.ask('sinks.list', {}, admin)).body.items ?? [];
    const params = { id: kept?.id ?? '' };
    const rotated = await restored.ask('sinks.rotate_secret', { params, body: {} }, admin);
    expect(rotated.status).toBe(200);
    // Made after the copy: it never was.
    expect((await restored.ask('groups.list', {}, token)).status).toBe(401);
    // The audit log goes on under the same key.
    expect((await restored.ask('audit.key', {}, admin)).body).toEqual(note);
    expect((await restored.ask('audit.checkpoint', {}, admin)).status).toBe(200);
    const entries = (await restored.ask('audit.list', {}, admin)).body.items ?? [];
    const entry = String(entries.at(-1)?.id);
    expect((await restored.ask('audit.inclusion', { params: { entry } }, admin)).status).toBe(200);
  } finally {
    await restored.manager.stop();
  }
}, 120_000);
