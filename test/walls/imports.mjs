// Which file may import which: the walls of the house, as dependency-cruiser reads them. Each rule
// is planted with a violation by imports.spec.ts and must catch it.
import { readdirSync } from 'node:fs';
import { join, relative } from 'node:path';

/** Each module of the manager knows only those to its left. */
export const SERVER_ORDER = [
  'platform',
  'gateway',
  'audit',
  'access',
  'people',
  'events',
  'fleet',
  'enrollment',
  'releases',
  'plans',
  'rollouts',
  'schedules',
  'overview',
  'find',
  'telemetry',
  'backup',
];

const SPEC = '[.]spec[.]ts$';

/** The simulators tie manager and agent together without their shells: here they take their parts, behind the doors. */
const REAL_PARTS = '^src/simulator/(world|live)/parts[.]ts$';

/** What the agent lends to the operator, which is its part in a cluster; it has no other door. */
const AGENT_PARTS = '^src/agent/parts/';

/** What rules may stand on: libraries that do no IO, and hashing and signatures. */
const PURE_LIBRARIES = [
  '(^|/)node_modules/(zod|semver|@types/semver)/',
  '(^|/)node_modules/@sigstore/(verify|bundle|protobuf-specs)/',
  '^(node:)?crypto$',
];

/** Folders with a door of their own: whoever is outside imports `index.ts` and nothing else. */
const doors = (root) =>
  readdirSync(join(root, 'src'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.name === 'index.ts')
    .map((entry) => relative(root, entry.parentPath))
    .sort();

const lookingUp = SERVER_ORDER.slice(0, -1).map((name, i) => ({
  name: `server-${name}-looks-right`,
  severity: 'error',
  from: { path: `^src/server/${name}/` },
  to: { path: `^src/server/(${SERVER_ORDER.slice(i + 1).join('|')})/` },
}));

/** Rules for the tree under `root`. */
export const rulesFor = (root) => [
  { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
  { name: 'no-unresolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
  {
    name: 'core-is-pure',
    severity: 'error',
    from: { path: '^src/core/', pathNot: SPEC },
    to: { pathNot: ['^src/core/', ...PURE_LIBRARIES] },
  },
  {
    name: 'core-siblings',
    severity: 'error',
    from: { path: '^src/core/([^/]+)/', pathNot: '^src/core/(rollout|update)/' },
    to: { path: '^src/core/', pathNot: '^src/core/($1|kernel)/' },
  },
  {
    name: 'core-rollout-knows',
    severity: 'error',
    from: { path: '^src/core/rollout/' },
    to: { path: '^src/core/', pathNot: '^src/core/(kernel|rollout|fleet|release)/' },
  },
  {
    name: 'core-update-knows',
    severity: 'error',
    from: { path: '^src/core/update/' },
    to: { path: '^src/core/', pathNot: '^src/core/(kernel|update|release)/' },
  },
  {
    name: 'protocol-knows-core-only',
    severity: 'error',
    from: { path: '^src/protocol/', pathNot: SPEC },
    to: { pathNot: ['^src/(protocol|core)/', ...PURE_LIBRARIES] },
  },
  {
    name: 'programs-are-strangers',
    severity: 'error',
    from: { path: '^src/(server|agent|cli|console|demo)/' },
    to: { path: '^src/(?!$1/|core/|protocol/|client/)' },
  },
  {
    name: 'the-operator-knows-parts-of-the-agent',
    severity: 'error',
    from: { path: '^src/operator/' },
    to: { path: '^src/(?!operator/|core/|protocol/)', pathNot: AGENT_PARTS },
  },
  {
    name: 'client-knows-types-only',
    severity: 'error',
    from: { path: '^src/client/', pathNot: SPEC },
    to: { pathNot: '^src/(client|protocol/api)/' },
  },
  {
    // The manager is what it is a client of.
    name: 'manager-and-agent-are-no-clients',
    severity: 'error',
    from: { path: '^src/(server|agent)/' },
    to: { path: '^src/client/' },
  },
  {
    // One file names all that is real in the simulator; the rest of it simulates.
    name: 'simulator-runs-decisions-only',
    severity: 'error',
    from: { path: '^src/simulator/', pathNot: REAL_PARTS },
    to: { path: '^src/', pathNot: '^src/(simulator|core|protocol)/' },
  },
  ...doors(root).map((folder) => ({
    name: 'front-door-only',
    severity: 'error',
    from: { path: '^src/', pathNot: [`^${folder}/`, REAL_PARTS] },
    to: { path: `^${folder}/`, pathNot: [`^${folder}/index[.]ts$`, `^${folder}/.+/index[.]ts$`] },
  })),
  ...lookingUp,
  {
    // A spec may start the whole manager; a module may not.
    name: 'server-modules-end-below-the-roof',
    severity: 'error',
    from: { path: '^src/server/[^/]+/', pathNot: SPEC },
    to: { path: '^src/server/[^/]+[.]ts$' },
  },
  {
    name: 'nest-stays-in-the-manager',
    severity: 'error',
    from: { path: '^(src/(?!server/)|migrations/)' },
    to: { path: '(^|/)node_modules/(@nestjs|rxjs|reflect-metadata)/' },
  },
  {
    name: 'typeorm-stays-in-the-database',
    severity: 'error',
    from: { path: '^src/', pathNot: '^src/server/platform/database/' },
    to: { path: '(^|/)node_modules/typeorm/' },
  },
  {
    name: 'drivers-stay-in-the-database',
    severity: 'error',
    from: { path: '^src/', pathNot: '^src/server/platform/database/' },
    to: { path: '(^|/)node_modules/(better-sqlite3|pg|@types/pg)/' },
  },
  {
    name: 'redis-stays-behind-its-ports',
    severity: 'error',
    from: { path: '^src/', pathNot: ['^src/server/platform/(queue|bus|redis)/'] },
    to: { path: '(^|/)node_modules/(bullmq|ioredis)/' },
  },
  {
    name: 'sockets-stay-in-the-links',
    severity: 'error',
    from: { path: '^src/', pathNot: ['^src/(server/gateway|agent/link|simulator)/', SPEC] },
    to: { path: '(^|/)node_modules/(ws|@types/ws)/' },
  },
  {
    name: 'sigstore-stays-in-its-adapter',
    severity: 'error',
    from: { path: '^src/', pathNot: ['^src/core/release/sigstore-adapter[.]ts$', SPEC] },
    to: { path: '(^|/)node_modules/@sigstore/' },
  },
  {
    // Loaded only when it is switched on; the rest of the manager knows `traced`.
    name: 'opentelemetry-stays-in-its-room',
    severity: 'error',
    from: { path: '^src/', pathNot: ['^src/server/telemetry/otel/', SPEC] },
    to: { path: '(^|/)node_modules/@opentelemetry/' },
  },
  {
    name: 'migrations-know-typeorm-only',
    severity: 'error',
    from: { path: '^migrations/' },
    to: { pathNot: ['^migrations/', '(^|/)node_modules/typeorm/'] },
  },
  {
    name: 'migrations-run-in-the-database',
    severity: 'error',
    from: { path: '^src/', pathNot: '^src/server/platform/database/' },
    to: { path: '^migrations/' },
  },
  {
    name: 'programs-do-without-tests',
    severity: 'error',
    from: { path: '^(src|migrations)/', pathNot: SPEC },
    to: { path: ['^test/', SPEC] },
  },
  {
    name: 'programs-do-without-dev-packages',
    severity: 'error',
    from: { path: '^(src|migrations)/', pathNot: [SPEC, '^src/console/'] },
    to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'] },
  },
];

/** How the tree under `root` is read: by its TypeScript sources, types included. */
export const optionsFor = (root) => ({
  baseDir: root,
  ruleSet: { forbidden: rulesFor(root) },
  validate: true,
  tsPreCompilationDeps: true,
  doNotFollow: { path: 'node_modules' },
  enhancedResolveOptions: {
    exportsFields: ['exports'],
    conditionNames: ['import', 'node', 'default', 'types'],
  },
  // Of the linter's own package the resolver knows no main file; nothing else imports it.
  exclude: { path: ['^dist/', 'eslint[.]config[.]mjs$'] },
});
