import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  alertNewsOf,
  backoffMs,
  BACKOFF_MAX_MS,
  newCircuit,
  onFailure,
  onSuccess,
  onTry,
  OPEN_AFTER_FAILURES,
  readRetryAfter,
  RETRY_AFTER_MAX_MS,
  SILENT_AFTER_MS,
  stepAlert,
  verifyWebhook,
  wants,
  webhookHeaders,
  webhookKey,
  type AlertState,
  type FleetEvent,
  type SinkFilter,
} from './index.js';

const NOW = Date.UTC(2026, 10, 21, 8);
const anEvent = (over: Partial<FleetEvent> = {}): FleetEvent => ({
  id: 1,
  at: new Date(NOW).toISOString(),
  occurred_at: new Date(NOW).toISOString(),
  clock: 'ok',
  category: 'upgrade',
  type: 'upgrade_failed',
  version: 3,
  severity: 'warning',
  node_id: 'nod_one000',
  group_id: 'grp_east00',
  rollout_id: 'rol_one000',
  command_id: null,
  service: 'edge',
  error_code: 'upgrade_hook_failed',
  message: 'something',
  details: {},
  ...over,
});

describe('a filter', () => {
  const open: SinkFilter = {
    categories: null,
    types: null,
    error_codes: null,
    min_severity: null,
    groups: null,
  };

  it('lets through what every one of its conditions lets through', () => {
    expect(wants(open, anEvent())).toBe(true);
    const cases: [Partial<SinkFilter>, boolean][] = [
      [{ categories: ['upgrade', 'audit'] }, true],
      [{ categories: ['audit'] }, false],
      [{ types: ['upgrade_failed'] }, true],
      [{ types: ['upgrade_completed'] }, false],
      [{ error_codes: ['upgrade_hook_failed'] }, true],
      [{ error_codes: ['other'] }, false],
      [{ min_severity: 'info' }, true],
      [{ min_severity: 'warning' }, true],
      [{ min_severity: 'critical' }, false],
      [{ categories: ['upgrade'], min_severity: 'critical' }, false],
    ];
    for (const [part, wanted] of cases) {
      expect([part, wants({ ...open, ...part }, anEvent())]).toEqual([part, wanted]);
    }
    expect(wants({ ...open, error_codes: ['x'] }, anEvent({ error_code: null }))).toBe(false);
  });
});

describe('a circuit', () => {
  const fail = { now: NOW, chance: 0.5, retryAfterMs: null };

  it('opens after some failures in a row, tries half open, and closes with the first success', () => {
    let circuit = newCircuit(NOW - 1);
    for (let count = 1; count < OPEN_AFTER_FAILURES; count += 1) {
      circuit = onFailure(circuit, fail);
      expect(circuit).toMatchObject({ state: 'closed', failures: count, since: NOW - 1 });
    }
    circuit = onFailure(circuit, fail);
    expect(circuit).toMatchObject({ state: 'open', since: NOW });
    const half = onTry(circuit);
    expect(half.state).toBe('half_open');
    expect(onFailure(half, { ...fail, now: NOW + 5 })).toMatchObject({ state: 'open', since: NOW });
    expect(onSuccess(half, NOW + 9)).toEqual({
      state: 'closed',
      since: NOW + 9,
      failures: 0,
      nextTryAt: 0,
    });
  });

  it('waits at random up to a bound that doubles and ends', () => {
    fc.assert(
      fc.property(fc.nat(10_000), fc.double({ min: 0, max: 0.999, noNaN: true }), (n, chance) => {
        const waited = backoffMs(n, chance);
        expect(waited).toBeGreaterThanOrEqual(250);
        expect(waited).toBeLessThanOrEqual(BACKOFF_MAX_MS);
        expect(waited).toBeLessThanOrEqual(Math.max(250, 1_000 * 2 ** Math.max(0, n - 1)));
      }),
    );
  });

  it('waits as long as it is asked to, within bounds', () => {
    const asked = (retryAfterMs: number): number =>
      onFailure(newCircuit(0), { now: NOW, chance: 0, retryAfterMs }).nextTryAt - NOW;
    expect(asked(90_000)).toBe(90_000);
    expect(asked(1e12)).toBe(RETRY_AFTER_MAX_MS);
    expect(asked(-5)).toBe(250);
  });

  it.each([
    ['120', 120_000],
    [' 0 ', 0],
    ['9999999999', RETRY_AFTER_MAX_MS],
    ['Sat, 21 Nov 2026 08:01:00 GMT', 60_000],
    ['Sat, 21 Nov 2026 07:00:00 GMT', 0],
    ['Sat, 21 Nov 2099 07:00:00 GMT', RETRY_AFTER_MAX_MS],
    ['-1', null],
    ['1.5', null],
    ['soon', null],
    ['2026-11-21', null],
    ['', null],
    [undefined, null],
  ])('reads Retry-After %j', (text, wanted) => {
    expect(readRetryAfter(text, NOW)).toBe(wanted);
  });
});

