import { FilterX, SlidersHorizontal } from 'lucide-react';
import { memo, useEffect, useMemo, useRef, useState, type ReactNode } from 'react';
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

/** Letters that come sooner after one another are asked for together: faster than people type. */
const TYPING_MS = 60;
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
const named = (pairs: readonly (readonly [string, string])[]): readonly Choice[] =>
  pairs.map(([value, label]) => ({ value, label }));
const STATUS = named(['online', 'offline', 'pending', 'revoked'].map((one) => [one, one]));
const UPGRADE = named([
  ['upgrading', 'Upgrading'],
  ['updated', 'Updated'],
  ['failed', 'Upgrade failed'],
  ['none', 'Never upgraded'],
]);
const UPGRADER = named([
  ['agent', 'Agent, by socket'],
  ['poll', 'Agent, by polls'],
  ['kubernetes', 'Kubernetes operator'],
  ['none', 'Nobody'],
]);

interface OneOfProps {
  readonly label: string;
  readonly name: (typeof NODE_FILTERS)[number];
  readonly value: string | undefined;
  readonly choices: readonly Choice[];
  readonly set: Filters['set'];
}

/** Drawn again only when its own value or choices changed: letters come fast, and a select is much to draw. */
const OneOf = memo(function OneOf({ label, name, value, choices, set }: OneOfProps): ReactNode {
  const shown =
    value === undefined || choices.some((one) => one.value === value)
      ? choices
      : [...choices, { value, label: value }];
  const change = (next: string): void => {
    // A version is one of a product.
    const also = name === 'product' ? { version: null } : {};
    set({ ...also, [name]: next === ANY ? null : next });
  };
  return (
    <Select
      label={label}
      value={value ?? ANY}
      onChange={change}
      choices={[{ value: ANY, label: 'Any' }, ...shown]}
    />
  );
});

/** Text that is passed on at once, but for letters that come faster than `TYPING_MS`: the last one of those counts. */
function useTyped(
  value: string,
  pass: (text: string) => void,
): readonly [string, (text: string) => void] {
  const [typed, setTyped] = useState(value);
  const [passed, setPassed] = useState(value);
  const typedAt = useRef(0);
  if (value !== passed) {
    // Changed from elsewhere: a view was opened, or the filters were cleared.
    setPassed(value);
    setTyped(value);
  }
  useEffect(() => {
    if (typed === value) return;
    const sinceMs = performance.now() - typedAt.current;
    typedAt.current = performance.now();
    const timer = setTimeout(
      () => {
        setPassed(typed);
        pass(typed);
      },
      sinceMs < TYPING_MS ? TYPING_MS : 0,
    );
    return () => clearTimeout(timer);
  }, [typed]);
  return [typed, setTyped];
}

const SELDOM = ['product', 'version', 'upgrader', 'outdated', 'label'] as const;

/** The typed text is its own: letters draw nothing but this field. */
const Search = memo(function Search({
  value,
  set,
}: {
  readonly value: string;
  readonly set: Filters['set'];
}): ReactNode {
  const [text, setText] = useTyped(value, (next) => set({ text: next }));
  return (
    <SearchField label="Search nodes" placeholder="Name or id" value={text} onChange={setText} />
  );
});

/** What narrows the list; all of it stands in the address. */
export const NodeFilters = ({ filters }: { readonly filters: Filters }): ReactNode => {
  const { values, set, clear, isFiltered } = filters;
  const { groups } = useGroups();
  const choices = useMemo(() => groupChoices(groups), [groups]);
  const [isWide, setWide] = useState(SELDOM.some((key) => values[key] !== undefined));
  return (
    <div className="toolbar node-toolbar" role="search" aria-label="Filters">
      <Search value={values.text ?? ''} set={set} />
      <OneOf label="Group" name="group" value={values.group} choices={choices} set={set} />
      <OneOf label="Status" name="status" value={values.status} choices={STATUS} set={set} />
      <OneOf label="Upgrade" name="upgrade" value={values.upgrade} choices={UPGRADE} set={set} />
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
  const { data } = useApi('fleet.summary', { query: {} });
  const products = useMemo(
    () => named((data?.products ?? []).map(({ product }) => [product, product])),
    [data],
  );
  const versions = useMemo(() => {
    const fitting = (data?.products ?? []).filter(
      ({ product }) => values.product === undefined || product === values.product,
    );
    const found = fitting.flatMap((one) => one.versions.flatMap(({ version }) => version ?? []));
    return named([...new Set(found)].map((version) => [version, version]));
  }, [data, values.product]);
  const [label, setLabel] = useTyped(values.label ?? '', (next) => set({ label: next }));
  const { product, version, upgrader } = values;
  return (
    <>
      <OneOf label="Product" name="product" value={product} choices={products} set={set} />
      <OneOf label="Version" name="version" value={version} choices={versions} set={set} />
      <OneOf label="Upgraded by" name="upgrader" value={upgrader} choices={UPGRADER} set={set} />
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
