import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startGateway, type TestGateway } from '../../../test/support/gateway.js';

let gateway: TestGateway;
beforeEach(async () => {
  gateway = await startGateway();
});
afterEach(() => gateway.stop());

describe('the upgrade', () => {
  const otherKey = generateKeyPairSync('ed25519').privateKey;

  it.each([
    ['no token', () => ({}), 'jwt_invalid'],
    ['not a JWT', () => ({ authorization: 'Bearer hello' }), 'jwt_invalid'],
    [
      'another key',
      () => ({ authorization: `Bearer ${gateway.token({ key: otherKey })}` }),
      'jwt_invalid',
    ],
    [
      'an unknown node',
      () => ({ authorization: `Bearer ${gateway.token({ nodeId: 'nod_unknown1' })}` }),
      'jwt_invalid',
    ],
    [
      'another audience',
      () => ({ authorization: `Bearer ${gateway.token({ origin: 'https://other.example' })}` }),
      'jwt_wrong_audience',
    ],
    [
      'an expired token',
      () => ({ authorization: `Bearer ${gateway.token({ nowMs: Date.now() - 600_000 })}` }),
      'jwt_expired',
    ],
    [
      'a token from the future',
      () => ({ authorization: `Bearer ${gateway.token({ nowMs: Date.now() + 600_000 })}` }),
      'jwt_expired',
    ],
  ])('is refused with 401 for %s', async (_what, headers, code) => {
    expect(await gateway.refusal(headers())).toEqual({ status: 401, code });
  });

  it.each([-20, 20])(
    'lets in whose clock is off by %d s, right after the start too',
    async (secs) => {
      const token = gateway.token({ nowMs: Date.now() + secs * 1_000 });
      await once(gateway.connect(token), 'open');
    },
  );

  it('is refused for a token that was used before', async () => {
    const once_ = gateway.token();
    const socket = gateway.connect(once_);
    await once(socket, 'open');
    expect(await gateway.refusal({ authorization: `Bearer ${once_}` })).toEqual({
      status: 401,
      code: 'jwt_replayed',
    });
  });

  it('is refused for a revoked node', async () => {
    gateway.below.isRevoked = true;
    expect(await gateway.refusal({ authorization: `Bearer ${gateway.token()}` })).toMatchObject({
      status: 401,
    });
  });

  it('is refused for another subprotocol', async () => {
    const headers = {
      authorization: `Bearer ${gateway.token()}`,
      'sec-websocket-protocol': 'chat',
    };
    expect(await gateway.refusal(headers)).toEqual({ status: 400, code: 'invalid_request' });
  });

  it('is refused while the manager is stopping', async () => {
    await gateway.links.drain();
    expect(await gateway.refusal({ authorization: `Bearer ${gateway.token()}` })).toEqual({
      status: 503,
      code: 'unavailable',
    });
  });
});
