import { afterEach, describe, expect, it } from 'vitest';
import { startManagers, type SeveralManagers } from '../../../test/support/several/managers.js';
import { aHello, connectNode } from '../../../test/support/node-link.js';
import { CLOSE } from '../../protocol/node/index.js';
import { Links } from '../gateway/index.js';
import { Database } from '../platform/index.js';
import { Members } from '../platform/members/index.js';
import { HealthBook } from './health-book.js';
import { LinkWatch } from './link-watch.js';

const HEALTH = { disk_free_bytes: 1, spool_backlog: 0 };
let managers: SeveralManagers;
afterEach(() => managers.stop());

/** Two managers, and what is known of one node. */
async function two() {
  managers = await startManagers(2);
  const [a, b] = managers.all;
  if (a === undefined || b === undefined) throw new Error('no managers');
  const node = await a.node();
  const shown = async () => (await a.call('nodes.show', { params: { id: node.id } })).body;
  const told = async (): Promise<unknown[]> => {
    const { body } = await a.call('events.list', { query: { category: 'connection' } });
    return body.items.map(({ type, details }) =>
      type === 'node_disconnected' ? `${type} ${String(details['reason'])}` : type,
    );
  };
  return { a, b, node, shown, told };
}

type One = SeveralManagers['all'][number];

/** `dead` is found dead by the other one, as if it had stood still; it may notice that at any moment. */
async function buried(dead: One, by: One): Promise<void> {
  const { id } = dead;
  const database = by.get(Database);
  for (;;) {
    await database.transaction(async (tx) => {
      await tx.run('UPDATE managers SET expires_at = 0 WHERE id = ?', [id]);
      await tx.run('UPDATE managers SET calm_at = 0 WHERE id = ?', [by.id]);
    });
    await by.get(Members).look();
    const row = await database.read.get('SELECT id FROM managers WHERE id = ?', [id]);
    // It may have renewed its lease in between.
    if (row === undefined) return;
  }
}

describe('a node of several managers', () => {
  it('is seen by all of them, whichever has it', async () => {
    const { a, b, node, shown } = await two();
    const link = await connectNode(b, node);
    expect(await shown()).toMatchObject({ status: 'online', transport: 'socket' });
    expect([a.get(Links).count(), b.get(Links).count()]).toEqual([0, 1]);
    await link.close();
    await expect.poll(async () => (await shown()).status).toBe('offline');
  });

  it('that comes to another one is told at the first, and is never away', async () => {
    const { a, b, node, shown, told } = await two();
    const older = await connectNode(a, node);
    const newer = await connectNode(b, node);
    expect(await older.closed).toBe(CLOSE.superseded);
    await expect.poll(() => a.get(Links).count()).toBe(0);
    expect(await shown()).toMatchObject({ status: 'online' });
    expect(await told()).toEqual(['node_connected', 'node_superseded']);
    await newer.close();
  });

  it('stays when a manager starts', async () => {
    const { a, node, shown, told } = await two();
    const link = await connectNode(a, node);
    await managers.add();
    expect(await shown()).toMatchObject({ status: 'online' });
    expect(await told()).toEqual(['node_connected']);
    await link.close();
  });

  it.each(['nodes.revoke', 'nodes.transfer'] as const)(
    'loses its link by %s at another manager',
    async (verb) => {
      const { a, b, node } = await two();
      const link = await connectNode(b, node);
      if (verb === 'nodes.revoke') await a.call(verb, { params: { id: node.id } });
      else {
        const group = await a.group('east');
        await a.call(verb, { body: { node_ids: [node.id], group_id: group } });
      }
      const reason = verb === 'nodes.revoke' ? 'revoked' : 'going_away';
      expect(await link.closed).toBe(CLOSE[reason]);
    },
  );

  it('is closed by the sweep when the hint was lost', async () => {
    const { a, b, node } = await two();
    const link = await connectNode(b, node);
    await a
      .get(Database)
      .transaction((tx) =>
        tx.run(`UPDATE nodes SET status = 'revoked', revoked_at = 1 WHERE id = ?`, [node.id]),
      );
    await b.get(LinkWatch).sweep();
    expect(await link.closed).toBe(CLOSE.revoked);
  });
});

describe('a manager that dies', () => {
  it('loses its nodes to nobody: each goes offline, with the reason', async () => {
    const { a, b, node, shown, told } = await two();
    const link = await connectNode(a, node);
    const before = a.id;
    await buried(a, b);
    expect(await told()).toEqual(['node_connected', 'node_disconnected manager_lost']);
    // It lives, after all: it finds out, and its nodes come anew.
    await a.get(Members).look();
    expect(a.id).not.toBe(before);
    expect(await link.closed).toBe(CLOSE.going_away);
    expect(await shown()).toMatchObject({ status: 'offline' });
    const again = await connectNode(a, node);
    expect(await shown()).toMatchObject({ status: 'online' });
    await again.close();
  });

  it('takes nothing from a node that is elsewhere by then', async () => {
    const { a, b, node, shown, told } = await two();
    const older = await connectNode(a, node);
    const newer = await connectNode(b, node);
    await older.closed;
    await buried(a, b);
    expect(await shown()).toMatchObject({ status: 'online' });
    expect(await told()).toEqual(['node_connected', 'node_superseded']);
    await newer.close();
  });

  it('cannot take a node while it does not know that yet, nor write what it knew of it', async () => {
    const { a, b, node, shown } = await two();
    const link = await connectNode(b, node);
    const identity = await a.get(Links).identities.find(node.id);
    if (identity === null) throw new Error('no node');
    const arrive = async (): Promise<unknown> => {
      const { id } = a;
      await buried(a, b);
      const way = { transport: 'socket', before: null, pollId: null } as const;
      const arrived = a.get(Links).presence.arrived(identity, 'ses_old', aHello(), way);
      const told = await arrived.then(
        () => null,
        (error: unknown) => error,
      );
      // It noticed by itself, a moment before: then it is another one, and may.
      return a.id === id ? told : arrive();
    };
    expect(await arrive()).toMatchObject({ code: 'unavailable' });
    a.get(HealthBook).record(node.id, { type: 'health', services: [], ...HEALTH });
    await a.get(HealthBook).flush();
    expect(await shown()).toMatchObject({ status: 'online', services: [{ name: 'edge' }] });
    await link.close();
  });

  it('is not judged by one that was late himself, as all are after an outage', async () => {
    const { a, b, node, told } = await two();
    const link = await connectNode(a, node);
    const ids = [a.id, b.id];
    await a.get(Database).transaction((tx) => tx.run('UPDATE managers SET expires_at = 0'));
    await b.get(Members).look();
    await a.get(Members).look();
    expect(await told()).toEqual(['node_connected']);
    expect([a.id, b.id]).toEqual(ids);
    await link.close();
  });
});
