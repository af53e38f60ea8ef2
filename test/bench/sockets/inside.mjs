// Loaded into a server before its own program (`--import`): tells, over the channel to its parent, what only
// the process itself can know. Its own cost is one timer, and only while gaps are looked for.
import { setTimeout as sleep } from 'node:timers/promises';

const GAP_TIMER_MS = 10;
let timer = null;
let longestMs = 0;
let lastAt = 0;

const look = () => {
  const now = performance.now();
  longestMs = Math.max(longestMs, now - lastAt - GAP_TIMER_MS);
  lastAt = now;
};
const ANSWERS = {
  /** Memory after everything that is not held has been collected. */
  rest: async () => {
    for (let times = 0; times < 4; times += 1) {
      globalThis.gc();
      await sleep(100);
    }
    return process.memoryUsage();
  },
  cpu: () => {
    const { user, system } = process.cpuUsage();
    return user + system;
  },
  gap_begin: () => {
    longestMs = 0;
    lastAt = performance.now();
    timer = setInterval(look, GAP_TIMER_MS);
  },
  gap_end: () => {
    look();
    clearInterval(timer);
    return longestMs;
  },
};

process.on('message', (asked) => {
  const answer = ANSWERS[asked.ask];
  if (answer === undefined) return;
  void Promise.resolve(answer()).then((value) => process.send({ id: asked.id, value }));
});
process.channel?.unref();
// Whoever asked is gone: nobody else would end this.
process.on('disconnect', () => process.exit(0));
