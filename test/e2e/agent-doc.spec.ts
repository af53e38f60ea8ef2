import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { EXIT, main } from '../../src/agent/command-line.js';
import { Status } from '../../src/agent/operator/status-schema.js';
import { makeTempDir } from '../support/databases.js';
import { startTestManager, type TestManager } from '../support/manager.js';

const page = readFileSync('docs/agent.md', 'utf8');
const examples = [...page.matchAll(/```toml\n([^]*?)```/g)].map(([, text = '']) => text);
const exampleWith = (words: string): string => {
  const found = examples.find((text) => text.includes(words));
  if (found === undefined) throw new Error(`docs/agent.md has no example with ${words}`);
  return found;
};
const commandsPart = page.slice(page.indexOf('## Commands'), page.indexOf('## What the watchdog'));

/** docs/agent.md, followed in a clean directory, on a machine where no agent runs. */
describe('docs/agent.md, followed literally', () => {
  const dir = makeTempDir();
  const at = (...names: string[]): string => join(dir.path, ...names);
  let manager: TestManager;
  let said = '';

  const agent = (...words: string[]): Promise<number> => {
    said = '';
    return main([...words, '--dir', at('node')], {});
  };

  beforeAll(async () => {
    const take = (...words: unknown[]): void => void (said += `${words.join(' ')}\n`);
    vi.spyOn(console, 'log').mockImplementation(take);
    vi.spyOn(console, 'error').mockImplementation(take);
    manager = await startTestManager();
    const { body } = await manager.call('enrollment.create', { body: { group_id: 'grp_default' } });
    const words = ['--manager', manager.url, '--token', body.secret, '--name', 'edge-01'];
    expect(await agent('enroll', ...words), said).toBe(EXIT.done);
  }, 60_000);
  afterAll(async () => {
    vi.restoreAllMocks();
    await manager.stop();
    dir.remove();
  });

  it('its services, set, window and dry run are taken as they stand there', async () => {
    const edge = exampleWith('health = {').replaceAll('/opt/bellwether', at('opt'));
    const gate = edge.replaceAll('edge', 'gate');
    const file = at('node', 'agent.toml');
    writeFileSync(
      file,
      [readFileSync(file, 'utf8'), edge, gate, exampleWith('[[sets]]')].join('\n'),
    );
    for (const name of ['edge', 'gate']) {
      mkdirSync(at('opt', name), { recursive: true });
      const policy = [
        'enabled = true\nallowed_channels = ["stable"]\ndry_run = true\n',
        exampleWith('[[window]]'),
        `[[signers]]\nname = "release"\npublic_key = "RWQ${'A'.repeat(53)}"\n`,
      ];
      writeFileSync(at('opt', name, 'policy.toml'), policy.join('\n'));
    }
    expect(await agent('policy', 'check'), said).toBe(EXIT.done);
    expect(await agent('policy', 'show'), said).toBe(EXIT.done);
    expect(said).toContain('Europe/Berlin');
  });

  // What the third column of the table says: it works, or exit code 4.
  it.each([
    ['status', [], EXIT.done],
    ['status', ['--json'], EXIT.done],
    ['status', ['--is-up-to-date'], EXIT.done],
    ['update', [], EXIT.notRunning],
    ['update', ['--now', 'edge'], EXIT.notRunning],
    ['apply', ['edge'], EXIT.notRunning],
    ['rollback', ['edge'], EXIT.refused],
    ['pin', ['1.4.0', 'edge'], EXIT.done],
    ['unpin', ['edge'], EXIT.done],
    ['disable', [], EXIT.done],
    ['enable', [], EXIT.done],
    ['verify', ['edge'], EXIT.done],
    ['policy', ['check'], EXIT.done],
    ['diagnose', ['--out', 'OUT'], EXIT.done],
    ['uninstall', ['--yes', '--root', 'ROOT'], EXIT.failed],
    ['decommission', ['--yes'], EXIT.notRunning],
    ['decommission', ['--yes', '--force'], EXIT.done],
  ] as const)('%s %j', async (command, words, code) => {
    expect(commandsPart).toMatch(new RegExp(`^\\| .*\`${command}[ \`]`, 'm'));
    const places: Readonly<Record<string, string>> = { OUT: at('facts.json'), ROOT: at('image') };
    const given = words.map((word) => places[word] ?? word);
    expect(await agent(command, ...given), said).toBe(code);
    if (given.includes('--json')) Status.parse(JSON.parse(said));
    if (command === 'diagnose') expect(existsSync(at('facts.json'))).toBe(true);
  });

  it('its exit codes are those of the program, and of its help', async () => {
    const told = [...commandsPart.matchAll(/^\| (\d+) \|/gm)].map(([, code]) => Number(code));
    expect(told).toEqual(Object.values(EXIT).sort((a, b) => a - b));
    await agent('help');
    for (const code of told) expect(said).toMatch(new RegExp(`[:,\\n] ?${code} `));
  });

  it('every command of its table is one of the program, with these options', async () => {
    const rows = [...commandsPart.matchAll(/^\| `(.*?)` \|/gm)].map(([, words = '']) => words);
    expect(rows.length).toBeGreaterThanOrEqual(10);
    for (const row of rows) {
      const command = row.split(/[ `]/)[0] ?? '';
      const options: string[] = row.match(/--[a-z-]+/g) ?? [];
      expect(
        await agent(command, ...options, ...(options.includes('--out') ? ['x'] : []), '--help'),
        row,
      ).toBe(EXIT.done);
    }
  });

  it('a wrong word is answered with the nearest right one, and the usage', async () => {
    expect(await agent('updtae')).toBe(EXIT.usage);
    expect(said).toContain('did you mean update?');
    expect(said).toContain('Exit codes: 0 done');
  });
});
