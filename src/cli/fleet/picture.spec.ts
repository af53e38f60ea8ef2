import { describe, expect, it } from 'vitest';
import { recordingTerminal } from '../../../test/support/recording-terminal.js';
import { lookOf, width } from '../output/index.js';
import { cellsOf, pictureOf } from './picture.js';
import type { Rollout } from './rollout-text.js';

type Wave = Rollout['waves'][number];
const NOW = Date.parse('2026-11-21T12:00:00Z');

const wave = (index: number, change: Partial<Wave> = {}): Wave => ({
  index,
  name: `wave ${index + 1}`,
  ring: 'all',
  part: 'main',
  status: 'pending',
  reason: 'previous_waves_not_done',
  until: null,
  size: 4,
  verdict: 'unknown',
  counts: { pending: 4 },
  opened_at: null,
  ended_at: null,
  approved_by: [],
  ...change,
});
const rollout = (waves: readonly Wave[]): Rollout => ({
  id: 'rol_0123456789',
  product: 'edge',
  version: '1.2.0',
  channel: 'stable',
  strategy: 'staged',
  scope: { kind: 'group', id: 'grp_default' },
  group_id: 'grp_default',
  status: 'in_progress',
  reason: 'wave_open',
  waves: [...waves],
  skipped: [],
  reverts: null,
  plan: null,
  schedule: null,
  break_glass: null,
  created_by: 'ann',
  created_at: '2026-11-21T11:00:00Z',
  updated_at: '2026-11-21T11:00:00Z',
});
const screen = (columns = 80) => ({ columns: () => columns, rows: () => 24 });
const plainly = (columns?: number) =>
  recordingTerminal({ NO_COLOR: '1' }, { now: () => NOW, screen: screen(columns) });
const look = lookOf(plainly());

describe('the picture of a rollout', () => {
  it('has a sign for each node, the furthest first', () => {
    const counts = { pending: 1, succeeded: 2, rolled_back: 1, silent: 1, probation: 1 };
    expect(cellsOf(wave(0, { counts }), 60, look)).toBe('✓✓◕·?↩');
  });

  it('lets a sign stand for several nodes of a large wave, and hides no state', () => {
    const counts = { succeeded: 99_990, failed: 1, pending: 9 };
    const cells = cellsOf(wave(0, { counts, size: 100_000 }), 60, look);
    expect(width(cells)).toBeLessThanOrEqual(60);
    expect(cells).toMatch(/^✓{40,}·✗$/);
  });

  it('tells gates with what is left of them, and verdicts in words', () => {
    const text = pictureOf(
      rollout([
        wave(0, {
          status: 'settling',
          reason: 'settling',
          until: '2026-11-21T12:04:30Z',
          verdict: 'good',
          counts: { succeeded: 4 },
        }),
        wave(1),
      ]),
      plainly(),
    );
    expect(text).toContain('edge 1.2.0: in progress (wave open)');
    expect(text).toContain('rol_0123456789, for 1h');
    expect(text).toMatch(/settling, 4m 30s to go; verdict good/);
    expect(text).not.toContain('\u001b');
  });

  it('draws what is open when there are many waves, and nothing that steers the terminal', () => {
    const passed = Array.from({ length: 40 }, (_, i) =>
      wave(i, { status: 'passed', counts: { succeeded: 4 } }),
    );
    const open = wave(40, { status: 'open', name: 'a\u001b[2Jb', counts: { offered: 4 } });
    const rest = Array.from({ length: 60 }, (_, i) => wave(41 + i));
    const text = pictureOf(rollout([...passed, open, ...rest]), plainly(60));
    expect(text).toContain('wave 41/101');
    expect(text).toContain('(77 more waves)');
    expect(text).not.toContain('\u001b');
    const longest = Math.max(...text.split('\n').map(width));
    expect(longest).toBeLessThanOrEqual(80);
  });
});
