import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeTempDir } from '../../../test/support/databases.js';
import { readSse } from '../../../test/support/event-stream.js';
import { makeSigningKey, publish } from '../../../test/support/fleet.js';
import {
  startManagers,
  type OneOfSeveral,
  type SeveralManagers,
} from '../../../test/support/several/managers.js';
import { EventLog } from './index.js';

let managers: SeveralManagers;
let a: OneOfSeveral;
let b: OneOfSeveral;
beforeEach(async () => {
  managers = await startManagers(2);
  [a, b] = managers.all as [OneOfSeveral, OneOfSeveral];
});
afterEach(() => managers.stop());

describe('what one manager commits', () => {
  it('is told to the others, who need not look for it, and is not told back', async () => {
    let [here, there] = [0, 0];
    a.get(EventLog).onAppended(() => (here += 1));
    b.get(EventLog).onAppended(() => (there += 1));
    const dir = makeTempDir();
    const key = makeSigningKey();
    await publish(a, { folder: dir.path, version: '1.0.0', sequence: 1, key });
    dir.remove();
    await expect.poll(() => there).toBeGreaterThan(0);
    // Each commit of its own, and nothing that came back.
    const { body } = await a.call('events.list', { query: {} });
    expect(here).toBeLessThanOrEqual(body.items.length);
  });

  it('is read live at another one', async () => {
    const reader = await readSse(b.url, { token: a.admin });
    const node = await a.node();
    for (;;) {
      const [event] = await reader.events(1);
      if (event?.node_id === node.id) break;
    }
    reader.close();
  });
});
