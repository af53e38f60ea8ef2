import { z } from 'zod';
import { Channel, ProductName, Version } from '../../core/release/index.js';
import { CreateRollout, PlanTerms, UpgradeGroup } from '../../protocol/api/index.js';
import { usageError, type Given, type OptionSpec } from '../command.js';
import {
  Limit,
  Moment,
  oneOf,
  Pair,
  percent,
  present,
  Span,
  Tolerated,
  whole,
  Words,
} from '../values.js';
import { checkPlan, invalidPlan, readPlanFile } from './plan-file.js';

type Options = Readonly<Record<string, OptionSpec>>;
export type RolloutBody = z.input<typeof CreateRollout>;
export type GroupBody = Omit<RolloutBody, 'scope'>;

const WEEK_SECONDS = 7 * 86_400;
const STRATEGIES = ['staged', 'rolling', 'canary', 'immediate', 'scheduled', 'custom'] as const;
const Percents = z
  .string()
  .regex(/^\d{1,3}(\.\d+)?(,\d{1,3}(\.\d+)?)*$/, 'take rising percents such as 10,50,100')
  .transform((text) => text.split(',').map(Number));

/** Of which strategy an option is; with another it would be passed over without a word. */
const OWN: Readonly<Record<string, (typeof STRATEGIES)[number]>> = {
  waves: 'staged',
  'step-percent': 'rolling',
  'canary-percent': 'canary',
};

/** How a release goes out, whatever release it is: what a stored plan holds. */
export const TERMS_OPTIONS: Options = {
  strategy: { value: 'S', words: STRATEGIES, help: `${STRATEGIES.join(', ')} (default staged)` },
  waves: { value: 'P,P,...', help: 'staged: cumulative percents (default 10,50,100)' },
  'step-percent': { value: 'P', help: 'rolling: size of each step (default 25)' },
  'canary-percent': { value: 'P', help: 'canary: how many go first (default 10)' },
  'settle-seconds': { value: 'N', help: 'quiet time after each wave (default 300)' },
  'max-failures': { value: 'L', help: 'failures in a wave before it pauses (default 0)' },
  'max-offline': { value: 'L', help: 'upgraded nodes that may go away (default 0)' },
  'max-silent': { value: 'L', help: 'nodes that may keep silent (default 50%)' },
  'max-unavailable': { value: 'L', help: 'nodes of the scope that may be down at once' },
  'node-deadline-seconds': { value: 'N', help: 'silence that counts as silent (default 1800)' },
  'expires-after': { value: 'D', help: 'nodes that are away can catch up for so long' },
  'spread-seconds': { value: 'N', help: 'spread the swaps of a wave over this time' },
  domain: { value: 'LABEL=L', help: 'at most so many nodes with one value in a wave' },
  strata: { value: 'LABEL,...', help: 'labels that the first nodes should cover' },
};

/** What a release goes to, and how. */
export const PLAN_OPTIONS: Options = {
  plan: { value: 'FILE', help: 'the whole plan as JSON, TOML or YAML; options change it' },
  'stored-plan': { value: 'NAME', help: 'by this plan of the group, or of one above it, as it is' },
  product: { value: 'P', help: 'what to upgrade (needed, here or in the plan)' },
  version: { value: 'V', help: 'the release to bring (needed, here or in the plan)' },
  channel: { value: 'C', help: 'its channel (default stable)' },
  ...TERMS_OPTIONS,
  'apply-after': { value: 'T', help: 'nothing starts before this moment' },
};

/** Which nodes are meant. */
export const SCOPE_OPTIONS: Options = {
  group: { value: 'ID', help: 'group of the rollout (default grp_default)' },
  'no-subgroups': { help: 'this group only, not those below it' },
  label: { value: 'K=V', help: 'only nodes with this label', isMultiple: true },
  node: { value: 'ID', help: 'only this node', isMultiple: true },
  exclude: { value: 'ID', help: 'not this node', isMultiple: true },
};

export const PLAN_NOTES: readonly string[] = [
  'L is a number such as 3 or a share such as 10%; for failures, offline and silent also `any`.',
  'T is a moment such as 2026-12-01T22:00:00Z; D is seconds, or a time such as 30m, 12h, 7d.',
  'Rings of `scheduled` and waves of `custom` come from a plan file.',
];

/** The body for a group whose id stands on the command line. */
export async function readGroupPlan(given: Given): Promise<GroupBody> {
  const file = given.optional('plan');
  const plan = file === undefined ? {} : await readPlanFile(file);
  if (file !== undefined && 'scope' in plan) {
    const message = 'the group stands on the command line; `rollouts create` takes a scope';
    throw invalidPlan(file, [{ path: 'scope', message }]);
  }
  const body = checked(given, merged(plan, termsOf(given)));
  return file === undefined ? body : checkPlan(file, body, UpgradeGroup);
}

