import { FleetError } from '../../core/kernel/index.js';
import type { Client } from '../client.js';
import { usageError, type Command, type Given, type OptionSpec } from '../command.js';
import { connect, MANAGER_OPTIONS, OUTPUT_OPTION, show } from '../connection.js';
import { EXIT } from '../exit.js';
import { plain, table, type Block, type Column } from '../output/index.js';
import type { Terminal } from '../terminal.js';
import { readDocuments, type Placed } from './documents.js';
import { GroupTree } from './group-tree.js';
import { groupsToPrune, groupStep } from './groups.js';
import { KINDS, type Doc, type GroupDoc, type SinkDoc } from './kinds.js';
import { planStep, readShelf, scheduleStep, shelfToPrune } from './plans.js';
import { rolloutStep } from './rollouts.js';
import { readSinks, sinksToPrune, sinkStep, type SinkShop } from './sinks.js';
import { isDone, type Step } from './steps.js';

/** Rollouts end by themselves: what is not declared is no reason to stop one. */
const PRUNABLE = ['Group', 'Plan', 'Schedule', 'Sink'] as const;

const FILE_OPTION: Readonly<Record<string, OptionSpec>> = {
  file: {
    short: 'f',
    value: 'FILE|-',
    help: 'YAML or JSON, several documents in one; - is standard input',
    isRequired: true,
    isMultiple: true,
  },
};
const MODE_OPTIONS: Readonly<Record<string, OptionSpec>> = {
  ...FILE_OPTION,
  prune: { help: 'delete what the files do not declare, of the kinds named by --kind' },
  kind: { value: 'KIND', words: PRUNABLE, help: 'a kind that --prune is for', isMultiple: true },
  'renew-credentials': { help: 'send credentials of sinks again; they cannot be compared' },
  ...MANAGER_OPTIONS,
  ...OUTPUT_OPTION,
};
const NOTES: readonly string[] = [
  `Kinds: ${KINDS.join(', ')}; docs/cli.md shows each. Unknown keys are errors.`,
  'Nothing is deleted without --prune, and then only of kinds that are named.',
];

const depthOf = (doc: GroupDoc): number => (doc.parent ?? '').split('/').filter(Boolean).length;

/** Groups from the top down, then what refers to them. */
const inOrder = (placed: readonly Placed[]): readonly Placed[] => {
  const rank = ({ doc }: Placed): number =>
    KINDS.indexOf(doc.kind) * 1_000 + (doc.kind === 'Group' ? depthOf(doc) : 0);
  return [...placed].sort((a, b) => rank(a) - rank(b));
};

const ofKind = <K extends Doc['kind']>(placed: readonly Placed[], kind: K) =>
  placed
    .map(({ doc }) => doc)
    .filter((doc): doc is Extract<Doc, { readonly kind: K }> => doc.kind === kind);

function prunedKinds(given: Given): readonly string[] {
  const kinds = given.list('kind');
  if (given.isSet('prune') && kinds.length === 0) {
    throw usageError('--prune needs --kind, so that nothing goes by accident');
  }
  if (!given.isSet('prune') && kinds.length > 0) throw usageError('--kind goes with --prune');
  return kinds;
}

/** Everything that has to be done, in order. Changes nothing. */
async function planned(
  given: Given,
  terminal: Terminal,
  { placed, client, isAsked }: { placed: readonly Placed[]; client: Client; isAsked: boolean },
): Promise<Step[]> {
  const kinds = prunedKinds(given);
  const tree = await GroupTree.read(client);
  const groups = ofKind(placed, 'Group');
  // Before anything is added to the tree: what is declared is not to be pruned.
  const gone = kinds.includes('Group') ? groupsToPrune(groups, { tree, client }) : [];
  const sinkDocs: readonly SinkDoc[] = ofKind(placed, 'Sink');
  const needsSinks = sinkDocs.length > 0 || kinds.includes('Sink');
  const shop: SinkShop = {
    tree,
    client,
    terminal,
    sinks: needsSinks ? await readSinks(client) : [],
    renewsCredentials: given.isSet('renew-credentials'),
  };
  const shelved = [...ofKind(placed, 'Plan'), ...ofKind(placed, 'Schedule')];
  const needsShelf = shelved.length > 0 || kinds.includes('Plan') || kinds.includes('Schedule');
  const shelf = needsShelf
    ? await readShelf(tree, client)
    : { tree, client, plans: [], schedules: [] };
  const steps: Step[] = [];
  for (const { doc, place } of inOrder(placed)) {
    if (doc.kind === 'Group') steps.push(await groupStep(doc, { tree, client }));
    else if (doc.kind === 'Plan') steps.push(planStep(doc, shelf));
    else if (doc.kind === 'Schedule') steps.push(scheduleStep(doc, shelf));
    else if (doc.kind === 'Sink') steps.push(await sinkStep(doc, place, shop));
    else steps.push(await rolloutStep(doc, { tree, client, isAsked }));
  }
  const unused = shelfToPrune(shelved, kinds, shelf);
  return [
    ...steps,
    ...unused,
    ...(kinds.includes('Sink') ? sinksToPrune(sinkDocs, shop) : []),
    ...gone,
  ];
}

