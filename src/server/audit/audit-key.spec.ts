import { generateKeyPairSync } from 'node:crypto';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { makeTempDir } from '../../../test/support/databases.js';
import { aMasterKey, secretsUnder } from '../../../test/support/secrets.js';
import { formatVerifier, verifierOf } from '../../core/audit/index.js';
import { AuditKey, AUDIT_KEY_FILE } from './index.js';

const publicOrigin = 'https://manager.example';
const dirs: ReturnType<typeof makeTempDir>[] = [];
afterEach(() => {
  for (const dir of dirs.splice(0)) dir.remove();
});
const tempDir = (): string => {
  const dir = makeTempDir();
  dirs.push(dir);
  return dir.path;
};

/** A file as earlier versions wrote it. */
function plainKey(dataDir: string) {
  const { privateKey } = generateKeyPairSync('ed25519');
  const origin = 'manager.example/audit/0123456789ab';
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
  const path = join(dataDir, 'audit-key.json');
  writeFileSync(path, JSON.stringify({ origin, private_key: pem }));
  return { path, pem, verifierKey: formatVerifier(verifierOf(origin, privateKey)) };
}

describe('the key of the checkpoints', () => {
  it('is made once, for its owner alone, sealed, and stays', async () => {
    const config = { dataDir: tempDir(), publicOrigin };
    const key = aMasterKey();
    const first = await AuditKey.open(config, secretsUnder(key));
    const second = await AuditKey.open(config, secretsUnder(key));
    expect(second.verifierKey).toBe(first.verifierKey);
    expect(first.origin).toMatch(/^manager\.example\/audit\/[0-9a-f]{12}$/);
    const path = join(config.dataDir, AUDIT_KEY_FILE);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readFileSync(path, 'utf8')).not.toContain('PRIVATE KEY');
  });

  it('that lies there in plain is sealed, stays the same, and the plain one goes', async () => {
    const dataDir = tempDir();
    const plain = plainKey(dataDir);
    const secrets = secretsUnder();
    const opened = await AuditKey.open({ dataDir, publicOrigin }, secrets);
    expect(opened.verifierKey).toBe(plain.verifierKey);
    expect(existsSync(plain.path)).toBe(false);
    // Killed after sealing and before removing: the next start removes it.
    writeFileSync(plain.path, 'what was left');
    const again = await AuditKey.open({ dataDir, publicOrigin }, secrets);
    expect(again.verifierKey).toBe(plain.verifierKey);
    expect(existsSync(plain.path)).toBe(false);
  });

  it('is not opened, and not replaced, under another master key', async () => {
    const config = { dataDir: tempDir(), publicOrigin };
    await AuditKey.open(config, secretsUnder());
    const path = join(config.dataDir, AUDIT_KEY_FILE);
    const before = readFileSync(path, 'utf8');
    await expect(AuditKey.open(config, secretsUnder())).rejects.toMatchObject({
      code: 'secret_unreadable',
    });
    // Another origin in the file is another log: the key was not sealed for that one.
    writeFileSync(path, before.replace('manager.example', 'other.example'));
    await expect(AuditKey.open(config, secretsUnder())).rejects.toMatchObject({
      code: 'secret_unreadable',
    });
  });

  it.each(['', '{}', '{"origin":"a b","private_key":"x"}', 'null'])(
    'that is damaged (%s) stops the start, and is not replaced',
    async (text) => {
      for (const file of ['audit-key.json', AUDIT_KEY_FILE]) {
        const dataDir = tempDir();
        writeFileSync(join(dataDir, file), text);
        const opened = AuditKey.open({ dataDir, publicOrigin }, secretsUnder());
        const code = expect.stringMatching(/^(config_invalid|secret_unreadable)$/) as string;
        await expect(opened).rejects.toMatchObject({ code });
        expect(readFileSync(join(dataDir, file), 'utf8')).toBe(text);
      }
    },
  );
});
