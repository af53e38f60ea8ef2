import { expect, it } from 'vitest';
import { ServiceConfig } from './index.js';

const NAMES = { name: 'edge', product: 'edge', root: '/opt/bellwether/edge' };
const COMMANDS = { start: ['up'], stop: ['down'], status: ['is-up'] };

const problemsOf = (service: Record<string, unknown>): string[] => {
  const parsed = ServiceConfig.safeParse({ ...NAMES, ...service });
  const issues = parsed.success ? [] : parsed.error.issues;
  return issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
};

it.each([
  { exec: 'bin/edge', args: ['-v'], env: { PORT: '80' } },
  { driver: 'child', exec: 'bin/edge' },
  { driver: 'systemd' },
  { driver: 'systemd', unit: 'edge@one.service' },
  { driver: 'hooks', commands: COMMANDS },
])('a service may say %j', (service) => {
  expect(problemsOf(service)).toEqual([]);
});

it.each([
  [{}, 'exec: driver = "child" needs it'],
  [{ exec: 'run', unit: 'edge.service' }, 'unit: driver = "child" does not use it'],
  [{ driver: 'systemd', exec: 'run' }, 'exec: driver = "systemd" does not use it'],
  [{ driver: 'systemd', env: { A: 'b' } }, 'env: driver = "systemd" does not use it'],
  [{ driver: 'hooks' }, 'commands: driver = "hooks" needs it'],
  [{ driver: 'systemd', unit: '--now.service' }, 'unit: must name a .service unit'],
  [{ driver: 'systemd', unit: '../x.service' }, 'unit: must name a .service unit'],
  [{ driver: 'systemd', unit: 'edge.socket' }, 'unit: must name a .service unit'],
])('one that says %j is told what is wrong', (service, problem) => {
  expect(problemsOf(service)).toEqual([problem]);
});
