import { SlidersHorizontal } from 'lucide-react';
import { useState, type ReactNode } from 'react';
import { EVENT_CATEGORIES, EVENT_TYPES } from '../../../protocol/index.js';
import { choicesOf, useGroups } from '../../app/session.js';
import { Button, Select, sentence, words, type Choice } from '../../ui/index.js';
import { RANGES, isRange, type EventFilterKey, type EventFilterValues } from './event-filter.js';
import { LaterField } from './later-field.js';

const ANY = 'any';
const withAny = (label: string, choices: readonly Choice[]): readonly Choice[] => [
  { value: ANY, label },
  ...choices,
];
const CATEGORIES = withAny(
  'Any category',
  EVENT_CATEGORIES.map((value) => ({ value, label: sentence(value) })),
);
const SEVERITIES = withAny('Any severity', [
  { value: 'warning', label: 'Warning and graver' },
  { value: 'critical', label: 'Critical only' },
]);
const TIMES = withAny(
  'Any time',
  Object.entries(RANGES).map(([value, { label }]) => ({ value, label })),
);
const typesOf = (category: string | undefined): readonly Choice[] =>
  withAny(
    'Any type',
    Object.entries(EVENT_TYPES)
      .filter(([, row]) => category === undefined || row.category === category)
      .map(([value, row]) => ({ value, label: sentence(words(value)), hint: row.meaning })),
  );

/** `2026-11-21T22:05` in the zone of the reader, as a field of the browser wants it. */
function localOf(at: string | undefined): string {
  if (at === undefined || Number.isNaN(Date.parse(at))) return '';
  const ms = Date.parse(at);
  return new Date(ms - new Date(ms).getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
const isoOf = (local: string): string | null =>
  Number.isNaN(Date.parse(local)) ? null : new Date(local).toISOString();

type Changes = Readonly<Partial<Record<EventFilterKey, string | null>>>;
interface ToolbarProps {
  readonly values: EventFilterValues;
  readonly set: (changes: Changes) => void;
  readonly clear: () => void;
  readonly isFiltered: boolean;
}

const RARE = ['node', 'rollout', 'code', 'since', 'until'] as const;

export const EventToolbar = (props: ToolbarProps): ReactNode => {
  const { values, set, clear, isFiltered } = props;
  const { groups } = useGroups();
  const hasRare = RARE.some((key) => values[key] !== undefined);
  const [isOpen, setOpen] = useState(false);
  const pick =
    (key: EventFilterKey, more: Changes = {}) =>
    (value: string) =>
      set({ ...more, [key]: value === ANY ? null : value });
  const isCustom = values.since !== undefined || values.until !== undefined;
  return (
    <div role="search" aria-label="Filter events">
      <div className="toolbar filters">
        <LaterField
          isSearch
          label="Search in messages"
          value={values.text ?? ''}
          onChange={(text) => set({ text })}
        />
        <Select
          label="Category"
          value={values.category ?? ANY}
          onChange={pick('category', { type: null })}
          choices={CATEGORIES}
        />
        <Select
          label="Type"
          value={values.type ?? ANY}
          onChange={pick('type')}
          choices={typesOf(values.category)}
        />
        <Select
          label="Severity"
          value={values.severity ?? ANY}
          onChange={pick('severity')}
          choices={SEVERITIES}
        />
        <Select
          label="Group"
          value={values.group ?? ANY}
          onChange={pick('group')}
          choices={withAny('Any group', choicesOf(groups))}
        />
        <Select
          label="Received"
          value={isCustom ? 'custom' : isRange(values.range) ? values.range : ANY}
          onChange={(value: string) => {
            if (value !== 'custom') pick('range', { since: null, until: null })(value);
          }}
          choices={isCustom ? [...TIMES, { value: 'custom', label: 'From and until' }] : TIMES}
        />
        <Button
          icon={<SlidersHorizontal aria-hidden />}
          onPress={() => setOpen(!isOpen)}
          aria-expanded={isOpen || hasRare}
        >
          More filters
        </Button>
        {isFiltered ? (
          <Button kind="quiet" onPress={clear}>
            Clear all
          </Button>
        ) : null}
      </div>
      {isOpen || hasRare ? <RareFilters {...props} /> : null}
    </div>
  );
};

const RareFilters = ({ values, set }: ToolbarProps): ReactNode => (
  <div className="toolbar filters">
    <LaterField
      label="Node id"
      value={values.node ?? ''}
      onChange={(node) => set({ node })}
      placeholder="nod_…"
    />
    <LaterField
      label="Rollout id"
      value={values.rollout ?? ''}
      onChange={(rollout) => set({ rollout })}
      placeholder="rol_…"
    />
    <LaterField
      label="Error code"
      value={values.code ?? ''}
      onChange={(code) => set({ code })}
      placeholder="upgrade_unhealthy"
    />
    <LaterField
      label="From"
      type="datetime-local"
      value={localOf(values.since)}
      onChange={(text) => set({ since: isoOf(text), range: null })}
    />
    <LaterField
      label="Until"
      type="datetime-local"
      value={localOf(values.until)}
      onChange={(text) => set({ until: isoOf(text), range: null })}
    />
  </div>
);
