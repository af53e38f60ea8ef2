import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ServiceConfig } from '../../src/agent/supervisor/index.js';
import { parse } from 'smol-toml';
import { ROOT } from './tree.js';

const page = readFileSync(join(ROOT, 'docs/agent.md'), 'utf8');
const ROW = /`(test\/[\w/.-]+\.ts)` “([^”]+)” \|$/;

it('docs/agent.md names for each promise of the watchdog a test that exists', () => {
  const table = page.slice(page.indexOf('## What the watchdog promises')).split('\n');
  const promises = table.filter((line) => line.startsWith('| ')).slice(1);
  expect(promises.length).toBeGreaterThanOrEqual(13);
  const broken = promises.filter((row) => {
    const [, file = '', title = ''] = ROW.exec(row) ?? [];
    const path = join(ROOT, file);
    return title === '' || !existsSync(path) || !readFileSync(path, 'utf8').includes(`'${title}'`);
  });
  expect(broken).toEqual([]);
});

it('docs/agent.md shows services that the agent takes', () => {
  const examples = [...page.matchAll(/```toml\n([^]*?)```/g)].map(([, text = '']) => parse(text));
  const services = examples.flatMap(({ services: found }) => (found ?? []) as unknown[]);
  expect(services.map((service) => ServiceConfig.parse(service).driver)).toEqual([
    'systemd',
    'hooks',
    'systemd',
  ]);
});
