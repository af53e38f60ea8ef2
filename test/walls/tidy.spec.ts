import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from './tree.js';

const LINES_MAX = 420;
/** Tables: each row is one thing, and a table cut in two is harder to read than a long one. */
const TABLES = ['src/protocol/errors.ts', 'src/protocol/api/routes.ts'];
const DEPTH_MAX = 5;
const FILES_PER_FOLDER_MAX = 32;

const FOLDERS = ['src', 'test', 'migrations', 'scripts'];
const files = FOLDERS.flatMap((folder) =>
  readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name))),
);
const sources = files.filter((file) => /[.](ts|tsx|mjs)$/.test(file));
const isSpec = (file: string): boolean => file.endsWith('.spec.ts');
const linesOf = (file: string): number => readFileSync(join(ROOT, file), 'utf8').split('\n').length;

describe('the tree', () => {
  it('holds files that can be read in one go', () => {
    const long = sources.filter((file) => linesOf(file) > LINES_MAX && !TABLES.includes(file));
    expect(long).toEqual([]);
  });

  it('is flat', () => {
    expect(files.filter((file) => file.split('/').length > DEPTH_MAX)).toEqual([]);
    const perFolder = new Map<string, number>();
    for (const file of sources.filter((one) => !isSpec(one))) {
      perFolder.set(dirname(file), (perFolder.get(dirname(file)) ?? 0) + 1);
    }
    expect([...perFolder].filter(([, count]) => count > FILES_PER_FOLDER_MAX)).toEqual([]);
  });

  it('has no drawer for odds and ends, and names files in one way', () => {
    const drawers = /(^|\/)(utils?|helpers?|common|misc|shared|lib|base)([./-]|$)/;
    expect(files.filter((file) => drawers.test(file))).toEqual([]);
    const odd = sources.filter((file) => !/^[a-z0-9]+([.-][a-z0-9]+)*$/.test(nameOf(file)));
    expect(odd).toEqual([]);
  });

  it('tells in each room of the house what it is for', () => {
    const rooms = ['src/core', 'src/server']
      .flatMap((folder) => foldersIn(folder).map((name) => `${folder}/${name}`))
      .concat(foldersIn('src').map((name) => `src/${name}`));
    expect(rooms.length).toBeGreaterThan(15);
    expect(rooms.filter((room) => !existsSync(join(ROOT, room, 'README.md')))).toEqual([]);
  });

  it('keeps each spec next to what it is about', () => {
    const lonely = sources
      .filter((file) => isSpec(file) && file.startsWith('src/'))
      .filter((file) => !sources.some((one) => !isSpec(one) && dirname(one) === dirname(file)));
    expect(lonely).toEqual([]);
  });

  it('runs every test: none is left out, none is the only one', () => {
    const held = sources.filter((file) =>
      /\b(it|describe|test)[.](only|skip|todo)\b/.test(readFileSync(join(ROOT, file), 'utf8')),
    );
    expect(held.filter((file) => file !== 'test/walls/tidy.spec.ts')).toEqual([]);
  });
});

const nameOf = (file: string): string => file.slice(file.lastIndexOf('/') + 1);

const foldersIn = (folder: string): string[] =>
  readdirSync(join(ROOT, folder), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);
