import { once } from 'node:events';
import type { Socket } from 'node:net';
import { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';
import { redisUrl } from '../../../../test/support/redis.js';
import { redisOptions } from './connections.js';

describe('the address of Redis', () => {
  it('gives host, port, login and database', () => {
    expect(redisOptions('redis://ann:p%40ss@redis.example:6380/3')).toMatchObject({
      host: 'redis.example',
      port: 6380,
      username: 'ann',
      password: 'p@ss',
      db: 3,
    });
  });

  it('may leave out all but the host', () => {
    const options = redisOptions('redis://redis.example');
    expect(options).toMatchObject({ host: 'redis.example', port: 6379, db: 0 });
    for (const absent of ['username', 'password', 'tls'])
      expect(options).not.toHaveProperty(absent);
  });

  it('asks for TLS as rediss, with the name that the certificate must have', () => {
    expect(redisOptions('rediss://redis.example').tls).toEqual({ servername: 'redis.example' });
    expect(redisOptions('rediss://redis.example', 'PEM').tls).toMatchObject({ ca: 'PEM' });
    expect(redisOptions('redis://redis.example', 'PEM')).not.toHaveProperty('tls');
    // An address has no name that could be asked for.
    expect(redisOptions('rediss://[::1]:6380')).toMatchObject({ host: '::1', tls: {} });
  });
});

describe('a socket to Redis', () => {
  it('may have a second error, and a third', async () => {
    const client = new Redis(redisOptions(redisUrl()));
    const errors: string[] = [];
    client.on('error', (error: Error) => errors.push(error.message));
    try {
      await once(client, 'ready');
      const { stream } = client as unknown as { readonly stream: Socket };
      for (const text of ['first', 'second', 'third']) stream.emit('error', new Error(text));
      expect(errors).toEqual(['first']);
      expect(await client.ping()).toBe('PONG');
    } finally {
      client.disconnect();
    }
  });
});
