import { expect, it } from 'vitest';
import { eventually } from '../support/fleet.js';
import { show } from './machine.js';
import { AGENT, linkOf, SERVICE, SERVICE_ROOT, stateText } from './node.js';

/** The machine that `story` left in the middle of a probation, booted again, with no manager. */
it('after the reboot the probation goes on, counts the boot, and ends by local evidence', async () => {
  await eventually(() => {
    expect([show(AGENT, 'ActiveState'), show(SERVICE, 'ActiveState')]).toEqual([
      'active',
      'active',
    ]);
    return Promise.resolve();
  });
  expect(linkOf(SERVICE_ROOT, 'current')).toBe('1.6.0');
  expect(JSON.parse(stateText())).toMatchObject({ job: { version: '1.6.0', boot_attempts: 1 } });
  await eventually(() => {
    expect(JSON.parse(stateText())).toMatchObject({
      current: { version: '1.6.0' },
      job: null,
      outcome: { version: '1.6.0', result: 'succeeded' },
    });
    return Promise.resolve();
  });
  expect(show(SERVICE, 'NRestarts')).toBe('0');
});
