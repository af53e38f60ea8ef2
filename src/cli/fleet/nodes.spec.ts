import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestManager, type TestManager } from '../../../test/support/manager.js';
import { aService, connectNode, type NodeLink } from '../../../test/support/node-link.js';
import { pollingNode } from '../../../test/support/poll-node.js';
import { recordingTerminal } from '../../../test/support/recording-terminal.js';
import { runProgram } from '../program.js';

let manager: TestManager;
let link: NodeLink;
const ids: Record<string, string> = {};

beforeAll(async () => {
  manager = await startTestManager();
  const [linked, polling, away] = [
    await manager.node(undefined, 'by-socket'),
    await manager.node(undefined, 'by-poll'),
    await manager.node(undefined, 'away'),
  ];
  Object.assign(ids, { linked: linked.id, polling: polling.id, away: away.id });
  const pinned = aService({ by_hand: { enabled: true, pin: '1.0.0' } });
  const off = aService({ name: 'gate', by_hand: { enabled: false, pin: null } });
  link = await connectNode(manager, linked, {
    services: [pinned, off, aService({ name: 'free' })],
  });
  await pollingNode(manager, polling);
}, 60_000);
afterAll(async () => {
  await link.close();
  await manager.stop();
});

async function ok(...words: string[]): Promise<string[]> {
  const terminal = recordingTerminal({
    BELLWETHER_MANAGER: manager.url,
    BELLWETHER_TOKEN: manager.admin,
  });
  expect([await runProgram(words, terminal), terminal.errText()]).toEqual([0, '']);
  return terminal.outText().split('\n');
}
const lineWith = (lines: readonly string[], word: string): string =>
  lines.find((line) => line.includes(word)) ?? '';

describe('the nodes of a fleet', () => {
  it('are listed with the way by which each is connected', async () => {
    const lines = await ok('nodes', 'list');
    expect(lineWith(lines, 'by-socket')).toMatch(/online +socket /);
    expect(lineWith(lines, 'by-poll')).toMatch(/online +poll /);
    expect(lineWith(lines, 'away')).toMatch(/offline +- /);
  });

  it('are shown with it, and with what a person on the node decided', async () => {
    const lines = await ok('nodes', 'show', ids['linked'] ?? '');
    expect(lines).toContain('connected by: socket');
    const service = (name: string): string =>
      lines.find((line) => line.startsWith(`${name} `)) ?? '';
    expect(service('edge')).toContain('pinned to 1.0.0');
    expect(service('gate')).toContain('disabled');
    expect(service('free')).toMatch(/^free +edge /);
    expect(service('free')).not.toMatch(/pinned|disabled/);
    expect(await ok('nodes', 'show', ids['away'] ?? '')).toContain('connected by: -');
  });
});
