import { Scenario } from './scenario.js';

const CALM = { at_least: { connected: 1, upgraded: 1 }, at_most: { failed: 0, rolled_back: 0 } };
/** Some may fail without a pause: the point is what becomes of the others. */
const LENIENT = {
  strategy: 'immediate',
  tolerate: { failures: null, offline: null, silent: null },
};

/** The scenarios that come with the simulator. `--scenario FILE` takes one of your own in the same form. */
export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'healthy',
    about: 'nothing goes wrong: three waves, every node upgraded',
    rollout: { strategy: 'staged', settle_seconds: 1 },
    expect: { rollout: ['complete'], ...CALM },
  },
  {
    name: 'storm',
    about: 'every link is cut at once, in the middle of a wave',
    acts: [{ do: 'disconnect', at: 'rollout', after_ms: 1_500 }],
    work: { fetch_ms: 2_000, health_window_ms: 3_000 },
    rollout: LENIENT,
    expect: { rollout: ['complete'], at_least: { connected: 1, came_back: 0.95, upgraded: 1 } },
  },
  {
    name: 'slow-link',
    about: 'a third of the links takes 400 ms each way',
    faults: [{ kind: 'slow_link', share: 0.33 }],
    rollout: { strategy: 'staged', settle_seconds: 1 },
    expect: { rollout: ['complete'], ...CALM },
  },
  {
    name: 'half-open',
    about: 'a fifth of the sockets stops reading and writing without a word, and comes back later',
    faults: [{ kind: 'half_open', share: 0.2, after_ms: 2_000, for_ms: 20_000 }],
    rollout: LENIENT,
    linger_ms: 5_000,
    expect: { rollout: ['complete'], at_least: { connected: 0.99, upgraded: 1 } },
  },
  {
    name: 'clock-skew',
    about: 'clocks are off: by 20 s, which is borne, and by ten minutes, which is refused',
    faults: [
      { kind: 'clock_skew', share: 0.2, ms: 20_000 },
      { kind: 'clock_skew', share: 0.2, ms: -20_000 },
      { kind: 'clock_skew', share: 0.05, ms: 600_000 },
    ],
    rollout: null,
    linger_ms: 3_000,
    expect: {
      at_least: { connected: 0.93, refused: 0.04 },
      at_most: { connected: 0.96, refused: 0.06 },
    },
  },
  {
    name: 'disk-full',
    about: 'a tenth of the nodes has no room for the release; it fails there, and nowhere else',
    faults: [{ kind: 'disk_full', share: 0.1 }],
    rollout: LENIENT,
    expect: {
      at_least: { connected: 1, upgraded: 0.89, failed: 0.09 },
      at_most: { failed: 0.11, rolled_back: 0 },
    },
  },
  {
    name: 'reboot-loop',
    about:
      'a tenth of the machines restarts every four seconds, five times, in the middle of things',
    faults: [{ kind: 'reboot_loop', share: 0.1 }],
    rollout: LENIENT,
    linger_ms: 2_000,
    expect: { at_least: { connected: 1, upgraded: 0.9 }, at_most: { failed: 0 } },
  },
  {
    name: 'corrupt-chunks',
    about: 'every fourth download arrives damaged; it is seen by its digest, and fetched anew',
    faults: [{ kind: 'corrupt_chunks', share: 1, probability: 0.25 }],
    rollout: LENIENT,
    expect: {
      at_least: { connected: 1, upgraded: 0.95 },
      at_most: { failed: 0.05, rolled_back: 0 },
    },
  },
  {
    name: 'bad-release',
    about: 'the release crashes on every node: the first wave turns back, and no other begins',
    faults: [{ kind: 'bad_release', share: 1, how: 'crashes' }],
    rollout: { strategy: 'staged', wave_percents: [5, 100], settle_seconds: 1 },
    expect: {
      rollout: ['paused'],
      at_least: { connected: 1, rolled_back: 0.01 },
      at_most: { upgraded: 0, rolled_back: 0.06 },
    },
  },
  {
    name: 'flapping',
    about: 'a fifth of the links breaks every three seconds, five times',
    faults: [{ kind: 'flapping', share: 0.2 }],
    rollout: LENIENT,
    linger_ms: 3_000,
    expect: { rollout: ['complete'], at_least: { connected: 0.99, came_back: 0.15, upgraded: 1 } },
  },
  {
    name: 'connected',
    about: 'nodes are connected and beat; nothing is rolled out',
    rollout: null,
    linger_ms: 10_000,
    expect: { at_least: { connected: 1 } },
  },
].map((scenario) => Scenario.parse(scenario));

export const scenarioNamed = (name: string): Scenario | null =>
  SCENARIOS.find((one) => one.name === name) ?? null;
