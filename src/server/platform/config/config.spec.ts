import { describe, expect, it } from 'vitest';
import { FleetError } from '../../../core/kernel/index.js';
import { loadConfig, redactedConfig, withPort } from './index.js';

function problemsOf(env: Record<string, string>): string[] {
  try {
    loadConfig(env);
  } catch (error) {
    expect(error).toBeInstanceOf(FleetError);
    expect(error).toMatchObject({ code: 'config_invalid' });
    return (error as Error).message.split('\n');
  }
  return [];
}

describe('the configuration', () => {
  it('needs nothing: every value has a default', () => {
    expect(loadConfig({})).toEqual({
      dataDir: './data',
      host: '127.0.0.1',
      port: 8480,
      publicUrl: 'http://127.0.0.1:8480',
      publicOrigin: 'http://127.0.0.1:8480',
      databaseUrl: null,
      databasePasswordFile: null,
      databaseCaFile: null,
      redisUrl: null,
      redisPasswordFile: null,
      redisSentinels: [],
      redisSentinelPasswordFile: null,
      requestsPerMinute: 6_000,
      tls: null,
      trustedProxies: [],
      sinkNetworks: [],
      sinkFilesDir: null,
      redisCaFile: null,
      redisPrefix: 'bellwether',
      logLevel: 'info',
      heartbeatMs: 15_000,
      permitLeaseMs: 10_000,
      drainMs: 10_000,
      artifactBytesMax: 209_715_200,
      oidcFile: null,
      metricsListen: null,
      otel: null,
      isFindOpen: false,
      twoPersonAboveNodes: null,
      s3: null,
      downloadsMax: 128,
      downloadBytesPerSecond: null,
      blobGraceHours: 168,
      yankedKeepDays: null,
      clusterNodesGoneDays: null,
      sourcesFile: null,
      auditRetentionDays: null,
      secondFactorFor: 'nobody',
      masterKey: { value: null, file: null, oldFile: null },
      eventRetentionDays: null,
      eventRetentionCount: null,
      nodeEventsPerSecond: 500,
    });
  });

  it('wants a rate at which every download moves', () => {
    const of = (max: number): string[] =>
      problemsOf({
        BELLWETHER_DOWNLOADS_MAX: String(max),
        BELLWETHER_DOWNLOAD_BYTES_PER_SECOND: '131072',
      });
    expect(of(128)).toEqual([]);
    expect(of(129)).toEqual([
      expect.stringMatching(/^BELLWETHER_DOWNLOAD_BYTES_PER_SECOND: give 132096 or more/),
    ]);
  });

  it('takes a bucket only whole, and shows nothing of its credential', () => {
    const bucket = {
      BELLWETHER_S3_BUCKET: 'artifacts',
      BELLWETHER_S3_ENDPOINT: 'https://s3.example',
      BELLWETHER_S3_ACCESS_KEY_ID: 'AKIA0',
      BELLWETHER_S3_SECRET_ACCESS_KEY: 's3cret',
    };
    const config = loadConfig(bucket);
    expect(config.s3).toMatchObject({ bucket: 'artifacts', pathStyle: true, region: 'us-east-1' });
    expect(redactedConfig(config)['s3']).toBe('https://s3.example/artifacts/bellwether/');
    expect(JSON.stringify(redactedConfig(config))).not.toMatch(/s3cret|AKIA0/);
    for (const name of Object.keys(bucket)) {
      expect(problemsOf({ ...bucket, [name]: '' })).toHaveLength(1);
    }
    expect(problemsOf({ ...bucket, BELLWETHER_S3_ENDPOINT: 'https://a:b@s3.example' })).toEqual([
      expect.stringMatching(/^BELLWETHER_S3_ENDPOINT: give scheme, host and port only/),
    ]);
    expect(problemsOf({ ...bucket, BELLWETHER_S3_PREFIX: '../' })).toHaveLength(1);
  });

  it('is frozen', () => {
    expect(Object.isFrozen(loadConfig({}))).toBe(true);
    expect(Object.isFrozen(withPort(loadConfig({}), 1))).toBe(true);
  });

  it('takes an empty variable for one that was left out', () => {
    expect(loadConfig({ BELLWETHER_PORT: '', DATABASE_URL: '' }).port).toBe(8480);
  });

  it('tells every problem at once, each with its variable and its fix', () => {
    const problems = problemsOf({
      BELLWETHER_PORT: '70000',
      BELLWETHER_HOST: 'not a host',
      BELLWETHER_PUBLIC_URL: 'https://bellwether.example/path',
      DATABASE_URL: 'mysql://root:secret@db/x',
      REDIS_URL: 'http://:secret@redis/0',
      BELLWETHER_REDIS_PREFIX: 'two:words',
      BELLWETHER_LOG_LEVEL: 'loud',
      BELLWETHER_HEARTBEAT_MS: '15s',
      BELLWETHER_PERMIT_LEASE_MS: '-1',
      BELLWETHER_ARTIFACT_BYTES_MAX: '1e9',
    });
    expect(problems.map((line) => line.split(':')[0]).sort()).toEqual([
      'BELLWETHER_ARTIFACT_BYTES_MAX',
      'BELLWETHER_HEARTBEAT_MS',
      'BELLWETHER_HOST',
      'BELLWETHER_LOG_LEVEL',
      'BELLWETHER_PERMIT_LEASE_MS',
      'BELLWETHER_PORT',
      'BELLWETHER_PUBLIC_URL',
      'BELLWETHER_REDIS_PREFIX',
      'DATABASE_URL',
      'REDIS_URL',
    ]);
    expect(problems.find((line) => line.startsWith('BELLWETHER_PORT'))).toBe(
      'BELLWETHER_PORT: take a number from 0 to 65535',
    );
    expect(problems.join('\n')).not.toContain('secret');
  });

  it('asks for the public address when it listens everywhere', () => {
    expect(problemsOf({ BELLWETHER_HOST: '0.0.0.0' })).toEqual([
      'BELLWETHER_PUBLIC_URL: say how nodes reach this manager; it cannot be told from ' +
        'BELLWETHER_HOST=0.0.0.0',
    ]);
    const url = 'https://bellwether.example';
    expect(loadConfig({ BELLWETHER_HOST: '::', BELLWETHER_PUBLIC_URL: `${url}/` })).toMatchObject({
      publicUrl: url,
      publicOrigin: url,
    });
  });

  it('lets the public address follow a port that was found, unless it was given', () => {
    expect(withPort(loadConfig({ BELLWETHER_PORT: '0' }), 4711).publicOrigin).toBe(
      'http://127.0.0.1:4711',
    );
    expect(withPort(loadConfig({ BELLWETHER_HOST: '::1' }), 4711).publicUrl).toBe(
      'http://[::1]:4711',
    );
    const given = loadConfig({ BELLWETHER_PUBLIC_URL: 'https://bellwether.example' });
    expect(withPort(given, 4711).publicUrl).toBe('https://bellwether.example');
  });

  it('takes an address of Redis, with TLS or without, and nothing in it that it would overlook', () => {
    for (const url of ['redis://cache', 'rediss://ann:p%40ss@cache:6380/2', 'redis://[::1]/']) {
      expect(loadConfig({ REDIS_URL: url }).redisUrl).toBe(url);
    }
    for (const rest of ['/jobs', '/0?family=6', '/0#x', ':port', '/99999']) {
      expect(problemsOf({ REDIS_URL: `redis://:s3cret@cache${rest}` })).toEqual([
        'REDIS_URL: give redis://user:password@host:6379/0 (rediss:// with TLS), or leave the ' +
          'variable out',
      ]);
    }
    expect(problemsOf({ REDIS_URL: 'redis://:100%@cache' })).toHaveLength(1);
    expect(problemsOf({ REDIS_URL: 'redis://' })).toHaveLength(1);
  });

  it('takes an authority for Redis only where Redis speaks TLS', () => {
    const given = { BELLWETHER_REDIS_CA_FILE: '/etc/redis/ca.pem' };
    expect(loadConfig({ ...given, REDIS_URL: 'rediss://cache' }).redisCaFile).toBe(
      given.BELLWETHER_REDIS_CA_FILE,
    );
    for (const url of ['', 'redis://cache']) {
      expect(problemsOf({ ...given, REDIS_URL: url })).toEqual([
        expect.stringMatching(/^BELLWETHER_REDIS_CA_FILE: give REDIS_URL as rediss:/),
      ]);
    }
  });

  it('shows no password when it is printed', () => {
    const shown = redactedConfig(
      loadConfig({
        DATABASE_URL: 'postgres://ann:s3cret@db.example:5432/fleet?sslmode=require',
        REDIS_URL: 'rediss://ann:s3cret@redis.example:6380/2',
      }),
    );
    expect(shown['databaseUrl']).toBe('postgres://db.example:5432/fleet');
    expect(shown['redisUrl']).toBe('rediss://redis.example:6380/2');
    expect(JSON.stringify(shown)).not.toContain('s3cret');
    expect(redactedConfig(loadConfig({}))).toMatchObject({
      databaseUrl: 'sqlite',
      redisUrl: 'none',
    });
  });
});
