import { useMemo, useState, type ReactNode } from 'react';
import type { Answer } from '../../../client/index.js';
import { useApi } from '../../app/api.js';
import {
  Card,
  Chart,
  Loaded,
  Select,
  SERIES_COLOURS,
  useNow,
  type Series,
} from '../../ui/index.js';

const DAY_MS = 86_400_000;
/** Spans to choose from, and how far apart points are so that there are some hundred at most. */
const SPANS = [
  { value: '1', label: 'Last day', days: 1, stepHours: 1 },
  { value: '7', label: 'Last 7 days', days: 7, stepHours: 2 },
  { value: '30', label: 'Last 30 days', days: 30, stepHours: 6 },
  { value: '90', label: 'Last 90 days', days: 90, stepHours: 24 },
] as const;
type Summary = Answer<'fleet.summary'>;
type History = Answer<'fleet.history'>;
type Span = (typeof SPANS)[number]['value'];
/** Asked for anew so often: a point is an hour. */
const SINCE_STEP_MS = 300_000;

/** Which versions of one product ran on how many nodes, one on the other. */
export const VersionsOverTime = ({
  summary,
}: {
  /** The fleet of now: the last point of the picture. */
  readonly summary: Summary | undefined;
}): ReactNode => {
  const products = (summary?.products ?? []).map(({ product: name }) => name);
  const [wanted, setWanted] = useState<string | null>(null);
  const [span, setSpan] = useState<Span>('7');
  const product = wanted ?? products[0] ?? null;
  const { days, stepHours } = SPANS.find(({ value }) => value === span) ?? SPANS[1];
  const since = new Date(useNow(SINCE_STEP_MS) - days * DAY_MS).toISOString();
  const history = useApi(
    'fleet.history',
    { query: { product: product ?? undefined, since, step_hours: stepHours } },
    { enabled: product !== null },
  );
  return (
    <Card
      title="Versions over time"
      actions={
        <div className="row row-wrap chart-choices">
          {products.length > 1 && product !== null ? (
            <Select
              label="Product"
              value={product}
              onChange={setWanted}
              choices={products.map((value) => ({ value, label: value }))}
            />
          ) : null}
          <Select label="Span" value={span} onChange={setSpan} choices={SPANS} />
        </div>
      }
    >
      <div className="chart-room">
        {product === null ? (
          <p className="soft">
            No node runs anything yet. Once one does, its version is counted here.
          </p>
        ) : (
          <Loaded query={history} lines={6}>
            {(data) => <Picture history={withNow(data, summary, product)} product={product} />}
          </Loaded>
        )}
      </div>
    </Card>
  );
};

/** Counts of the past, and what is so now. */
function withNow(past: History, summary: Summary | undefined, product: string): History {
  const running = summary?.products.find((one) => one.product === product)?.versions ?? [];
  if (summary === undefined) return past;
  const now = new Map(running.map(({ version, nodes }) => [version, nodes]));
  const series = past.series
    .filter((one) => one.product === product)
    .map((one) => ({ ...one, nodes: [...one.nodes, now.get(one.version) ?? 0] }));
  const known = new Set(series.map(({ version }) => version));
  const before = past.at.map(() => 0);
  for (const [version, nodes] of now) {
    if (!known.has(version)) series.push({ product, version, nodes: [...before, nodes] });
  }
  return fromFirst({ at: [...past.at, summary.at], series });
}

/** Without the time before anything was counted, which is most of the picture of a young fleet. */
function fromFirst({ at, series }: History): History {
  const first = at.findIndex((_, i) => series.some(({ nodes }) => (nodes[i] ?? 0) > 0));
  if (first <= 0) return { at, series };
  return {
    at: at.slice(first),
    series: series.map((one) => ({ ...one, nodes: one.nodes.slice(first) })),
  };
}

const Picture = ({
  history,
  product,
}: {
  readonly history: History;
  readonly product: string;
}): ReactNode => {
  const series = useMemo(() => seriesOf(history, product), [history, product]);
  if (history.at.length === 0 || series.length === 0)
    return <p className="soft">No node runs it any more, and none did in this time.</p>;
  return (
    <>
      <Chart
        kind="area"
        label={`Nodes by version of ${product} over time`}
        times={history.at}
        series={series}
      />
      {history.at.length === 1 ? (
        <p className="soft small">
          This is now; the fleet is counted once an hour, and the picture grows.
        </p>
      ) : null}
    </>
  );
};

const last = (values: readonly (number | null)[]): number =>
  values.findLast((n) => n !== null) ?? 0;

/** The versions of the most nodes have a colour of their own; the rest share the last one. */
function seriesOf({ series }: History, product: string): readonly Series[] {
  const ours = series
    .filter((one) => one.product === product)
    .map(({ version, nodes }) => ({ name: version ?? 'none yet', nodes }))
    .sort(
      (a, b) =>
        last(b.nodes) - last(a.nodes) || Math.max(...known(b.nodes)) - Math.max(...known(a.nodes)),
    );
  const room = SERIES_COLOURS.length;
  const own = ours.length > room ? ours.slice(0, room - 1) : ours;
  const rest = ours.slice(own.length);
  const shown = own.map(({ name, nodes }) => ({ name, values: filled(nodes) }));
  if (rest.length > 0) {
    const length = rest[0]?.nodes.length ?? 0;
    const all = rest.map(({ nodes }) => filled(nodes));
    const values = Array.from({ length }, (_, i) =>
      all.reduce((sum, one) => sum + (one[i] ?? 0), 0),
    );
    shown.push({ name: `${rest.length} others`, values });
  }
  return shown.map((one, i) => ({ ...one, colour: SERIES_COLOURS[i] ?? 'var(--series-6)' }));
}

const known = (nodes: readonly (number | null)[]): readonly number[] =>
  nodes.length === 0 ? [0] : nodes.map((n) => n ?? 0);

/** Where nobody counted, the count before stands. */
function filled(nodes: readonly (number | null)[]): number[] {
  let before = 0;
  return nodes.map((n) => (before = n ?? before));
}