interface Told {
  readonly kind: string;
  readonly name: string;
  readonly action: Step['action'];
  readonly differences: Step['differences'];
  readonly note: string | null;
}
const told = ({ kind, name, action, differences, note }: Step): Told => ({
  kind,
  name,
  action,
  differences,
  note,
});

const COLUMNS: readonly Column<Told>[] = [
  ['kind', ({ kind }) => kind],
  ['name', ({ name }) => name],
  ['action', ({ action }) => action],
  [
    'what',
    ({ differences, note }) =>
      [...differences.map(({ field }) => field), ...(note === null ? [] : [note])].join(', '),
  ],
];

const summary = (steps: readonly Step[], verb: string): string => {
  const open = steps.filter((step) => !isDone(step)).length;
  return open === 0
    ? `nothing to do: all ${steps.length} as declared\n`
    : `${open} ${verb}, ${steps.length - open} as declared\n`;
};

const stepsText = (steps: readonly Step[], verb: string): readonly Block[] => [
  table(steps.map(told), COLUMNS, 'nothing'),
  summary(steps, verb),
];

async function runAll(steps: readonly Step[]): Promise<void> {
  const open = steps.filter((step) => !isDone(step));
  for (const [index, step] of open.entries()) {
    try {
      await step.run();
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      const message = `${step.kind} ${step.name}: ${error.message} (${index} of ${open.length} were done before)`;
      throw new FleetError(error.code, message, { context: error.context });
    }
  }
}

export const apply: Command = {
  name: 'apply',
  summary:
    'make groups, plans, schedules, sinks and rollouts as files declare them; again changes nothing',
  operands: [],
  options: { 'dry-run': { help: 'say what would be done, and do nothing' }, ...MODE_OPTIONS },
  notes: NOTES,
  run: async (given, terminal) => {
    const placed = await readDocuments(given.list('file'), terminal);
    prunedKinds(given);
    const client = await connect(given, terminal);
    const isDry = given.isSet('dry-run');
    const steps = await planned(given, terminal, { placed, client, isAsked: isDry });
    if (!isDry) await runAll(steps);
    const result = { dry_run: isDry, items: steps.map(told) };
    show(given, terminal, result, () => stepsText(steps, isDry ? 'to do' : 'done'));
  },
};

const SIGNS = { create: '+', change: '~', delete: '-', unchanged: ' ' } as const;

function diffText(steps: readonly Step[]): string {
  const lines = steps
    .filter((step) => !isDone(step))
    .flatMap(({ kind, name, action, differences, note }) => [
      plain(`${SIGNS[action]} ${kind} ${name}${note === null ? '' : ` (${note})`}`),
      ...differences.map(({ field, from, to }) =>
        plain(`    ${field}: ${from === null ? '' : `${from} → `}${to ?? '(gone)'}`),
      ),
    ]);
  return [...lines, summary(steps, 'differ')].join('\n');
}

export const diff: Command = {
  name: 'diff',
  summary: 'what `apply` would change; exit code 9 when that is anything',
  operands: [],
  options: MODE_OPTIONS,
  notes: NOTES,
  run: async (given, terminal) => {
    const placed = await readDocuments(given.list('file'), terminal);
    prunedKinds(given);
    const client = await connect(given, terminal);
    const steps = await planned(given, terminal, { placed, client, isAsked: true });
    show(given, terminal, { items: steps.map(told) }, () => diffText(steps));
    return steps.every(isDone) ? EXIT.ok : EXIT.differs;
  },
};
