import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROUTES } from '../../src/protocol/api/index.js';
import { ERRORS } from '../../src/protocol/index.js';
import { openApiDocument } from '../../src/server/platform/http/index.js';
import { makeTempDir } from '../support/databases.js';
import { ROOT } from './tree.js';

type Build = (options: {
  readonly root: string;
  readonly out: string;
  readonly errors: object;
  readonly document: object;
}) => readonly { readonly name: string; readonly title: string }[];

describe('the documentation as a site', () => {
  const dir = makeTempDir();
  const pages = new Map<string, string>();
  beforeAll(async () => {
    const { buildDocs } = (await import(join(ROOT, 'scripts/build-docs.mjs'))) as {
      buildDocs: Build;
    };
    const out = join(dir.path, 'docs');
    buildDocs({ root: ROOT, out, errors: ERRORS, document: openApiDocument() });
    for (const name of readdirSync(out).filter((one) => one.endsWith('.html'))) {
      pages.set(name, readFileSync(join(out, name), 'utf8'));
    }
  }, 60_000);
  afterAll(() => dir.remove());

  const all = (text: string, pattern: RegExp): string[] =>
    [...text.matchAll(pattern)].map(([, found = '']) => found);
  const decoded = (text: string): string =>
    text.replace(/&#(\d+);/g, (_, code: string) => String.fromCodePoint(Number(code)));

  it('has every page of docs, and those that are made of lists', () => {
    const wanted = readdirSync(join(ROOT, 'docs'))
      .filter((name) => name.endsWith('.md') && name !== 'README.md')
      .map((name) => name.replace(/md$/, 'html'));
    const names = [...wanted, 'index.html', 'api.html', 'troubleshooting.html', 'about.html'];
    expect(names.filter((name) => !pages.has(name))).toEqual([]);
  });

  it('links to pages and headings that are there', () => {
    const broken = [...pages].flatMap(([name, html]) =>
      all(html, /<a [^>]*?href="([^"]*)"/g)
        .map(decoded)
        .filter((href) => !/^(https?:|mailto:|\/$)/.test(href))
        .filter((href) => {
          const [page = '', anchor] = href.split('#');
          const target = pages.get(page === '' ? name : page);
          const id = anchor === undefined ? null : `id="${anchor}"`;
          return target === undefined || (id !== null && !decoded(target).includes(id));
        })
        .map((href) => `${name}: ${href}`),
    );
    expect(broken).toEqual([]);
  });

  it('fetches nothing from elsewhere and runs nothing inline', () => {
    for (const [name, html] of pages) {
      const fetched = all(html, /(?:src|action)="([^"]*)"/g);
      const styles = all(html, /<link rel="stylesheet" href="([^"]*)"/g);
      expect([name, ...fetched, ...styles]).toEqual([
        name,
        'assets/search.js',
        'index.html',
        'assets/docs.css',
      ]);
      expect(html).not.toMatch(/<script(?! src="assets)|<style|\son\w+="|style="|javascript:/i);
      for (const asset of [...fetched, ...styles]) {
        expect(existsSync(join(dir.path, 'docs', asset))).toBe(true);
      }
    }
  });

  it('is markup that can be read aloud: one heading of the first rank, no id twice, tables with heads', () => {
    for (const [name, html] of pages) {
      const ids = all(html, / id="([^"]*)"/g);
      expect([name, all(html, /<(h1)[ >]/g).length]).toEqual([name, 1]);
      expect([name, ids.filter((id, i) => ids.indexOf(id) !== i)]).toEqual([name, []]);
      expect(all(html, /(<th>)/g)).toEqual([]);
      expect(html).toContain('<html lang="en">');
      expect(html).toContain('<label for="q">');
    }
  });

  it('has each error code with what to do, and each route with its example', () => {
    const codes = pages.get('troubleshooting.html') ?? '';
    const missing = Object.keys(ERRORS).filter((code) => !codes.includes(`id="${code}"`));
    expect(missing).toEqual([]);
    const api = pages.get('api.html') ?? '';
    const slug = (name: string): string => name.replaceAll('.', '');
    expect(Object.keys(ROUTES).filter((name) => !api.includes(`id="${slug(name)}"`))).toEqual([]);
  });

  it('finds by its index what is on the pages', () => {
    const index = JSON.parse(readFileSync(join(dir.path, 'docs/search.json'), 'utf8')) as {
      href: string;
      title: string;
      text: string;
    }[];
    const hit = index.find(({ title }) => title === 'upgrade_unhealthy');
    expect(hit?.href).toBe('troubleshooting.html#upgrade_unhealthy');
    expect(hit?.text).toContain('What to do');
    const lost = index.filter(({ href }) => !pages.has(href.split('#')[0] ?? ''));
    expect(lost).toEqual([]);
  });
});
