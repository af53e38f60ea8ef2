import { afterEach, expect, it } from 'vitest';
import { silentLog, makeTempDir } from '../../../test/support/databases.js';
import { callRoute, makeClock } from '../../../test/support/manager.js';
import { startManager } from '../manager.js';
import { loadConfig } from '../platform/index.js';

const cleanUps: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

it('tells whoever is outside which ways in there are, and no more', async () => {
  const dir = makeTempDir();
  const config = loadConfig({ BELLWETHER_DATA_DIR: dir.path, BELLWETHER_PORT: '0' });
  const manager = await startManager({ config, log: silentLog, clock: makeClock() });
  cleanUps.push(async () => {
    await manager.stop();
    dir.remove();
  });
  const url = manager.config.publicUrl;
  const doors = async () => (await callRoute(url, 'session.doors', {}, null)).body;
  expect(await doors()).toEqual({ sso: false, needs_setup: true });
  const body = {
    setup_token: manager.setupToken,
    login: 'ann',
    name: 'Ann',
    password: 'forty winks at noon',
  };
  expect((await callRoute(url, 'setup.first_user', { body }, null)).status).toBe(201);
  expect(await doors()).toEqual({ sso: false, needs_setup: false });
});
