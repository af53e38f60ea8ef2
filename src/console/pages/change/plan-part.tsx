import { Trash2 } from 'lucide-react';
import type { ReactNode } from 'react';
import { Checkbox, IconButton, problemAt, Select, Switch, TextField } from '../../ui/index.js';
import {
  DAYS,
  windowDraft,
  type PartDraft,
  type SelectorKind,
  type WindowDraft,
} from './plan-draft.js';
import { choicesOf } from '../../app/session.js';

const KINDS: readonly { readonly value: SelectorKind; readonly label: string }[] = [
  { value: 'percent', label: 'A share, in percent' },
  { value: 'count', label: 'So many nodes' },
  { value: 'group_id', label: 'A group' },
  { value: 'label', label: 'Nodes with a label' },
  { value: 'ring', label: 'Nodes of a ring (label)' },
  { value: 'rest', label: 'All that are left' },
];
const VALUE_LABELS: Readonly<Record<Exclude<SelectorKind, 'rest' | 'group_id'>, string>> = {
  percent: 'Percent, cumulative',
  count: 'Nodes',
  label: 'Label, as key=value',
  ring: 'Ring',
};

/** One ring or wave: who, when, and what it waits for. */
export const PartFields = ({
  part,
  title,
  path,
  isRing,
  error,
  groups,
  change,
  remove,
}: {
  readonly part: PartDraft;
  readonly title: string;
  /** In the request, such as `rings.0`. */
  readonly path: string;
  readonly isRing: boolean;
  readonly error: Error | null;
  readonly groups: readonly { readonly id: string; readonly name: string }[];
  readonly change: (part: Partial<PartDraft>) => void;
  readonly remove?: () => void;
}): ReactNode => {
  const at = (...keys: readonly string[]): string | null =>
    keys.map((key) => problemAt(error, key === '' ? path : `${path}.${key}`)).find(Boolean) ?? null;
  const whole = at(
    '',
    'percent',
    'count',
    'group_id',
    'label',
    'label.key',
    'ring',
    'rest',
    'selector',
  );
  return (
    <div className="part" role="group" aria-label={title}>
      <div className="row row-between">
        <h3>{title}</h3>
        {remove === undefined ? null : (
          <IconButton label={`Remove ${title}`} onPress={remove}>
            <Trash2 aria-hidden />
          </IconButton>
        )}
      </div>
      <div className="fields">
        <TextField
          label="Name"
          value={part.name}
          onChange={(name) => change({ name })}
          error={at('name')}
        />
        <Select
          label="Who"
          value={part.kind}
          onChange={(kind) => change({ kind, value: '' })}
          choices={KINDS}
          error={part.kind === 'rest' ? whole : null}
        />
        {part.kind === 'rest' ? null : part.kind === 'group_id' ? (
          <Select
            label="Group"
            placeholder="Choose a group"
            value={part.value === '' ? null : part.value}
            onChange={(value) => change({ value })}
            choices={choicesOf(groups)}
            error={whole}
          />
        ) : (
          <TextField
            label={VALUE_LABELS[part.kind]}
            value={part.value}
            onChange={(value) => change({ value })}
            error={whole}
          />
        )}
        <TextField
          label="Canaries first"
          value={part.canaries}
          onChange={(canaries) => change({ canaries })}
          inputMode="numeric"
          error={at('canary_count')}
        />
        <TextField
          label="Hours after the one before"
          value={part.waitHours}
          onChange={(waitHours) => change({ waitHours })}
          inputMode="decimal"
          error={at('wait_hours')}
        />
        {isRing ? null : (
          <TextField
            label="Approvals needed"
            value={part.approvals}
            onChange={(approvals) => change({ approvals })}
            inputMode="numeric"
            error={at('approvals')}
          />
        )}
      </div>
      <Switch
        isSelected={part.window !== null}
        onChange={(isOn) => change({ window: isOn ? windowDraft() : null })}
      >
        Only in a maintenance window
      </Switch>
      {part.window === null ? null : (
        <WindowFields
          window={part.window}
          change={(window) => change({ window })}
          error={error}
          path={isRing ? `${path}.window` : `${path}.windows.0`}
        />
      )}
    </div>
  );
};

export const WindowFields = ({
  window,
  change,
  error,
  path,
}: {
  readonly window: WindowDraft;
  readonly change: (window: WindowDraft) => void;
  readonly error: Error | null;
  readonly path: string;
}): ReactNode => {
  const at = (key: string): string | null => problemAt(error, `${path}.${key}`);
  return (
    <div className="stack">
      <div className="row row-wrap" role="group" aria-label="Days">
        {DAYS.map((day) => (
          <Checkbox
            key={day}
            isSelected={window.days.includes(day)}
            onChange={(isOn) =>
              change({
                ...window,
                days: DAYS.filter((one) => (one === day ? isOn : window.days.includes(one))),
              })
            }
          >
            {day}
          </Checkbox>
        ))}
      </div>
      <div className="fields">
        <TextField
          label="Starts at"
          type="time"
          value={window.start}
          onChange={(start) => change({ ...window, start })}
          error={at('start')}
        />
        <TextField
          label="For hours"
          value={window.hours}
          onChange={(hours) => change({ ...window, hours })}
          inputMode="decimal"
          error={at('duration_minutes')}
        />
        <TextField
          label="Time zone"
          hint="a name such as Europe/Berlin"
          value={window.timeZone}
          onChange={(timeZone) => change({ ...window, timeZone })}
          error={at('time_zone')}
        />
      </div>
      {problemAt(error, path) === null && at('days') === null ? null : (
        <span className="field-error">{problemAt(error, path) ?? at('days')}</span>
      )}
    </div>
  );
};
