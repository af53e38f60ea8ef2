import { expect, it } from 'vitest';
import { endsBetween } from './supervisor.port.js';
import { seenFrom } from './systemd.js';

/** What systemctl shows at one moment; the order of the moments is that of systemd 252. */
const at = (active: string, sub: string, restarts: number, rest = ''): string =>
  `ActiveState=${active}\nSubState=${sub}\nNRestarts=${restarts}\nMainPID=0\n${rest}`;

const RUN_1 = 'InvocationID=a1\nResult=success';
const KILLED = 'InvocationID=a1\nResult=signal';
const RUN_2 = 'InvocationID=b2\nResult=success';

const restart = [
  at('active', 'running', 0, RUN_1),
  at('deactivating', 'stop-sigterm', 0, KILLED),
  at('activating', 'auto-restart', 0, KILLED),
  // The start is queued and counted, and has not begun.
  at('activating', 'auto-restart', 1, `${KILLED}\nJob=77`),
  at('inactive', 'dead', 1, `${KILLED}\nJob=77`),
  at('activating', 'start', 1, RUN_2),
  at('active', 'running', 1, RUN_2),
].map(seenFrom);

it('a restart by systemd is one end, whichever of its moments are seen', () => {
  const last = restart.length - 1;
  for (let seen = 0; seen < 2 ** (last - 1); seen += 1) {
    const looks = restart.filter((_, i) => i === 0 || i === last || (seen >> (i - 1)) % 2 === 1);
    const ends = looks.slice(1).map((now, i) => endsBetween(looks[i]!, now));
    const total = ends.reduce((sum, count) => sum + count, 0);
    expect([looks.map(({ state }) => state), total]).toEqual([expect.any(Array), 1]);
  }
});

it('that the start limit was hit is no end of its own', () => {
  const before = seenFrom(at('activating', 'auto-restart', 2, KILLED));
  const after = seenFrom(at('failed', 'failed', 3, 'InvocationID=a1\nResult=start-limit-hit'));
  expect([after.state, endsBetween(before, after)]).toEqual(['ended', 0]);
});

it('a start by somebody else is one end of what ran before', () => {
  const before = seenFrom(at('active', 'running', 4, RUN_1));
  expect(endsBetween(before, seenFrom(at('active', 'running', 0, RUN_2)))).toBe(1);
});
