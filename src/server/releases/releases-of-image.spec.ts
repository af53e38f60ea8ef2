import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { aManifest, sha256Of, signedManifest } from '../../../test/support/catalog.js';
import { makeMigratedPostgres } from '../../../test/support/databases.js';
import {
  startTestManager,
  type TestManager,
  type TestNode,
} from '../../../test/support/manager.js';
import type { Manifest } from '../../core/release/index.js';

const hexOf = (name: string): string => sha256Of(Buffer.from(name));
const imageOf = (name: string) => ({
  reference: 'registry.example.com/shop/edge',
  digest: `sha256:${hexOf(name)}`,
});

describe.each(['sqlite', 'postgres'])('which releases name an image (%s)', (kind) => {
  let manager: TestManager;
  let node: TestNode;
  let drop: (() => Promise<void>) | null = null;
  beforeAll(async () => {
    const env: Record<string, string> = {};
    if (kind === 'postgres') {
      const made = await makeMigratedPostgres();
      [drop, env['DATABASE_URL']] = [made.drop, made.url];
    }
    manager = await startTestManager(env);
    node = await manager.node();
  }, 60_000);
  afterAll(async () => {
    await manager.stop();
    await drop?.();
  });

  const publish = async (change: Partial<Manifest>, draft = false): Promise<string> => {
    const body = signedManifest(aManifest({ artifacts: [], ...change }, Buffer.from('x')));
    const answer = await manager.call('releases.publish', { body: { ...body, draft } });
    expect(answer).toMatchObject({ status: 201 });
    return answer.body.id;
  };
  const found = async (name: string, product = 'edge') => {
    const answer = await fetch(`${manager.url}/node/v1/images/${product}/${hexOf(name)}`, {
      headers: { authorization: `Bearer ${node.token()}` },
    });
    expect(answer.status).toBe(200);
    return ((await answer.json()) as { releases: { version: string; channel: string }[] }).releases;
  };

  it('are those published, on each channel, of one product, until they are yanked', async () => {
    const image = imageOf('a');
    const id = await publish({ version: '1.0.0', channel: 'beta', sequence: 1, image });
    await publish({ version: '1.0.0', channel: 'stable', sequence: 2, image });
    await publish({ version: '1.1.0', sequence: 3, image: imageOf('b') });
    await publish({ product: 'other', version: '7.0.0', sequence: 1, image });
    await publish({ version: '1.2.0', sequence: 4, image: imageOf('c') }, true);
    const both = [
      { version: '1.0.0', channel: 'beta' },
      { version: '1.0.0', channel: 'stable' },
    ];
    expect(await found('a')).toHaveLength(2);
    expect(await found('a')).toEqual(expect.arrayContaining(both));
    expect(await found('a', 'other')).toEqual([{ version: '7.0.0', channel: 'stable' }]);
    expect(await found('c')).toEqual([]);
    expect(await found('nothing')).toEqual([]);
    await manager.call('releases.yank', { params: { id }, body: { reason: 'bad' } });
    expect(await found('a')).toEqual([]);
  });

  it('among the images of platforms, too, and not where the digest is that of something else', async () => {
    const images = [{ variant: 'fips', arch: 'arm64' as const, ...imageOf('d') }];
    const notes = `not "sha256:${hexOf('e')}" any more`;
    await publish({ version: '2.0.0', sequence: 20, image: imageOf('f'), images, notes });
    expect(await found('d')).toEqual([{ version: '2.0.0', channel: 'stable' }]);
    expect(await found('e')).toEqual([]);
  });

  it('are told to nodes alone', async () => {
    const url = `${manager.url}/node/v1/images/edge/${hexOf('a')}`;
    expect((await fetch(url)).status).toBe(401);
    const asAdmin = { headers: { authorization: `Bearer ${manager.admin}` } };
    expect((await fetch(url, asAdmin)).status).toBe(401);
    const asNode = { headers: { authorization: `Bearer ${node.token()}` } };
    expect((await fetch(url.replace(/.$/, 'G'), asNode)).status).toBe(400);
  });
});
