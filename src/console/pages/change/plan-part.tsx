import { Plus, Trash2 } from 'lucide-react';
import type { ReactNode } from 'react';
import {
  Button,
  Checkbox,
  exactly,
  IconButton,
  problemAt,
  Select,
  Switch,
  TextField,
} from '../../ui/index.js';
import {
  DAYS,
  windowDraft,
  type LimitsDraft,
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
          <>
            <TextField
              label="Approvals needed"
              value={part.approvals}
              onChange={(approvals) => change({ approvals })}
              inputMode="numeric"
              error={at('approvals')}
            />
            <TextField
              label="Watch it for, in minutes"
              hint="empty: as the terms say"
              value={part.settleMinutes}
              onChange={(settleMinutes) => change({ settleMinutes })}
              inputMode="decimal"
              error={at('settle_seconds')}
            />
          </>
        )}
      </div>
      {isRing ? null : <WaveLimits part={part} change={change} at={at} />}
      <Windows part={part} path={path} isRing={isRing} error={error} change={change} />
    </div>
  );
};

interface OfPart {
  readonly part: PartDraft;
  readonly change: (part: Partial<PartDraft>) => void;
}

/** As a plan begins: nothing may go wrong, and not much may stay unknown. */
const FIRST_LIMITS: LimitsDraft = { failures: '0', offline: '0', silent: '50%' };
const LIMITS: readonly (readonly [keyof LimitsDraft, string])[] = [
  ['failures', 'Failed nodes tolerated'],
  ['offline', 'Gone nodes tolerated'],
  ['silent', 'Silent nodes tolerated'],
];

/** What a wave takes from the terms of the plan, unless it says so itself. */
const WaveLimits = ({
  part,
  change,
  at,
}: OfPart & { readonly at: (key: string) => string | null }): ReactNode => {
  const { limits, notBefore } = part;
  return (
    <>
      <Switch
        isSelected={limits !== null}
        onChange={(isOn) => change({ limits: isOn ? FIRST_LIMITS : null })}
      >
        Tolerates something else than the terms say
      </Switch>
      {limits === null ? null : (
        <div className="fields">
          {LIMITS.map(([key, label]) => (
            <TextField
              key={key}
              label={label}
              hint="a number, or a share such as 10%; empty: any amount"
              value={limits[key]}
              onChange={(text) => change({ limits: { ...limits, [key]: text } })}
              error={at(`tolerate.${key}`)}
            />
          ))}
        </div>
      )}
      {notBefore === null ? null : (
        <div className="row row-wrap">
          <span>Not before {exactly(notBefore)}</span>
          <Button onPress={() => change({ notBefore: null })}>Take this away</Button>
        </div>
      )}
    </>
  );
};

const Windows = ({
  part: { windows },
  change,
  path,
  isRing,
  error,
}: OfPart & {
  readonly path: string;
  readonly isRing: boolean;
  readonly error: Error | null;
}): ReactNode => (
  <>
    <Switch
      isSelected={windows.length > 0}
      onChange={(isOn) => change({ windows: isOn ? [windowDraft()] : [] })}
    >
      Only in a maintenance window
    </Switch>
    {windows.map((window, index) => (
      <div key={index} className="stack" role="group" aria-label={`Window ${index + 1}`}>
        <WindowFields
          window={window}
          change={(next) => change({ windows: windows.with(index, next) })}
          error={error}
          path={isRing ? `${path}.window` : `${path}.windows.${index}`}
        />
        {windows.length === 1 ? null : (
          <div>
            <Button
              icon={<Trash2 aria-hidden />}
              onPress={() => change({ windows: windows.toSpliced(index, 1) })}
            >
              Remove this window
            </Button>
          </div>
        )}
      </div>
    ))}
    {isRing || windows.length === 0 ? null : (
      <div>
        <Button
          icon={<Plus aria-hidden />}
          onPress={() => change({ windows: [...windows, windowDraft()] })}
        >
          Add a window
        </Button>
      </div>
    )}
  </>
);

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
      <div className="days" role="group" aria-label="Days">
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
