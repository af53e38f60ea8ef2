import { describe, expect, it } from 'vitest';
import { hastened, withStands } from './plan.js';

const stands = {
  groups: new Map([['grp_alpha1', 'grp_copy01']]),
  nodes: new Map([
    ['nod_alpha1', 'nod_copy01'],
    ['nod_alpha2', 'nod_copy02'],
  ]),
};

describe('a plan for a rehearsal', () => {
  it('names the copies in place of the originals, wherever they stand', () => {
    const plan = {
      product: 'edge',
      scope: { group_id: 'grp_alpha1', node_ids: ['nod_alpha1'], exclude_node_ids: ['nod_alpha2'] },
      rings: [{ name: 'first', group_id: 'grp_alpha1', wait_hours: 1 }],
    };
    expect(withStands(plan, stands)).toEqual({
      product: 'edge',
      scope: { group_id: 'grp_copy01', node_ids: ['nod_copy01'], exclude_node_ids: ['nod_copy02'] },
      rings: [{ name: 'first', group_id: 'grp_copy01', wait_hours: 1 }],
    });
  });

  it('refuses what the inventory does not have', () => {
    expect(() => withStands({ scope: { group_id: 'grp_other1' } }, stands)).toThrow('grp_other1');
  });

  it('waits less, and says for what', () => {
    const window = { days: ['mon'], start: '02:00', duration_minutes: 60 };
    const { plan, changes } = hastened(
      {
        apply_after: '2027-01-01T00:00:00Z',
        waves: [{ percent: 10, approvals: 3, wait_hours: 12, windows: [window] }],
        tolerate: { failures: 2 },
      },
      2,
    );
    expect(plan).toEqual({
      settle_seconds: 2,
      apply_after: null,
      waves: [{ percent: 10, approvals: 1, wait_hours: 0, windows: [] }],
      tolerate: { failures: 2 },
    });
    expect(changes).toContain('settle_seconds: 300 → 2');
    expect(changes).toContain('waves[0].approvals: 3 → 1');
    expect(changes).toHaveLength(5);
  });

  it('leaves alone what is short already', () => {
    expect(hastened({ settle_seconds: 1, wait_hours: 0 }, 5).changes).toEqual([]);
  });
});
