import { expect, it } from 'vitest';
import { silentLog } from '../../../../test/support/databases.js';
import { InProcessWakeups } from './in-process.js';
import { RoutedWakeups } from './routed.js';

it('wakes the room that an id is of, and whoever is there for the rest', async () => {
  const wakeups = new RoutedWakeups(new InProcessWakeups(() => Date.now(), silentLog));
  const rung: string[] = [];
  const by = (room: string) => async (id: string) => void rung.push(`${room} ${id}`);
  wakeups.onWake(by('rollouts'));
  wakeups.route('sch_', by('schedules'));
  for (const id of ['rol_1', 'sch_1', 'src_1', 'sch']) wakeups.arm(id, 0);
  wakeups.arm('sch_2', Date.now() + 3_600_000);
  wakeups.disarm('sch_2');
  await expect
    .poll(() => [...rung].sort())
    .toEqual(['rollouts rol_1', 'rollouts sch', 'rollouts src_1', 'schedules sch_1']);
  expect(() => wakeups.route('sch_', by('another'))).toThrow('registered twice');
  await wakeups.close();
});
