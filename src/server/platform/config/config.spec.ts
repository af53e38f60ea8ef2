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
      logLevel: 'info',
      heartbeatMs: 15_000,
      permitLeaseMs: 10_000,
      artifactBytesMax: 209_715_200,
    });
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
      'DATABASE_URL',
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

  it('shows no password when it is printed', () => {
    const databaseUrl = 'postgres://ann:s3cret@db.example:5432/fleet?password=s3cret';
    const shown = redactedConfig(loadConfig({ DATABASE_URL: databaseUrl }));
    expect(shown['databaseUrl']).toBe('postgres://db.example:5432/fleet');
    expect(JSON.stringify(shown)).not.toContain('s3cret');
    expect(redactedConfig(loadConfig({}))['databaseUrl']).toBe('sqlite');
  });
});
