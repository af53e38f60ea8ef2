import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ERRORS } from '../../src/protocol/index.js';
import { loadConfig } from '../../src/server/platform/config/index.js';
import { ROOT } from './tree.js';

const textOf = (file: string): string => readFileSync(join(ROOT, file), 'utf8');
const linesOf = (file: string): string[] => textOf(file).split('\n');

/** Pages that people read first; those beside the code are checked by their neighbours. */
const PAGES = ['.', 'docs']
  .flatMap((folder) => readdirSync(join(ROOT, folder)).map((name) => join(folder, name)))
  .filter((file) => file.endsWith('.md'));

describe('docs/errors.md', () => {
  const wanted = Object.entries(ERRORS).map(
    ([code, { http, severity, meaning, fix }]) =>
      `| \`${code}\` | ${http ?? '–'} | ${severity} | ${meaning} | ${fix} |`,
  );
  const rows = linesOf('docs/errors.md').filter((line) => line.startsWith('| `'));

  it('has each code as it is in src/protocol/errors.ts', () => {
    expect(wanted.filter((row) => !rows.includes(row))).toEqual([]);
  });

  it('has no others, and none twice', () => {
    expect(rows.filter((row) => !wanted.includes(row))).toEqual([]);
    expect(rows.length).toBe(wanted.length);
  });
});

describe('the configuration in README.md', () => {
  const source = textOf('src/server/platform/config/config.ts');
  const variables = [...source.matchAll(/^ {2}([A-Z][A-Z0-9_]+):/gm)].map(([, name = '']) => name);
  const rowOf = (name: string): string | undefined =>
    linesOf('README.md').find((line) => line.startsWith(`| \`${name}\` |`));

  it('has a row for each variable that the manager reads', () => {
    expect(variables.length).toBeGreaterThanOrEqual(9);
    expect(variables.filter((name) => rowOf(name) === undefined)).toEqual([]);
  });

  it('tells each default as it is', () => {
    const defaults = new Map(Object.entries(loadConfig({})));
    const wrong = variables.filter((name) => {
      const value: unknown = defaults.get(propertyOf(name));
      if (typeof value !== 'string' && typeof value !== 'number') return false;
      return !(rowOf(name) ?? '').includes(`| \`${value}\` |`);
    });
    expect(wrong).toEqual([]);
  });

  it('names no variable that nobody reads', () => {
    const code = ['src', 'scripts']
      .flatMap((folder) =>
        readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
          .filter((name) => /[.](ts|mjs)$/.test(name) && !name.endsWith('.spec.ts'))
          .map((name) => textOf(join(folder, name))),
      )
      .join('\n');
    const named = linesOf('README.md')
      .map((line) => /^\| `([A-Z][A-Z0-9_]+)` \|/.exec(line)?.[1])
      .filter((name) => name !== undefined);
    expect(named.filter((name) => !new RegExp(`\\b${name}\\b`).test(code))).toEqual([]);
  });
});

describe('the pages', () => {
  it('link to files that exist', () => {
    const broken = PAGES.flatMap((page) =>
      [...textOf(page).matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)]
        .map(([, target = '']) => target)
        .filter((target) => !/^(https?|mailto):/.test(target))
        .filter((target) => !existsSync(join(ROOT, dirname(page), target)))
        .map((target) => `${page}: ${target}`),
    );
    expect(broken).toEqual([]);
  });

  it('name files of the tree as they are', () => {
    const named = /`((?:src|test|docs|deploy|migrations|scripts|\.ci|\.github)\/[\w./-]*)`/g;
    const missing = PAGES.flatMap((page) =>
      [...textOf(page).matchAll(named)]
        .map(([, path = '']) => path)
        .filter((path) => !existsSync(join(ROOT, path)))
        .map((path) => `${page}: ${path}`),
    );
    expect(missing).toEqual([]);
  });
});

/** `BELLWETHER_DATA_DIR` to `dataDir`, as the configuration calls it. */
const propertyOf = (variable: string): string =>
  variable
    .replace(/^BELLWETHER_/, '')
    .toLowerCase()
    .replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
