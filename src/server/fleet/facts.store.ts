import type { ServiceReport } from '../../protocol/node/index.js';
import { questionMarks, tableOf, type Database, type Tx } from '../platform/database/index.js';
import { labelKeyOf, nameKeyOf, serviceFacts, upgraderOf, type Badge } from './node-facts.js';

/** In one statement. */
const NODES_PER_STATEMENT = 500;

/**
 * What lists are filtered by, apart from the wide row: an index is touched only where something is new,
 * and most of what a node tells is not. Each node is named once; of as many as go into one statement.
 */
export async function saveServiceFacts(
  tx: Tx,
  told: readonly { readonly nodeId: string; readonly services: readonly ServiceReport[] }[],
): Promise<void> {
  if (told.length === 0) return;
  const { text, params } = tableOf(
    told.map(({ nodeId, services }) => {
      const { software, badge, badgeCode } = serviceFacts(services);
      return [nodeId, software, badge, badgeCode];
    }),
  );
  await tx.run(
    `UPDATE nodes SET software = v.column2, badge = v.column3, badge_code = v.column4
     FROM ${text} WHERE nodes.id = v.column1 AND (nodes.software IS NULL OR nodes.software <> v.column2
       OR nodes.badge <> v.column3 OR nodes.badge_code <> v.column4)`,
    params,
  );
}

/** What a node tells of itself that lists are filtered by. */
export interface Telling {
  readonly services: readonly ServiceReport[];
  readonly capabilities: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly transport: 'socket' | 'poll';
}

/** In the order in which `saveFacts` takes them. */
export function factsOf({ services, capabilities, labels, transport }: Telling): readonly string[] {
  const { software, badge, badgeCode } = serviceFacts(services);
  return [software, badge, badgeCode, upgraderOf(capabilities, transport), labelKeyOf(labels)];
}

/** Of nodes of which some of it is new, each named once. */
export async function saveFacts(
  tx: Tx,
  changed: readonly { readonly id: string; readonly facts: readonly string[] }[],
): Promise<void> {
  if (changed.length === 0) return;
  const { text, params } = tableOf(changed.map(({ id, facts }) => [id, ...facts]));
  await tx.run(
    `UPDATE nodes SET software = v.column2, badge = v.column3, badge_code = v.column4, upgrader = v.column5,
       label_key = v.column6 FROM ${text} WHERE nodes.id = v.column1`,
    params,
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
       WHERE id IN (${questionMarks(some.length)}) AND (badge <> ? OR badge_code <> ?)`,
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
      for (const { id, name } of rows) {
        await tx.run('UPDATE nodes SET name_key = ? WHERE id = ?', [nameKeyOf(name), id]);
      }
      await saveFacts(
        tx,
        rows.map((told) => ({
          id: told.id,
          facts: factsOf({
            services: JSON.parse(told.services) as ServiceReport[],
            labels: JSON.parse(told.labels) as Record<string, string>,
            capabilities: JSON.parse(told.capabilities) as string[],
            transport: 'socket',
          }),
        })),
      );
      return rows.length;
    });
  }
}
