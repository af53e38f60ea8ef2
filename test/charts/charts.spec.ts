import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeTempDir } from '../support/databases.js';
import { everyHelm, type Helm } from './helm.js';
import { KubeApiServer } from '../support/kube/api-server.js';
import { ROOT } from '../walls/tree.js';
import { CASES, GOLDEN, goldenOf, type Case } from './cases.js';
import { REFUSED } from './refused.js';

const WRITE = process.env['BELLWETHER_WRITE_GOLDEN'] === '1';
const folderOf = (chart: string): string => join(ROOT, 'deploy/chart', chart);
const valuesOf = ({ files }: Case): string[] => files.flatMap((file) => ['--values', file]);
const KUBE = ['--kube-version', '1.30.0'];

const render = async (helm: Helm, one: Case): Promise<string> => {
  const place = ['--namespace', 'bellwether', ...KUBE];
  const done = await helm.run('template', 'fleet', folderOf(one.chart), ...place, ...valuesOf(one));
  expect(done.ok, done.error).toBe(true);
  return done.out;
};

/** The chart without what it makes: Helm 3 looks each object up in a cluster before it says a word. */
const notesOnly = (chart: string, to: string): string => {
  const only = /^$|^(Chart[.]yaml|values.*|templates(\/(_helpers[.]tpl|NOTES[.]txt))?)$/;
  const from = folderOf(chart);
  cpSync(from, to, { recursive: true, filter: (file) => only.test(relative(from, file)) });
  return to;
};

/** NOTES.txt, as whoever installs it reads it. */
const notes = async (helm: Helm, one: Case, server: KubeApiServer): Promise<string> => {
  const dir = makeTempDir();
  try {
    const chart = notesOnly(one.chart, join(dir.path, one.chart));
    const dry = ['--dry-run=client', '--namespace', 'bellwether', '--kube-apiserver', server.url];
    const done = await helm.run('install', 'fleet', chart, ...dry, ...valuesOf(one));
    expect(done.ok, done.error).toBe(true);
    return done.out.slice(done.out.indexOf('\nNOTES:\n') + 8).trim();
  } finally {
    dir.remove();
  }
};

const sameAsGolden = (file: string, text: string): void => {
  if (WRITE) {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
  expect(text).toBe(existsSync(file) ? readFileSync(file, 'utf8') : '');
};

for (const { version, helm } of await everyHelm()) {
  const why = typeof helm === 'string' ? `: skipped, ${helm}` : '';
  describe.skipIf(typeof helm === 'string')(`the charts with helm ${version}${why}`, () => {
    const own = helm as Helm;
    const server = new KubeApiServer();
    beforeAll(() => server.start());
    afterAll(() => server.stop());

    it('is the helm that it says', async () => {
      expect((await own.run('version', '--short')).out).toContain(`v${version}`);
    });

    it.each(CASES)('lint: $chart, $name', async (one) => {
      const done = await own.run(
        ...['lint', '--strict', folderOf(one.chart), ...KUBE, ...valuesOf(one)],
      );
      expect(done.ok, done.out + done.error).toBe(true);
      expect(done.out).not.toMatch(/\[(WARNING|ERROR)\]/);
    });

    it.each(CASES)('template: $chart, $name, is as in test/charts/golden', async (one) => {
      sameAsGolden(goldenOf(one), await render(own, one));
    });

    it.each(CASES)('notes: $chart, $name', async (one) => {
      const text = await notes(own, one, server);
      sameAsGolden(goldenOf(one).replace(/yaml$/, 'notes.txt'), `${text}\n`);
    });

    it.each(REFUSED)('refuses $chart with $set', async ({ chart, set, says }) => {
      const needed = CASES.find((one) => one.chart === chart && one.name === 'default')!;
      const sets = set.flatMap((text) => ['--set', text]);
      const done = await own.run(
        ...['template', 'fleet', folderOf(chart), ...valuesOf(needed), ...sets],
      );
      expect([done.ok, done.out]).toEqual([false, '']);
      expect(done.error).toMatch(says);
    });
  });
}

describe('the golden files', () => {
  it('are those of the cases', () => {
    const wanted = CASES.flatMap((one) => {
      const file = relative(GOLDEN, goldenOf(one));
      return [file, file.replace(/yaml$/, 'notes.txt')];
    });
    const found = readdirSync(GOLDEN, { recursive: true, encoding: 'utf8' });
    const files = found.filter((name) => /[.](yaml|txt)$/.test(name));
    expect(files.sort()).toEqual(wanted.sort());
  });

  it('use every values file of the charts', () => {
    const used = new Set(CASES.flatMap(({ files }) => files));
    const unused = ['bellwether-agent', 'bellwether'].flatMap((chart) =>
      readdirSync(folderOf(chart))
        .filter((name) => name.startsWith('values-') && name.endsWith('.yaml'))
        .map((name) => join(folderOf(chart), name))
        .filter((file) => !used.has(file)),
    );
    expect(unused.map((file) => basename(file))).toEqual([]);
  });
});
