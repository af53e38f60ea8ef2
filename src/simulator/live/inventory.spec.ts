import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { makeTempDir } from '../../../test/support/databases.js';
import { groupsInOrder, readInventory, type InventoryNode } from './inventory.js';

const dir = makeTempDir();
afterAll(() => dir.remove());

const node = (change: object = {}): object => ({
  id: 'nod_000001',
  name: 'edge-01',
  group_id: 'grp_alpha1',
  status: 'online',
  host: { os: 'linux', arch: 'arm64', hostname: 'edge-01' },
  labels: { site: 'fra' },
  services: [
    { name: 'edge', product: 'edge', variant: 'default', version: '1.2.3', phase: 'idle' },
  ],
  enrolled_at: '2026-01-01T00:00:00Z',
  ...change,
});
const written = (value: unknown): string => {
  const path = join(dir.path, 'nodes.json');
  writeFileSync(path, typeof value === 'string' ? value : JSON.stringify(value));
  return path;
};

describe('an inventory', () => {
  it.each([
    ['a list', [node()]],
    ['a page', { items: [node()], next_cursor: null }],
  ])('is read as %s', async (_what, value) => {
    const [read] = await readInventory(written(value));
    expect(read).toMatchObject({ host: { arch: 'arm64' }, labels: { site: 'fra' } });
    expect(read?.services[0]?.version).toBe('1.2.3');
  });

  it('leaves out who was revoked', async () => {
    const nodes = await readInventory(written([node(), node({ status: 'revoked' })]));
    expect(nodes).toHaveLength(1);
  });

  it.each([
    ['no JSON', '{'],
    ['nobody', []],
    ['a label that is no text', [node({ labels: { site: 1 } })]],
    ['a host of no known kind', [node({ host: { os: 'plan9', arch: 'x64' } })]],
  ])('is refused with words: %s', async (_what, value) => {
    await expect(readInventory(written(value))).rejects.toThrow('nodes.json');
  });
});

describe('groups', () => {
  it('come after the one above them, also those that only nodes name', () => {
    const group = (id: string, parent_id: string | null) => ({ id, name: id, parent_id });
    const nodes = [{ group_id: 'grp_lonely1' }] as InventoryNode[];
    const groups = [group('grp_below01', 'grp_above01'), group('grp_above01', null)];
    const order = groupsInOrder(groups, nodes).map(({ id }) => id);
    expect(order).toEqual(['grp_above01', 'grp_below01', 'grp_lonely1']);
  });

  it('that lie in a circle are listed once each', () => {
    const circle = [
      { id: 'grp_a00001', name: 'a', parent_id: 'grp_b00001' },
      { id: 'grp_b00001', name: 'b', parent_id: 'grp_a00001' },
    ];
    expect(groupsInOrder(circle, [])).toHaveLength(2);
  });
});
