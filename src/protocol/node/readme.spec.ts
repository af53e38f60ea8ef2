import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ERRORS } from '../errors.js';
import { CLOSE, ManagerMessage, NODE_MESSAGE_TYPES } from './index.js';
import * as limits from './limits.js';

const text = readFileSync(new URL('../README.md', import.meta.url), 'utf8');

/** The first two cells of each row of the tables in a section. */
function rowsOf(section: string): [string, string][] {
  const start = text.indexOf(`## ${section}`);
  const end = text.indexOf('\n## ', start + 1);
  return text
    .slice(start, end)
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => {
      const [, name = '', value = ''] = line.split('|').map((cell) => cell.trim());
      return [name.replaceAll('`', ''), value.replaceAll('`', '')];
    });
}

describe('the normative text', () => {
  it('names every limit with its value, and no other', () => {
    const inCode = Object.entries(limits).map(([name, value]) => [name, String(value)]);
    expect(Object.fromEntries(rowsOf('3. Limits'))).toEqual(Object.fromEntries(inCode));
  });

  it('names every close code with its number, and no other', () => {
    const inCode = Object.entries(CLOSE).map(([name, code]) => [name, String(code)]);
    expect(Object.fromEntries(rowsOf('4. Close codes'))).toEqual(Object.fromEntries(inCode));
  });

  it('has one paragraph for each message', () => {
    const types = ManagerMessage.options.map((option) => option.shape.type.value);
    for (const type of [...NODE_MESSAGE_TYPES, ...types]) {
      expect(text.split(`\n**\`${type}\`** `)).toHaveLength(2);
    }
  });

  it('uses only error codes that exist', () => {
    const codes = text.match(/`(jwt|message|command|upgrade|frame)_[a-z_]+`/g) ?? [];
    const known = new Set([...Object.keys(ERRORS), ...Object.keys(CLOSE), 'command_id']);
    known.add('upgrade_binary');
    expect(codes.filter((code) => !known.has(code.replaceAll('`', '')))).toEqual([]);
  });
});