/** The terms of a plan that is to be stored: those of the file, or else of `before`, changed by options. */
export async function readTerms(
  given: Given,
  before: z.input<typeof PlanTerms>,
): Promise<z.input<typeof PlanTerms>> {
  const file = given.optional('file');
  const base = file === undefined ? before : await readPlanFile(file);
  const terms = merged(base, ownTermsOf(given));
  const name = file ?? given.name;
  const needs = needsOf(terms);
  if (needs !== null) throw invalidPlan(name, [{ path: needs, message: 'is needed: give --file' }]);
  return checkPlan(name, terms, PlanTerms);
}

/** The body for any part of the fleet. */
export async function readRolloutPlan(given: Given): Promise<RolloutBody> {
  const file = given.optional('plan');
  const plan = file === undefined ? {} : await readPlanFile(file);
  const scope = scopeOf(given);
  const body = checked(
    given,
    merged(plan, {
      ...termsOf(given),
      ...(Object.keys(scope).length === 0 ? {} : { scope: mergedPart(plan['scope'], scope) }),
    }),
  );
  return file === undefined ? body : checkPlan(file, body, CreateRollout);
}

type Part = Readonly<Record<string, unknown>>;

const mergedPart = (below: unknown, above: Part): Part => ({
  ...(below as Part | undefined),
  ...above,
});

/** What was said on the command line holds before what the file says. */
function merged(plan: Part, { tolerate, ...terms }: Part): Part {
  const limits = tolerate as Part;
  const hasLimits = Object.keys(limits).length > 0;
  return {
    ...plan,
    ...terms,
    ...(hasLimits ? { tolerate: mergedPart(plan['tolerate'], limits) } : {}),
  };
}

function termsOf(given: Given): Part {
  return {
    ...present({
      product: given.read('product', ProductName),
      version: given.read('version', Version),
      channel: given.read('channel', Channel),
      plan: given.optional('stored-plan'),
      apply_after: given.read('apply-after', Moment),
    }),
    ...ownTermsOf(given),
  };
}

function ownTermsOf(given: Given): Part {
  const domain = given.read('domain', Pair);
  return {
    ...present({
      strategy: given.read('strategy', oneOf(STRATEGIES)),
      wave_percents: given.read('waves', Percents),
      step_percent: given.read('step-percent', percent(100)),
      canary_percent: given.read('canary-percent', percent(99)),
      settle_seconds: given.read('settle-seconds', whole(0, WEEK_SECONDS)),
      node_deadline_seconds: given.read('node-deadline-seconds', whole(10, WEEK_SECONDS)),
      max_unavailable: given.read('max-unavailable', Limit),
      expires_after_seconds: given.read('expires-after', Span),
      spread_seconds: given.read('spread-seconds', whole(0, WEEK_SECONDS)),
      domain: domain && { label: domain[0], max: limitIn(domain[1]) },
      strata: given.read('strata', Words),
    }),
    tolerate: present({
      failures: given.read('max-failures', Tolerated),
      offline: given.read('max-offline', Tolerated),
      silent: given.read('max-silent', Tolerated),
    }),
  };
}

function limitIn(text: string): number | string {
  const limit = Limit.safeParse(text);
  if (limit.success) return limit.data;
  throw usageError(`--domain: ${limit.error.issues[0]?.message ?? ''}, as in site=1`);
}

function scopeOf(given: Given): Part {
  const labels = given.list('label').map((text) => {
    const pair = Pair.safeParse(text);
    if (pair.success) return pair.data;
    throw usageError(`--label ${text}: ${pair.error.issues[0]?.message ?? ''}`);
  });
  const [nodes, excluded] = [given.list('node'), given.list('exclude')];
  return present({
    group_id: given.optional('group'),
    subgroups: given.isSet('no-subgroups') ? false : undefined,
    labels: labels.length === 0 ? undefined : Object.fromEntries(labels),
    node_ids: nodes.length === 0 ? undefined : nodes,
    exclude_node_ids: excluded.length === 0 ? undefined : excluded,
  });
}

/** What only the whole shows: something missing, or an option that would have no effect. */
function checked(given: Given, body: Part): RolloutBody {
  const missing = ['product', 'version'].filter((field) => body[field] === undefined);
  const fix = `See \`bellwether ${given.name} --help\`.`;
  if (missing.length > 0) {
    const list = missing.map((field) => `--${field} ${PLAN_OPTIONS[field]?.value ?? ''}`);
    throw usageError(`\`${given.name}\` needs ${list.join(', ')}`, fix);
  }
  const strategy = (body['strategy'] as string | undefined) ?? 'staged';
  for (const [option, own] of Object.entries(OWN)) {
    if (given.isSet(option) && own !== strategy) {
      throw usageError(`--${option} is for the strategy ${own}, not for ${strategy}`, fix);
    }
  }
  const needs = needsOf(body);
  if (needs !== null) {
    throw usageError(`a ${strategy} rollout takes its ${needs} from --plan FILE`, fix);
  }
  return body as RolloutBody;
}

/** What its strategy needs and only a file can say; null when nothing is missing. */
function needsOf(body: Part): 'rings' | 'waves' | null {
  const { strategy } = body;
  const needs = strategy === 'scheduled' ? 'rings' : strategy === 'custom' ? 'waves' : null;
  return needs !== null && body[needs] === undefined ? needs : null;
}
