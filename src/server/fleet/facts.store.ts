import type { ServiceReport } from '../../protocol/node/index.js';
import type { Database, Tx } from '../platform/database/index.js';
import { labelKeyOf, nameKeyOf, serviceFacts, upgraderOf, type Badge } from './node-facts.js';

/** In one statement. */
const NODES_PER_STATEMENT = 500;

/**
 * What lists are filtered by, apart from the wide row: an index is touched only where something is new,
 * and most of what a node tells is not.
 */
export async function saveServiceFacts(
  tx: Tx,
  nodeId: string,
  services: readonly ServiceReport[],
): Promise<void> {
  const { software, badge, badgeCode } = serviceFacts(services);
  await tx.run(
    `UPDATE nodes SET software = ?, badge = ?, badge_code = ?
     WHERE id = ? AND (software IS NULL OR software <> ? OR badge <> ? OR badge_code <> ?)`,
    [software, badge, badgeCode, nodeId, software, badge, badgeCode],
  );
}

export async function saveHelloFacts(
  tx: Tx,
  nodeId: string,
  told: {
    readonly capabilities: readonly string[];
    readonly labels: Readonly<Record<string, string>>;
    readonly transport: 'socket' | 'poll';
  },
): Promise<void> {
  const upgrader = upgraderOf(told.capabilities, told.transport);
  const labelKey = labelKeyOf(told.labels);
  await tx.run(
    `UPDATE nodes SET upgrader = ?, label_key = ?
     WHERE id = ? AND (upgrader <> ? OR label_key <> ?)`,
    [upgrader, labelKey, nodeId, upgrader, labelKey],
  );
}

/** What events told of upgrades, before the next health report says the same. Of nodes that are held. Idempotent. */
export async function saveBadges(
  tx: Tx,
  nodeIds: readonly string[],
  { badge, code }: { readonly badge: Badge; readonly code: string },
): Promise<void> {
  for (let at = 0; at < nodeIds.length; at += NODES_PER_STATEMENT) {
    const some = nodeIds.slice(at, at + NODES_PER_STATEMENT);
    await tx.run(
      `UPDATE nodes SET badge = ?, badge_code = ?
       WHERE id IN (${some.map(() => '?').join(', ')}) AND (badge <> ? OR badge_code <> ?)`,
      [badge, code, ...some, badge, code],
    );
  }
}

interface BareRow {
  readonly id: string;
  readonly name: string;
  readonly labels: string;
  readonly capabilities: string;
  readonly services: string;
}

/** Works out what an older manager did not keep; some nodes in each transaction. Idempotent. */
export async function fillFacts(database: Database): Promise<void> {
  for (let count = NODES_PER_STATEMENT; count === NODES_PER_STATEMENT;) {
    count = await database.transaction(async (tx) => {
      const rows = await tx.all<BareRow>(
        `SELECT id, name, labels, capabilities, services FROM nodes
         WHERE software IS NULL ORDER BY id LIMIT ?`,
        [NODES_PER_STATEMENT],
      );
      for (const { id, name, ...told } of rows) {
        await tx.run('UPDATE nodes SET name_key = ? WHERE id = ?', [nameKeyOf(name), id]);
        await saveServiceFacts(tx, id, JSON.parse(told.services) as ServiceReport[]);
        await saveHelloFacts(tx, id, {
          labels: JSON.parse(told.labels) as Record<string, string>,
          capabilities: JSON.parse(told.capabilities) as string[],
          transport: 'socket',
        });
      }
      return rows.length;
    });
  }
}
