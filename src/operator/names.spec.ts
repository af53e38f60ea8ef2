import { describe, expect, it } from 'vitest';
import { readOperatorConfig } from './config.js';
import { nodeNameOf } from './names.js';

const workload = (name: string) => ({ kind: 'Deployment', namespace: 'shop', name }) as const;
const USUAL = '{cluster}/{workload}';
const NEEDED = {
  BELLWETHER_MANAGER_URL: 'https://bellwether.example',
  BELLWETHER_CLUSTER_NAME: 'prod-1',
  BELLWETHER_KUBE_URL: 'http://127.0.0.1:8001',
};

describe('the name of a node', () => {
  it('is that of the cluster and the workload, or as somebody wants it', () => {
    expect(nodeNameOf(USUAL, 'prod-1', workload('edge'))).toBe('prod-1/shop/deployment/edge');
    expect(nodeNameOf('site-7 {workload} ({cluster})', 'prod-1', workload('edge'))).toBe(
      'site-7 shop/deployment/edge (prod-1)',
    );
    // What is put in is not looked through again.
    expect(nodeNameOf('{cluster}', '{workload}', workload('edge'))).toBe('{workload}');
  });

  it('has 128 characters at most, and is of one workload all the same', () => {
    const long = 'a'.repeat(200);
    const names = [`${long}1`, `${long}2`].map((name) =>
      nodeNameOf(USUAL, 'prod-1', workload(name)),
    );
    expect(names.map(({ length }) => length)).toEqual([128, 128]);
    expect(new Set(names).size).toBe(2);
  });

  it.each([
    ['BELLWETHER_NODE_NAME', 'edge', 'needs {workload}'],
    ['BELLWETHER_NODE_NAME', '{workload}/{machine}', 'there are {cluster} and {workload}'],
    ['BELLWETHER_NODE_NAME', '{workload}\n', 'BELLWETHER_NODE_NAME'],
    ['BELLWETHER_INSTALL_ID', 'a b', 'BELLWETHER_INSTALL_ID'],
    ['BELLWETHER_INSTALL_ID', '', 'BELLWETHER_INSTALL_ID'],
  ])('%s=%j is refused', async (name, text, says) => {
    await expect(readOperatorConfig({ ...NEEDED, [name]: text })).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringContaining(says) as string,
    });
  });

  it('is told by the environment', async () => {
    const given = { BELLWETHER_INSTALL_ID: '0f1e', BELLWETHER_NODE_NAME: 'a/{workload}' };
    expect(await readOperatorConfig(NEEDED)).toMatchObject({ installId: null, nodeName: USUAL });
    expect(await readOperatorConfig({ ...NEEDED, ...given })).toMatchObject({
      installId: '0f1e',
      nodeName: 'a/{workload}',
    });
  });
});
