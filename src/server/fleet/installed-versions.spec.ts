import { expect, it } from 'vitest';
import { describeOnBothDatabases } from '../../../test/support/databases.js';
import { aHost, comes } from '../../../test/support/manager.js';
import { aHello, aService } from '../../../test/support/node-link.js';
import type { NodeEvent } from '../../protocol/node/index.js';
import type { Database } from '../platform/database/index.js';
import { InstalledVersions } from './installed-versions.js';
import { Nodes } from './index.js';

const NODE = { nodeId: 'nod_one000', groupId: 'grp_default', publicKey: 'k', revoked: false };
const anEvent = (type: NodeEvent['type'], details: NodeEvent['details'], service = 'edge') =>
  ({
    seq: 1,
    at: '2026-03-02T09:00:00.000Z',
    category: 'upgrade',
    type,
    severity: 'info',
    service,
    command_id: 'cmd_000001',
    message: type,
    details,
  }) satisfies NodeEvent;

async function after(
  database: Database,
  ...batches: readonly (readonly NodeEvent[])[]
): Promise<(string | null)[]> {
  const nodes = new Nodes(database);
  const versions = new InstalledVersions(nodes);
  await database.transaction(async (tx) => {
    const { nodeId, groupId, publicKey } = NODE;
    await nodes.create(tx, { id: nodeId, name: 'one', groupId, publicKey, host: aHost(), now: 1 });
    const services = [aService(), aService({ name: 'db', product: 'db', version: '9.1.0' })];
    await comes(tx, database, nodeId, { hello: aHello({ services }), now: 2 });
    await versions.observe(
      tx,
      batches.map((events) => ({ node: NODE, events })),
    );
  });
  return (await nodes.find(NODE.nodeId))?.services.map((service) => service.version) ?? [];
}

describeOnBothDatabases('the versions that a node runs', (openTestDatabase) => {
  it.each([
    ['upgrade_completed', '1.1.0', ['1.1.0', '9.1.0']],
    ['upgrade_rolled_back', '0.9.0', ['0.9.0', '9.1.0']],
    ['upgrade_swapping', '1.1.0', ['1.0.0', '9.1.0']],
  ] as const)('follow %s at once, of that service alone', async (type, to_version, expected) => {
    expect(await after(await openTestDatabase(), [anEvent(type, { to_version })])).toEqual(
      expected,
    );
  });

  it('are those of the last event of a batch', async () => {
    const events = [
      anEvent('upgrade_completed', { to_version: '1.1.0' }),
      anEvent('upgrade_rolled_back', { to_version: '1.0.0' }),
    ];
    expect(await after(await openTestDatabase(), events)).toEqual(['1.0.0', '9.1.0']);
  });

  it('are those of all batches that came in one go, the last of each service', async () => {
    const batches = [
      [anEvent('upgrade_completed', { to_version: '1.1.0' })],
      [anEvent('upgrade_completed', { to_version: '9.2.0' }, 'db')],
      [anEvent('upgrade_rolled_back', { to_version: '1.0.1' })],
    ];
    expect(await after(await openTestDatabase(), ...batches)).toEqual(['1.0.1', '9.2.0']);
  });

  it('do not change for a service that the node does not have, or for no version', async () => {
    const events = [
      anEvent('upgrade_completed', { to_version: '7.0.0' }, 'other'),
      anEvent('upgrade_completed', { to_version: null }),
    ];
    expect(await after(await openTestDatabase(), events)).toEqual(['1.0.0', '9.1.0']);
  });
});
