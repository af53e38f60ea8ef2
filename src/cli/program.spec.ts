import { describe, expect, it } from 'vitest';
import { COMMANDS } from './commands.js';
import { runProgram } from './program.js';
import { recordingTerminal } from '../../test/support/recording-terminal.js';

async function run(
  words: readonly string[],
  env: Record<string, string> = {},
): Promise<{ code: number; out: string; err: string }> {
  const terminal = recordingTerminal(env);
  const code = await runProgram(words, terminal);
  return { code, out: terminal.outText(), err: terminal.errText() };
}

describe('the command line', () => {
  it.each([[[]], [['help']], [['--help']], [['-h']]])('explains itself: %j', async (words) => {
    const { code, out } = await run(words);
    expect(code).toBe(0);
    for (const { name } of COMMANDS) expect(out).toContain(name);
  });

  it('explains every command, with all its options', async () => {
    for (const command of COMMANDS) {
      const words = command.name.split(' ');
      const { code, out } = await run([...words, '--help']);
      expect(code).toBe(0);
      expect((await run(['help', ...words])).out).toBe(out);
      for (const option of Object.keys(command.options)) expect(out).toContain(`--${option}`);
    }
  });

  it.each<[string, string[], string]>([
    ['a slip', ['relase', 'pack'], 'Did you mean `bellwether release pack`?'],
    ['a slip in the second word', ['nodes', 'lits'], 'Did you mean `bellwether nodes list`?'],
    ['half a command', ['release'], 'needs a second word: init, keygen, pack, sign'],
    ['a habit', ['get', 'nodes'], 'Did you mean `bellwether nodes list`?'],
    ['a habit with a name', ['describe', 'node', 'x'], 'Did you mean `bellwether nodes show x`?'],
    ['a habit behind its noun', ['node', 'get', 'x'], 'Did you mean `bellwether nodes show x`?'],
    ['a verb that is another here', ['token', 'rm', 'x'], '`bellwether tokens revoke x`?'],
    ['a verb in front', ['create', 'group', 'x'], 'Did you mean `bellwether groups create x`?'],
    ['a form that is none', ['nodes', 'list', '-o', 'xml'], 'take one of table, wide, json, yaml'],
    ['a column that is none', ['context', 'list', '--columns', 'x'], 'there is no column x'],
    ['nothing near', ['xyzzy'], 'there is no command `xyzzy`'],
    ['an unknown option', ['nodes', 'list', '--statsu', 'x'], 'Did you mean --status?'],
    ['an option far from all', ['nodes', 'list', '--zzzzzzzz'], 'has no option --zzzzzzzz'],
    ['a missing value', ['nodes', 'list', '--status'], '--status needs a value: --status S'],
    ['a forgotten value', ['release', 'keygen', '--out', '--name'], '--out needs a value'],
    ['a value for a switch', ['rollouts', 'watch', 'x', '--through-pauses=1'], 'takes no value'],
    ['an option twice', ['nodes', 'list', '--group=a', '--group=b'], '--group was given twice'],
    ['a missing operand', ['nodes', 'show'], '`nodes show` needs ID'],
    ['a missing option', ['release', 'sign', 'x'], '`release sign` needs --key FILE'],
    ['too many words', ['nodes', 'show', 'a', 'b'], '`nodes show` does not take `b`'],
    ['a wrong value', ['nodes', 'list', '--status', 'gone'], '--status gone: take one of pending'],
    ['no token', ['nodes', 'list', '--limit=0'], 'no token was given'],
    ['a manager that is no address', ['nodes', 'list', '--manager', 'x'], 'http://host:port'],
    ['a password in an address', ['nodes', 'list', '--manager=http://a:b@h'], 'http://host:port'],
    ['waves that are no percents', upgrade('--waves', 'ten'), 'rising percents'],
    ['a strategy that nobody knows', upgrade('--strategy=big'), 'take one of staged, rolling'],
    ['an option of another strategy', upgrade('--canary-percent=5'), 'canary, not for staged'],
    ['rings without a plan', upgrade('--strategy=scheduled'), 'its rings from --plan FILE'],
    ['waves without a plan', upgrade('--strategy=custom'), 'its waves from --plan FILE'],
    ['a limit that is none', upgrade('--max-failures', 'few'), 'a share such as 10%, or any'],
    ['a domain without a limit', upgrade('--domain', 'site'), 'a pair such as site=fra'],
    ['a domain with a bad limit', upgrade('--domain', 'site=x'), 'a number such as 3'],
    ['a moment without a zone', upgrade('--apply-after=2026-12-01T22:00'), '2026-12-01T22:00:00Z'],
    ['a time span in words', upgrade('--expires-after', 'a week'), 'such as 30m, 12h, 7d'],
    ['a rollout of nothing', ['rollouts', 'create'], 'needs --product P, --version V'],
    ['a label without a value', create('--label', 'site'), 'a pair such as site=fra'],
    ['a wave 0', ['rollouts', 'approve', 'rol_x', '--wave', '0'], 'take 1 or more'],
    ['no wave', ['rollouts', 'skip-wave', 'rol_x'], 'needs --wave N'],
    ['a slip in a verb', ['rollouts', 'aprove'], 'Did you mean `bellwether rollouts approve`?'],
    ['a slip in an option', create('--max-failure=1'), 'Did you mean --max-failures?'],
    ['why without a node', ['rollouts', 'why', 'rol_x'], '`rollouts why` needs NODE'],
    ['a note without a mode', ['groups', 'switch', 'g', '--note=x'], '--note goes with --set'],
    ['a mode that is none', ['groups', 'switch', 'g', '--set=off'], 'take one of enabled, susp'],
    ['a freeze without an end', ['groups', 'freeze', 'g', '--name=x', '--from=y'], '--to T'],
    ['a thaw of nothing', ['groups', 'thaw', 'g'], '`groups thaw` needs FREEZE'],
  ])('answers %s with exit code 2 and the way out', async (_what, words, told) => {
    const env: Record<string, string> =
      told === 'http://host:port' ? { BELLWETHER_TOKEN: 'bwt_x' } : {};
    const { code, out, err } = await run(words, env);
    expect(err).toContain(told);
    expect(err).toContain('[cli_usage]');
    expect(err.trimEnd().split('\n')).toHaveLength(1);
    expect([code, out]).toEqual([2, '']);
  });

  it.each([
    [['node', 'list']],
    [['no', 'ls']],
    [['group', 'rm']],
    [['rollout', 'watch']],
    [['sink', 'rm']],
    [['releases', 'ls']],
    [['contexts', 'rm']],
  ])('knows a command by its other names: %j', async (words) => {
    const { code, out } = await run([...words, '--help']);
    expect([code, out]).toEqual([0, expect.stringMatching(/^bellwether \w+ \w+: /)]);
  });

  it('explains a noun with all its verbs', async () => {
    const { code, out } = await run(['node', '--help']);
    expect([code, out]).toEqual([0, expect.stringContaining('  nodes transfer')]);
    expect((await run(['help', 'nodes'])).out).toBe(out);
  });

  it('tells a program what went wrong as JSON', async () => {
    const { code, err } = await run(['nodes', 'show', '-o', 'json']);
    expect(JSON.parse(err)).toMatchObject({ code: 'cli_usage' });
    expect(code).toBe(2);
  });

  it('shows nothing of what would steer a terminal', async () => {
    const { err } = await run(['\u001b[2Jx']);
    expect(err).not.toContain('\u001b');
  });

  it('ends with 3 when no manager answers', async () => {
    const env = { BELLWETHER_TOKEN: 'bwt_x' };
    // Port 9 (discard) is not served on machines of this century.
    const { code, err } = await run(['nodes', 'list', '--manager', 'http://127.0.0.1:9'], env);
    expect([code, err]).toEqual([3, expect.stringContaining('[manager_unreachable]')]);
    expect(err).not.toContain('bwt_x');
  });

  it('ends with 1 and one line when a file is not there', async () => {
    const { code, err } = await run(['nodes', 'list', '--token-file', '/nonexistent/token']);
    expect(code).toBe(1);
    expect(err).toContain('[local_file_failed]');
    expect(err.trimEnd().split('\n')).toHaveLength(1);
  });

  it('warns when the token would travel in the clear', async () => {
    const env = { BELLWETHER_TOKEN: 'bwt_x' };
    const { err } = await run(['nodes', 'list', '--manager', 'http://manager.invalid:1'], env);
    expect(err).toContain('without TLS');
  });
});

function create(...more: string[]): string[] {
  return ['rollouts', 'create', '--product=edge', '--version=1.0.0', ...more];
}

function upgrade(...more: string[]): string[] {
  return ['groups', 'upgrade', 'grp_default', '--product=edge', '--version=1.0.0', ...more];
}
