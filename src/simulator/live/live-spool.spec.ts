import { describe, expect, it } from 'vitest';
import { LiveSpool } from './live-spool.js';
import type { SpoolEvent } from './parts.js';

const event: SpoolEvent = {
  at: '2026-01-01T00:00:00Z',
  type: 'upgrade_started',
  category: 'upgrade',
  severity: 'info',
  service: 'edge',
  command_id: null,
  message: '',
  details: {},
};
const filled = (count: number): LiveSpool => {
  const spool = new LiveSpool('spl_000001');
  for (let at = 0; at < count; at += 1) spool.append(event);
  return spool;
};

describe('the spool of a simulated node', () => {
  it('numbers without gaps and keeps what was not acknowledged', () => {
    const spool = filled(5);
    expect(spool.acknowledge(2)).toBe(2);
    expect(spool.batch().map(({ seq }) => seq)).toEqual([3, 4, 5]);
    expect([spool.firstSeq, spool.nextSeq, spool.backlog]).toEqual([3, 6, 3]);
  });

  it('believes no number twice, and none that it never gave', () => {
    const spool = filled(3);
    expect(spool.acknowledge(9)).toBe(0);
    expect(spool.acknowledge(2)).toBe(2);
    expect(spool.acknowledge(2)).toBe(0);
    expect(spool.backlog).toBe(1);
  });

  it('is bounded: the oldest go', () => {
    const spool = filled(1_200);
    expect(spool.backlog).toBe(1_000);
    expect(spool.firstSeq).toBe(201);
  });
});
