/** One forbidden import (or forbidden word) for each wall, and the file it is planted in. */
export interface Plant {
  /** The rule that must catch it. */
  readonly rule: string;
  /** Where it is planted, from the root; a file that does not exist in the real tree. */
  readonly file: string;
  readonly code: string;
}

const importing = (specifier: string): string => `import '${specifier}';\n`;

/** Forbidden imports, at least one for each rule of imports.mjs. */
export const FORBIDDEN_IMPORTS: readonly Plant[] = [
  {
    rule: 'client-knows-types-only',
    file: 'src/client/planted-core.ts',
    code: importing('../core/kernel/index.js'),
  },
  {
    rule: 'manager-and-agent-are-no-clients',
    file: 'src/agent/planted-client.ts',
    code: importing('../client/index.js'),
  },
  {
    rule: 'no-circular',
    file: 'src/cli/planted-circle.ts',
    code: `export * from './planted-back.js';\n`,
  },
  {
    rule: 'no-circular',
    file: 'src/cli/planted-back.ts',
    code: `export * from './planted-circle.js';\n`,
  },
  {
    rule: 'no-unresolvable',
    file: 'src/agent/planted-nowhere.ts',
    code: importing('./not-there.js'),
  },
  { rule: 'core-is-pure', file: 'src/core/kernel/planted-file.ts', code: importing('node:fs') },
  { rule: 'core-is-pure', file: 'src/core/release/planted-log.ts', code: importing('pino') },
  {
    rule: 'core-is-pure',
    file: 'src/core/access/planted-wire.ts',
    code: `import type { ErrorCode } from '../../protocol/errors.js';\nexport type Code = ErrorCode;\n`,
  },
  {
    rule: 'core-siblings',
    file: 'src/core/access/planted-sibling.ts',
    code: importing('../release/index.js'),
  },
  {
    rule: 'core-rollout-knows',
    file: 'src/core/rollout/planted-sibling.ts',
    code: importing('../access/index.js'),
  },
  {
    rule: 'core-update-knows',
    file: 'src/core/update/planted-sibling.ts',
    code: importing('../rollout/index.js'),
  },
  {
    rule: 'protocol-knows-core-only',
    file: 'src/protocol/api/planted-server.ts',
    code: importing('../../server/events/index.js'),
  },
  {
    rule: 'the-operator-knows-parts-of-the-agent',
    file: 'src/operator/planted.ts',
    code: "export { run } from '../agent/run.js';",
  },
  {
    rule: 'programs-are-strangers',
    file: 'src/agent/planted-manager.ts',
    code: importing('../server/platform/index.js'),
  },
  {
    rule: 'programs-are-strangers',
    file: 'src/cli/planted-agent.ts',
    code: importing('../agent/updater/index.js'),
  },
  {
    rule: 'programs-are-strangers',
    file: 'src/server/events/planted-agent.ts',
    code: `export const later = () => import('../../agent/updater/index.js');\n`,
  },
  {
    rule: 'simulator-runs-decisions-only',
    file: 'src/simulator/planted-shell.ts',
    code: importing('../server/events/index.js'),
  },
  {
    rule: 'front-door-only',
    file: 'src/server/rollouts/planted-window.ts',
    code: importing('../events/event-log.js'),
  },
  {
    rule: 'front-door-only',
    file: 'src/server/fleet/planted-window.ts',
    code: importing('../platform/database/engine.js'),
  },
  {
    rule: 'front-door-only',
    file: 'src/demo/planted-window.ts',
    code: importing('../core/kernel/time.js'),
  },
  {
    rule: 'server-modules-end-below-the-roof',
    file: 'src/server/audit/planted-roof.ts',
    code: importing('../app.module.js'),
  },
  {
    rule: 'nest-stays-in-the-manager',
    file: 'src/agent/planted-nest.ts',
    code: importing('@nestjs/common'),
  },
  {
    rule: 'typeorm-stays-in-the-database',
    file: 'src/server/fleet/planted-orm.ts',
    code: importing('typeorm'),
  },
  {
    rule: 'drivers-stay-in-the-database',
    file: 'src/server/events/planted-driver.ts',
    code: `import type { Client } from 'pg';\nexport type Its = Client;\n`,
  },
  {
    rule: 'redis-stays-behind-its-ports',
    file: 'src/server/rollouts/planted-redis.ts',
    code: importing('bullmq'),
  },
  {
    rule: 'sockets-stay-in-the-links',
    file: 'src/server/rollouts/planted-socket.ts',
    code: importing('ws'),
  },
  {
    rule: 'sigstore-stays-in-its-adapter',
    file: 'src/core/release/planted-shortcut.ts',
    code: importing('@sigstore/verify'),
  },
  {
    rule: 'opentelemetry-stays-in-its-room',
    file: 'src/server/telemetry/planted-shortcut.ts',
    code: importing('@opentelemetry/api'),
  },
  {
    rule: 'migrations-know-typeorm-only',
    file: 'migrations/planted-rule.ts',
    code: importing('../src/core/kernel/index.js'),
  },
  {
    rule: 'migrations-run-in-the-database',
    file: 'src/server/rollouts/planted-schema.ts',
    code: importing('../../../migrations/index.js'),
  },
  {
    rule: 'programs-do-without-tests',
    file: 'src/cli/planted-support.ts',
    code: importing('../../test/support/databases.js'),
  },
  {
    rule: 'programs-do-without-dev-packages',
    file: 'src/server/audit/planted-dev.ts',
    code: importing('fast-check'),
  },
  // Each module of the manager looks at its right neighbour, which it must not know.
  ...(
    [
      ['platform', 'gateway'],
      ['gateway', 'audit'],
      ['audit', 'access'],
      ['access', 'people'],
      ['people', 'events'],
      ['events', 'fleet'],
      ['fleet', 'enrollment'],
      ['enrollment', 'releases'],
      ['releases', 'plans'],
      ['plans', 'rollouts'],
      ['rollouts', 'schedules'],
      ['schedules', 'overview'],
      ['overview', 'find'],
      ['find', 'telemetry'],
      ['telemetry', 'backup'],
    ] as const
  ).map(([module, neighbour]) => ({
    rule: `server-${module}-looks-right`,
    file: `src/server/${module}/planted-neighbour.ts`,
    code: importing(`../${neighbour}/index.js`),
  })),
];

