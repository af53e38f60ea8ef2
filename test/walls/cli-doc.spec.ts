import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { describe, expect, it } from 'vitest';
import { GroupDoc, RolloutDoc, SinkDoc } from '../../src/cli/apply/kinds.js';
import type { Command, OptionSpec } from '../../src/cli/command.js';
import { COMMANDS } from '../../src/cli/commands.js';
import { LIST_OPTIONS, MANAGER_OPTIONS } from '../../src/cli/connection.js';
import { EXIT, EXIT_MEANINGS } from '../../src/cli/exit.js';
import { CLI_VERSION } from '../../src/cli/version.js';
import { commandNamed } from '../../src/cli/words.js';
import { ROOT } from './tree.js';

const PAGE = join(ROOT, 'docs/cli.md');
const MARK = '<!-- reference: written by test/walls/cli-doc.spec.ts -->';

const cell = (text: string): string => text.replaceAll('|', '\\|');
const optionRow = ([name, spec]: readonly [string, OptionSpec]): string => {
  const short = spec.short === undefined ? '' : `\`-${spec.short}\`, `;
  const value = spec.value === undefined ? '' : ` ${spec.value}`;
  const more = [
    ...(spec.isRequired === true ? ['needed'] : []),
    ...(spec.isMultiple === true ? ['may be repeated'] : []),
  ];
  const tail = more.length === 0 ? '' : ` (${more.join(', ')})`;
  return `| ${short}\`--${name}${cell(value)}\` | ${cell(spec.help)}${tail} |`;
};

/** Options that many commands have in common, told once. */
const COMMON: ReadonlyMap<string, OptionSpec> = new Map(Object.entries(LIST_OPTIONS));

function sectionOf(command: Command): string {
  const options = Object.entries(command.options);
  const own = options.filter(([name, spec]) => COMMON.get(name)?.help !== spec.help);
  const common = options.filter((one) => !own.includes(one)).map(([name]) => `\`--${name}\``);
  return [
    `### ${command.name}`,
    '',
    `\`bellwether ${[command.name, ...command.operands].join(' ')}\`: ${command.summary}`,
    ...(own.length === 0 ? [] : ['', '| option | |', '|---|---|', ...own.map(optionRow)]),
    ...(common.length === 0 ? [] : ['', `Also ${common.join(', ')}.`]),
    ...(command.notes === undefined ? [] : ['', ...command.notes.map((note) => `> ${note}`)]),
    '',
  ].join('\n');
}

const exitRows = Object.entries(EXIT).map(
  ([name, code]) => `| ${code} | ${EXIT_MEANINGS[name as keyof typeof EXIT]} |`,
);

const reference = [
  MARK,
  '',
  '## Exit codes',
  '',
  '| code | means |',
  '|---|---|',
  ...exitRows,
  '',
  '## Common options',
  '',
  '| option | |',
  '|---|---|',
  ...[...COMMON].map(optionRow),
  '',
  '## Commands',
  '',
  ...COMMANDS.map(sectionOf),
].join('\n');

const wanted = `${reference.trimEnd()}\n`;
if (process.env['BELLWETHER_WRITE_CLI_REFERENCE'] === '1') {
  const page = readFileSync(PAGE, 'utf8');
  writeFileSync(PAGE, page.slice(0, page.indexOf(MARK)) + wanted);
}
const page = readFileSync(PAGE, 'utf8');
const head = page.slice(0, page.indexOf(MARK));

describe('docs/cli.md', () => {
  it('has every command, option and exit code as they are', () => {
    expect(page.slice(page.indexOf(MARK))).toBe(wanted);
  });

  it('shows commands with options that there are', () => {
    const lines = [...head.matchAll(/```(?:sh)?\n([^]*?)```/g)]
      .flatMap(([, block = '']) => block.replaceAll('\\\n', ' ').split('\n'))
      .flatMap((line) =>
        [...line.matchAll(/bellwether ([^|>#;)&]*)/g)].map(([, rest = '']) => rest),
      );
    expect(lines.length).toBeGreaterThan(20);
    for (const line of lines) {
      const words = line.trim().split(/\s+/);
      const found = commandNamed(words, COMMANDS);
      expect([line, found === null]).toEqual([line, false]);
      const known = Object.keys(found?.command.options ?? {});
      const given = [...line.matchAll(/--([a-z-]+)/g)].map(([, name = '']) => name);
      expect([line, given.filter((name) => !known.includes(name))]).toEqual([line, []]);
    }
  });

  it('shows files that `apply` takes', () => {
    const schemas = { Group: GroupDoc, Sink: SinkDoc, Rollout: RolloutDoc } as const;
    const documents = [...head.matchAll(/```yaml\n([^]*?)```/g)]
      .flatMap(([, text = '']) => parseAllDocuments(text) as { toJS(): { kind: string } }[])
      .map((document) => document.toJS())
      .filter(({ kind }) => kind in schemas);
    expect(new Set(documents.map(({ kind }) => kind)).size).toBe(3);
    for (const document of documents) {
      expect(schemas[document.kind as keyof typeof schemas].safeParse(document).error).toBe(
        undefined,
      );
    }
  });
});

it('the common options are those of a list that talks to a manager', () => {
  for (const name of Object.keys(MANAGER_OPTIONS)) expect(COMMON.has(name)).toBe(true);
});

it('the command line has the version that package.json tells', () => {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    version: string;
  };
  expect(CLI_VERSION).toBe(version);
});
