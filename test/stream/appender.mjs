// One writer of several: appends to the event log in transactions of its own, some of which it undoes.
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';

const [, , programs, databaseUrl, name, rounds] = process.argv;
const load = (path) => import(pathToFileURL(join(programs, path)).href);
await import('reflect-metadata');
const { openDatabase } = await load('server/platform/database/index.js');
const { EventLog } = await load('server/events/index.js');
const { pino } = await import('pino');

const log = pino({ level: 'silent' });
const database = await openDatabase({ url: databaseUrl, dataDir: '', log });
const events = new EventLog();
let kept = 0;
for (let round = 0; round < Number(rounds); round += 1) {
  const count = 1 + ((round * 7) % 5);
  const isUndone = round % 5 === 4;
  await database
    .transaction(async (tx) => {
      for (let index = 0; index < count; index += 1) {
        events.append(tx, [
          {
            category: 'service',
            type: 'service_healthy',
            severity: 'info',
            nodeId: null,
            groupId: 'grp_default',
            message: `${name} ${kept + index + 1}`,
            details: {},
            at: Date.now(),
          },
        ]);
        await sleep((round * 3 + index) % 4);
      }
      if (isUndone) throw new Error('undone');
    })
    .then(
      () => (kept += count),
      (error) => {
        if (!isUndone) throw error;
      },
    );
}
await database.close();
console.log(kept);
