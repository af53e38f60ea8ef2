import { usageError, type Command } from '../command.js';
import {
  connect,
  LIST_OPTIONS,
  MANAGER_OPTIONS,
  OUTPUT_OPTION,
  show,
  SHOW_OPTIONS,
  showList,
  showOne,
} from '../connection.js';
import { readTerms, TERMS_OPTIONS } from '../fleet/index.js';
import { facts, type Block, type Column } from '../output/index.js';
import { present } from '../values.js';
import { planNamed, type Plan } from './find.js';

const COLUMNS: readonly Column<Plan>[] = [
  ['name', (plan) => plan.name],
  ['id', (plan) => plan.id, 'id'],
  ['group', (plan) => plan.group_id],
  ['strategy', (plan) => plan.terms.strategy],
  ['revision', (plan) => plan.revision],
  ['schedules', (plan) => plan.schedules],
  ['note', (plan) => plan.note],
  ['by', (plan) => plan.updated_by, 'wide'],
  ['changed', (plan) => plan.updated_at, 'wide-time'],
];

/** Of which strategy a term is; with another it says nothing, so it is not shown. */
const OF_STRATEGY: Readonly<Record<string, string>> = {
  wave_percents: 'staged',
  step_percent: 'rolling',
  canary_percent: 'canary',
  rings: 'scheduled',
  order: 'scheduled',
  done_percent: 'scheduled',
  waves: 'custom',
};

const valueText = (value: unknown): string | null => {
  if (value === null) return null;
  return typeof value === 'string' ? value : JSON.stringify(value);
};

const planText = (plan: Plan): Block =>
  facts([
    ['name', plan.name],
    ['id', plan.id],
    ['group', plan.group_id],
    ['note', plan.note || 'none'],
    ['revision', plan.revision],
    ...Object.entries(plan.terms)
      .filter(([name]) => (OF_STRATEGY[name] ?? plan.terms.strategy) === plan.terms.strategy)
      .map(([name, value]) => [name.replaceAll('_', ' '), valueText(value)] as const),
    ['schedules', plan.schedules],
    ['made', `${plan.created_at} by ${plan.created_by}`],
    ['changed', `${plan.updated_at} by ${plan.updated_by}`],
  ]);

/** Of the group that a name is looked for in. */
const GROUP_OPTION = {
  group: { value: 'ID', help: 'as rollouts of this group would take it, by its name' },
};
const STORED_OPTIONS = {
  file: { short: 'f', value: 'FILE', help: 'the terms as JSON, TOML or YAML; options change them' },
  note: { value: 'TEXT', help: 'for those who choose' },
  ...TERMS_OPTIONS,
  ...MANAGER_OPTIONS,
  ...OUTPUT_OPTION,
};

export const listPlans: Command = {
  name: 'plans list',
  summary: 'stored plans, newest first',
  operands: [],
  options: {
    group: { value: 'ID', help: 'those that rollouts of this group can take' },
    ...LIST_OPTIONS,
  },
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    const wanted = present({ for_group_id: given.optional('group') });
    await showList(given, terminal, {
      page: (query) => client.call('plans.list', { query: { ...wanted, ...query } }),
      columns: COLUMNS,
      whenEmpty: 'no plans: store one with `bellwether plans create`',
    });
  },
};

export const showPlan: Command = {
  name: 'plans show',
  summary: 'one plan with every term of it',
  operands: ['PLAN'],
  options: { ...GROUP_OPTION, ...SHOW_OPTIONS },
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    const find = () => planNamed(client, given.operand(0), given.optional('group'));
    await showOne(given, terminal, find, planText);
  },
};

export const createPlan: Command = {
  name: 'plans create',
  summary:
    'store how releases go out: rollouts of a group, and of those below it, can be made by it',
  operands: ['NAME'],
  options: {
    group: { value: 'ID', help: 'whose plan it is (default grp_default)' },
    ...STORED_OPTIONS,
  },
  notes: ['What is left out has its default. Rings and waves come from a file; docs/rollouts.md.'],
  run: async (given, terminal) => {
    const body = {
      name: given.operand(0),
      terms: await readTerms(given, {}),
      ...present({ group_id: given.optional('group'), note: given.optional('note') }),
    };
    const client = await connect(given, terminal);
    show(given, terminal, await client.call('plans.create', { body }), planText);
  },
};

export const updatePlan: Command = {
  name: 'plans update',
  summary: 'change name, note or terms of a plan; rollouts keep what they were made with',
  operands: ['PLAN'],
  options: { name: { value: 'NAME', help: 'another name' }, ...GROUP_OPTION, ...STORED_OPTIONS },
  notes: ['A file replaces all terms; options alone change those that they name.'],
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    const { id } = await planNamed(client, given.operand(0), given.optional('group'));
    const changed = await client.edit('plans', id, async (plan) => {
      const wanted = await readTerms(given, plan.terms);
      const isChanged = JSON.stringify(wanted) !== JSON.stringify(plan.terms);
      const body = present({
        name: given.optional('name'),
        note: given.optional('note'),
        terms: isChanged ? wanted : undefined,
      });
      if (Object.keys(body).length > 0) return body;
      throw usageError('`plans update` needs something to change');
    });
    show(given, terminal, changed, planText);
  },
};

export const deletePlan: Command = {
  name: 'plans delete',
  summary: 'delete a plan that no schedule uses',
  operands: ['PLAN'],
  options: { ...GROUP_OPTION, ...MANAGER_OPTIONS },
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    const plan = await planNamed(client, given.operand(0), given.optional('group'));
    await client.call('plans.remove', { params: { id: plan.id } });
    terminal.out(`deleted ${plan.id}\n`);
  },
};