describe('a webhook', () => {
  const secret = (byte: number): string => `whsec_${Buffer.alloc(32, byte).toString('base64')}`;
  const nowSeconds = 1_700_000_000;

  it('is signed as the published example of Standard Webhooks says', () => {
    // The vector of the specification's own libraries.
    const message = {
      id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      timestampSeconds: 1_614_265_330,
      body: '{"test": 2432232314}',
    };
    const headers = webhookHeaders(message, ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw']);
    expect(headers['webhook-signature']).toBe('v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=');
  });

  it('has a signature for each secret that counts, and either is enough', () => {
    const message = { id: 'snk_1.7', timestampSeconds: nowSeconds, body: '[{"a":1}]' };
    const headers = webhookHeaders(message, [secret(1), secret(2)]);
    const check = (byte: number, body = message.body, at = nowSeconds): boolean =>
      verifyWebhook(headers, body, { secret: secret(byte), nowSeconds: at });
    expect([check(1), check(2), check(3)]).toEqual([true, true, false]);
    expect(check(1, '[{"a":2}]')).toBe(false);
    expect([
      check(1, message.body, nowSeconds + 299),
      check(1, message.body, nowSeconds + 301),
    ]).toEqual([true, false]);
  });

  it.each([
    'whsec_',
    'whsec_AAAA',
    'MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
    `whsec_${'A'.repeat(400)}`,
    'whsec_!',
  ])('takes %s for no secret', (text) => {
    expect(webhookKey(text)).toBeNull();
  });
});

describe('alerts', () => {
  const newsOf = (type: string, over: Partial<FleetEvent> = {}) =>
    alertNewsOf(anEvent({ type, ...over }));

  it('are raised and resolved under one key by what belongs together', () => {
    const pairs: [string, string, Partial<FleetEvent>][] = [
      ['upgrade_rolled_back', 'upgrade_completed', {}],
      ['rollout_paused', 'rollout_resumed', { details: { reason: 'too_many_failures' } }],
      ['rollout_paused', 'rollout_cancelled', { details: { reason: 'too_many_failures' } }],
      ['target_silent', 'node_connected', {}],
      ['node_disconnected', 'node_connected', { details: { reason: 'heartbeat_lost' } }],
    ];
    for (const [raises, resolves, over] of pairs) {
      const [raised] = newsOf(raises, over);
      expect([raises, raised?.news]).toEqual([raises, 'raise']);
      expect(newsOf(resolves).map(({ key, news }) => [key, news])).toContainEqual([
        raised?.key,
        'resolve',
      ]);
    }
  });

  it('are not made of what somebody did on purpose, nor of alerts', () => {
    expect(newsOf('rollout_paused', { details: { reason: 'paused_by_operator' } })).toEqual([]);
    expect(newsOf('node_disconnected', { details: { reason: 'goodbye_shutdown' } })).toEqual([]);
    expect(newsOf('upgrade_rolled_back', { category: 'alert' })).toEqual([]);
    expect(newsOf('constructor')).toEqual([]);
  });

  it('of two nodes or services are two', () => {
    const keys = [{}, { node_id: 'nod_two000' }, { service: 'proxy' }].map(
      (over) => newsOf('upgrade_rolled_back', over)[0]?.key,
    );
    expect(new Set(keys).size).toBe(3);
  });

  it('wait before a broken link is told, from its first break on', () => {
    const [news] = newsOf('node_disconnected', { details: { reason: 'heartbeat_lost' } });
    expect(stepAlert(null, news!, NOW)).toEqual({
      state: 'waiting',
      tell: null,
      dueAt: NOW + SILENT_AFTER_MS,
    });
    expect(stepAlert('waiting', news!, NOW + 5)).toBeNull();
    const [heard] = newsOf('node_connected');
    expect(stepAlert('waiting', heard!, NOW)).toMatchObject({ state: null, tell: null });
  });

  it('are raised once and resolved once, whatever comes in which order', () => {
    const types = ['target_silent', 'node_disconnected', 'node_connected'] as const;
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...types), { maxLength: 30 }), (told) => {
        let state: AlertState | null = null;
        const said: string[] = [];
        for (const type of told) {
          for (const news of newsOf(type, { details: { reason: 'heartbeat_lost' } })) {
            const step = stepAlert(state, news, NOW);
            if (step === null) continue;
            state = step.state;
            if (step.tell !== null) said.push(step.tell);
          }
        }
        expect(said).toEqual(said.map((_, index) => (index % 2 === 0 ? 'raised' : 'resolved')));
        expect(said.length % 2 === 1).toBe(state === 'raised');
      }),
    );
  });
});