/** Code that the linter must refuse, one for each rule that guards the purity of the core. */
export const FORBIDDEN_CODE: readonly Plant[] = [
  {
    rule: 'no-restricted-properties',
    file: 'src/core/kernel/planted-now.ts',
    code: 'export const now = (): number => Date.now();\n',
  },
  {
    rule: 'no-restricted-properties',
    file: 'src/core/rollout/planted-chance.ts',
    code: 'export const chance = (): number => Math.random();\n',
  },
  {
    rule: 'no-restricted-syntax',
    file: 'src/core/update/planted-date.ts',
    code: 'export const today = (): Date => new Date();\n',
  },
  {
    rule: 'no-restricted-globals',
    file: 'src/core/release/planted-process.ts',
    code: 'export const pid = (): number => process.pid;\n',
  },
  {
    rule: 'no-restricted-imports',
    file: 'src/core/release/planted-random.ts',
    code: `import { randomBytes } from 'node:crypto';\nexport const some = randomBytes(8);\n`,
  },
  {
    rule: 'no-restricted-properties',
    file: 'src/server/fleet/planted-env.ts',
    code: `export const home = process.env['HOME'];\n`,
  },
  {
    rule: '@typescript-eslint/no-explicit-any',
    file: 'src/agent/planted-any.ts',
    code: 'export const loose: any = 1;\n',
  },
  {
    rule: '@typescript-eslint/no-non-null-assertion',
    file: 'src/cli/planted-bang.ts',
    code: 'export const first = (all: readonly string[]): string => all[0]!;\n',
  },
  {
    rule: '@typescript-eslint/no-floating-promises',
    file: 'src/agent/planted-promise.ts',
    code: 'export function go(): void {\n  Promise.resolve(1);\n}\n',
  },
  {
    rule: '@typescript-eslint/no-misused-promises',
    file: 'src/demo/planted-misuse.ts',
    code: 'export const go = (): unknown => setTimeout(async () => Promise.resolve(), 1);\n',
  },
  {
    rule: '@typescript-eslint/switch-exhaustiveness-check',
    file: 'src/protocol/planted-switch.ts',
    code:
      `export function word(of: 'a' | 'b'): string {\n` +
      `  switch (of) {\n    case 'a':\n      return 'A';\n  }\n  return '';\n}\n`,
  },
];
