import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const unit = readFileSync('deploy/systemd/bellwether-agent.service', 'utf8');
const seconds = (name: string): number => {
  const found = new RegExp(`^${name}=(\\d+)$`, 'm').exec(unit)?.[1];
  expect(found, name).toBeDefined();
  return Number(found);
};

/** systemd counts starts from the first one for `StartLimitIntervalSec`, and then anew (systemd.unit(5)). */
it.each(['TimeoutStartSec', 'WatchdogSec'])(
  'an agent that hangs at each start until %s ends it still comes to the start limit',
  (limit) => {
    // What it does until then: started, hangs, is killed after it did not stop, and waits.
    const eachSecs = seconds(limit) + seconds('TimeoutStopSec') + seconds('RestartSec');
    expect(seconds('StartLimitBurst') * eachSecs).toBeLessThan(seconds('StartLimitIntervalSec'));
  },
);
