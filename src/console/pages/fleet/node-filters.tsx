import { FilterX, SlidersHorizontal } from 'lucide-react';
import { useEffect, useMemo, useState, type ReactNode } from 'react';
import { useApi } from '../../app/api.js';
import { useFilters } from '../../app/filters.js';
import { useGroups } from '../../app/session.js';
import { Button, SearchField, Select, Switch, TextField, type Choice } from '../../ui/index.js';
import { groupChoices } from './group-choices.js';
import type { NodeWishes } from './node-rows.js';

export const NODE_FILTERS = [
  'text',
  'group',
  'status',
  'upgrade',
  'product',
  'version',
  'upgrader',
  'outdated',
  'label',
] as const;
type Filters = ReturnType<typeof useFilters<(typeof NODE_FILTERS)[number]>>;

/** After the last letter, before the manager is asked. */
const TYPING_MS = 40;
const LABEL = /^[^=]{1,63}=.{0,128}$/su;
/** As many as the route takes. */
const LABELS_MAX = 8;
/** Several labels stand in one text, with spaces or commas between them: all of them must fit. */
const labelsIn = (text: string): string[] => text.split(/[\s,]+/).filter((one) => one !== '');
const areLabels = (labels: readonly string[]): boolean =>
  labels.length <= LABELS_MAX && labels.every((one) => LABEL.test(one));

/** What the address asks for, as the route takes it. */
export function wishesOf(values: Filters['values']): NodeWishes {
  const { text, group, status, upgrade, product, version, upgrader, outdated, label } = values;
  const labels = labelsIn(label ?? '');
  const wishes = {
    text: text?.trim().slice(0, 128),
    group_id: group,
    status,
    upgrade,
    product,
    version,
    upgrader,
    outdated: outdated === 'true' ? 'true' : undefined,
    label: labels.length > 0 && areLabels(labels) ? labels : undefined,
  };
  const given = Object.entries(wishes).filter(([, value]) => value !== undefined && value !== '');
  return Object.fromEntries(given);
}

const ANY = 'any';
const STATUS = ['online', 'offline', 'pending', 'revoked'];
const UPGRADE = [
  ['upgrading', 'Upgrading'],
  ['updated', 'Updated'],
  ['failed', 'Upgrade failed'],
  ['none', 'Never upgraded'],
] as const;
const UPGRADER = [
  ['agent', 'Agent, by socket'],
  ['poll', 'Agent, by polls'],
  ['kubernetes', 'Kubernetes operator'],
  ['none', 'Nobody'],
] as const;
const named = (pairs: readonly (readonly [string, string])[]): readonly Choice[] =>
  pairs.map(([value, label]) => ({ value, label }));

const OneOf = ({
  label,
  value,
  choices,
  onChange,
}: {
  readonly label: string;
  readonly value: string | undefined;
  readonly choices: readonly Choice[];
  readonly onChange: (value: string | null) => void;
}): ReactNode => {
  const shown =
    value === undefined || choices.some((one) => one.value === value)
      ? choices
      : [...choices, { value, label: value }];
  return (
    <Select
      label={label}
      value={value ?? ANY}
      onChange={(next) => onChange(next === ANY ? null : next)}
      choices={[{ value: ANY, label: 'Any' }, ...shown]}
    />
  );
};

/** Text that is passed on when the typing pauses. */
function useTyped(
  value: string,
  pass: (text: string) => void,
): readonly [string, (text: string) => void] {
  const [typed, setTyped] = useState(value);
  const [passed, setPassed] = useState(value);
  if (value !== passed) {
    // Changed from elsewhere: a view was opened, or the filters were cleared.
    setPassed(value);
    setTyped(value);
  }
  useEffect(() => {
    if (typed === value) return;
    const timer = setTimeout(() => {
      setPassed(typed);
      pass(typed);
    }, TYPING_MS);
    return () => clearTimeout(timer);
  }, [typed]);
  return [typed, setTyped];
}

const SELDOM = ['product', 'version', 'upgrader', 'outdated', 'label'] as const;

/** What narrows the list; all of it stands in the address. */
export const NodeFilters = ({ filters }: { readonly filters: Filters }): ReactNode => {
  const { values, set, clear, isFiltered } = filters;
  const { groups } = useGroups();
  const choices = useMemo(() => groupChoices(groups), [groups]);
  const [isWide, setWide] = useState(SELDOM.some((key) => values[key] !== undefined));
  const [text, setText] = useTyped(values.text ?? '', (next) => set({ text: next }));
  return (
    <div className="toolbar node-toolbar" role="search" aria-label="Filters">
      <SearchField label="Search nodes" placeholder="Name or id" value={text} onChange={setText} />
      <OneOf
        label="Group"
        value={values.group}
        choices={choices}
        onChange={(group) => set({ group })}
      />
      <OneOf
        label="Status"
        value={values.status}
        choices={STATUS.map((value) => ({ value, label: value }))}
        onChange={(status) => set({ status })}
      />
      <OneOf
        label="Upgrade"
        value={values.upgrade}
        choices={named(UPGRADE)}
        onChange={(upgrade) => set({ upgrade })}
      />
      {isWide ? <SeldomFilters filters={filters} /> : null}
      <Button
        kind="quiet"
        icon={<SlidersHorizontal aria-hidden />}
        aria-expanded={isWide}
        onPress={() => setWide(!isWide)}
      >
        {isWide ? 'Fewer filters' : 'More filters'}
      </Button>
      {isFiltered ? (
        <Button kind="quiet" icon={<FilterX aria-hidden />} onPress={clear}>
          Clear
        </Button>
      ) : null}
    </div>
  );
};

const SeldomFilters = ({ filters: { values, set } }: { readonly filters: Filters }): ReactNode => {
  const summary = useApi('fleet.summary', { query: {} });
  const products = summary.data?.products ?? [];
  const versions = new Set(
    products
      .filter(({ product }) => values.product === undefined || product === values.product)
      .flatMap((one) => one.versions.flatMap(({ version }) => version ?? [])),
  );
  const [label, setLabel] = useTyped(values.label ?? '', (next) => set({ label: next }));
  return (
    <>
      <OneOf
        label="Product"
        value={values.product}
        choices={products.map(({ product }) => ({ value: product, label: product }))}
        onChange={(product) => set({ product, version: null })}
      />
      <OneOf
        label="Version"
        value={values.version}
        choices={[...versions].map((value) => ({ value, label: value }))}
        onChange={(version) => set({ version })}
      />
      <OneOf
        label="Upgraded by"
        value={values.upgrader}
        choices={named(UPGRADER)}
        onChange={(upgrader) => set({ upgrader })}
      />
      <TextField
        label="Labels"
        placeholder="site=fra rack=r1"
        value={label}
        onChange={setLabel}
        error={areLabels(labelsIn(label)) ? null : `Take key=value, ${LABELS_MAX} at most`}
        mono
      />
      <div className="toolbar-switch">
        <Switch
          isSelected={values.outdated === 'true'}
          onChange={(isOn) => set({ outdated: isOn ? 'true' : null })}
        >
          Only what is behind
        </Switch>
      </div>
    </>
  );
};
