import { isSame } from '../../app/same.js';
import { sentence, words, type Difference } from '../../app/words.js';
import { STRATEGIES } from '../change/reasons.js';
import { selectorIn } from './plan-drafted.js';
import { windowInWords, type Plan, type Schedule } from './plan-words.js';

type Part = Plan['terms']['waves'][number] | Plan['terms']['rings'][number];
type Line = readonly [label: string, value: unknown, text: string];

/** What of two states of one thing is not the same. */
function between(before: readonly Line[], now: readonly Line[]): readonly Difference[] {
  const labels = [...new Set([...before, ...now].map(([label]) => label))];
  const find = (lines: readonly Line[], wanted: string) =>
    lines.find(([label]) => label === wanted);
  return labels.flatMap((label) => {
    const [was, is] = [find(before, label), find(now, label)];
    if (isSame(was?.[1], is?.[1])) return [];
    return [{ label, was: was?.[2] ?? 'none', is: is?.[2] ?? 'none' }];
  });
}

const some = (text: string): string => (text === '' ? 'none' : text);

/** In minutes where they are whole. */
const long = (seconds: number): string =>
  seconds % 60 === 0 ? `${seconds / 60} min` : `${seconds} s`;

const listInWords = (list: readonly (string | number | Part)[]): string =>
  some(
    list
      .map((one) => (typeof one === 'object' ? partInWords(one) : one))
      .join(list.some((one) => typeof one === 'object') ? '; ' : ', '),
  );

function inWords(name: string, value: unknown): string {
  if (value === null) return 'none';
  if (typeof value === 'number') return name.endsWith('_seconds') ? long(value) : String(value);
  if (typeof value === 'string') return words(value);
  if (Array.isArray(value)) return listInWords(value);
  return Object.entries(value as Readonly<Record<string, string | number | null>>)
    .map(([key, one]) => `${words(key)} ${one ?? 'any'}`)
    .join(', ');
}

/** A ring or wave, with all that it says beside the usual. */
function partInWords(part: Part): string {
  const { kind, value } = selectorIn(part);
  const who = kind === 'rest' ? 'all that are left' : `${words(kind)} ${value}`;
  const windows = 'windows' in part ? part.windows : part.window === null ? [] : [part.window];
  const more = [
    ...(part.canary_count === 0 ? [] : [`${part.canary_count} first`]),
    ...(part.wait_hours === 0 ? [] : [`after ${part.wait_hours} h`]),
    ...windows.map(windowInWords),
    ...('windows' in part ? waveInWords(part) : []),
  ];
  return `${part.name ?? 'wave'}: ${[who, ...more].join(', ')}`;
}

function waveInWords(wave: Plan['terms']['waves'][number]): string[] {
  return [
    ...(wave.approvals === 0 ? [] : [`${wave.approvals} to approve`]),
    `watched ${long(wave.settle_seconds)}`,
    inWords('tolerate', wave.tolerate),
    ...(wave.not_before === null ? [] : [`not before ${wave.not_before}`]),
  ];
}

/** Of which strategy a term is; with another it says nothing. */
const OF_STRATEGY: Readonly<Record<string, string>> = {
  wave_percents: 'staged',
  step_percent: 'rolling',
  canary_percent: 'canary',
  rings: 'scheduled',
  order: 'scheduled',
  done_percent: 'scheduled',
  waves: 'custom',
};
const isOf = (strategy: string, name: string): boolean =>
  (OF_STRATEGY[name] ?? strategy) === strategy;

const planLines = ({ name, note, terms }: Plan): readonly Line[] => [
  ['Name', name, name],
  ['Note', note, some(note)],
  [
    'Strategy',
    terms.strategy,
    STRATEGIES.find(({ value }) => value === terms.strategy)?.label ?? terms.strategy,
  ],
  ...Object.entries(terms)
    .filter(([key]) => key !== 'strategy' && isOf(terms.strategy, key))
    .map(([key, value]): Line => [
      sentence(words(key.replace(/_seconds$/, ''))),
      value,
      inWords(key, value),
    ]),
];

const scheduleLines = (schedule: Schedule): readonly Line[] => [
  ['Name', schedule.name, schedule.name],
  ['Plan', schedule.plan_id, schedule.plan],
  ['Window', schedule.window, windowInWords(schedule.window)],
  ['While a rollout is open', schedule.when_busy, words(schedule.when_busy)],
  ['State', schedule.state === 'paused', schedule.state === 'paused' ? 'paused' : 'running'],
  ['Rights of', schedule.maker.id, schedule.maker.name],
];

export const planDifferences = (before: Plan, now: Plan): readonly Difference[] =>
  between(planLines(before), planLines(now));
export const scheduleDifferences = (before: Schedule, now: Schedule): readonly Difference[] =>
  between(scheduleLines(before), scheduleLines(now));
