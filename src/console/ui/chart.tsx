import { useId, useState, type ReactNode } from 'react';
import { count } from '../app/words.js';
import { exactly } from './time.js';

export interface Series {
  readonly name: string;
  /** As CSS takes it, such as `var(--series-1)`. */
  readonly colour: string;
  /** One for each moment. */
  readonly values: readonly number[];
}

interface ChartProps {
  /** What it shows, for who cannot see it. */
  readonly label: string;
  /** Moments, oldest first. */
  readonly times: readonly string[];
  readonly series: readonly Series[];
  readonly kind: 'area' | 'bars';
  readonly height?: number;
}

const WIDTH = 800;
const PAD = 4;
export const SERIES_COLOURS = [1, 2, 3, 4, 5, 6].map((n) => `var(--series-${n})`);

/** Parts of a whole over time, one on the other. The same numbers stand in a table for who cannot see it. */
export const Chart = (props: ChartProps): ReactNode => {
  const { label, times, series, kind, height = 190 } = props;
  const [at, setAt] = useState<number | null>(null);
  const id = useId();
  const sums = times.map((_, i) => series.reduce((sum, one) => sum + (one.values[i] ?? 0), 0));
  const top = Math.max(1, ...sums);
  const draw = kind === 'area' ? areaOf : barsOf;
  const point = (event: React.PointerEvent<SVGSVGElement>): void => {
    const box = event.currentTarget.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    setAt(Math.max(0, Math.min(times.length - 1, Math.floor(share * times.length))));
  };
  return (
    <figure>
      <div className="row row-between small soft figures">
        <span>{at === null ? `up to ${count(top)}` : exactly(times[at] ?? '').split(' (')[0]}</span>
      </div>
      <svg
        viewBox={`0 0 ${WIDTH} ${height}`}
        width="100%"
        height={height}
        preserveAspectRatio="none"
        role="img"
        aria-labelledby={id}
        onPointerMove={point}
        onPointerLeave={() => setAt(null)}
      >
        <title id={id}>{label}</title>
        {[0.25, 0.5, 0.75].map((y) => (
          <line
            key={y}
            x1={0}
            x2={WIDTH}
            y1={height * y}
            y2={height * y}
            stroke="var(--line)"
            vectorEffect="non-scaling-stroke"
          />
        ))}
        {draw(series, top, height)}
        {at === null ? null : (
          <line
            x1={((at + 0.5) / times.length) * WIDTH}
            x2={((at + 0.5) / times.length) * WIDTH}
            y1={0}
            y2={height}
            stroke="var(--text-soft)"
            strokeDasharray="3 3"
            vectorEffect="non-scaling-stroke"
          />
        )}
      </svg>
      <figcaption className="legend">
        {series.map(({ name, colour, values }) => (
          <span key={name} className="figures">
            <span className="legend-key" style={{ background: colour }} />
            {name}{' '}
            <strong>
              {count(
                at === null
                  ? kind === 'area'
                    ? (values.at(-1) ?? 0)
                    : values.reduce((sum, value) => sum + value, 0)
                  : (values[at] ?? 0),
              )}
            </strong>
          </span>
        ))}
      </figcaption>
    </figure>
  );
};

function areaOf(series: readonly Series[], top: number, height: number): ReactNode {
  const length = Math.max(1, ...series.map(({ values }) => values.length));
  const x = (i: number): number =>
    length === 1 ? (i === 0 ? 0 : WIDTH) : (i / (length - 1)) * WIDTH;
  const y = (value: number): number => height - (value / top) * (height - PAD);
  const floor = Array.from({ length }, () => 0);
  return series.map(({ name, colour, values }) => {
    const below = [...floor];
    const above = values.map((value, i) => {
      floor[i] = (floor[i] ?? 0) + value;
      return floor[i] ?? 0;
    });
    // One moment alone is as wide as the picture.
    const upper = length === 1 ? [above[0] ?? 0, above[0] ?? 0] : above;
    const lower = length === 1 ? [below[0] ?? 0, below[0] ?? 0] : below;
    const there = upper.map((value, i) => `${x(i)},${y(value)}`);
    const back = lower.map((value, i) => `${x(i)},${y(value)}`).reverse();
    return <polygon key={name} points={[...there, ...back].join(' ')} fill={colour} />;
  });
}

function barsOf(series: readonly Series[], top: number, height: number): ReactNode {
  const length = Math.max(1, ...series.map(({ values }) => values.length));
  const width = WIDTH / length;
  const floor = Array.from({ length }, () => 0);
  return series.map(({ name, colour, values }) => (
    <g key={name} fill={colour}>
      {values.map((value, i) => {
        const from = floor[i] ?? 0;
        floor[i] = from + value;
        if (value === 0) return null;
        const tall = (value / top) * (height - PAD);
        return (
          <rect
            key={i}
            x={i * width + width * 0.12}
            y={height - ((from + value) / top) * (height - PAD)}
            width={width * 0.76}
            height={Math.max(1, tall)}
          />
        );
      })}
    </g>
  ));
}

/** Parts of a whole, in one line. */
export const PartsBar = ({
  label,
  parts,
}: {
  readonly label: string;
  readonly parts: readonly { readonly name: string; readonly tone: string; readonly n: number }[];
}): ReactNode => {
  const whole = Math.max(
    1,
    parts.reduce((sum, { n }) => sum + n, 0),
  );
  const inWords = parts.filter(({ n }) => n > 0).map(({ name, n }) => `${count(n)} ${name}`);
  return (
    <div className="bar" role="img" aria-label={`${label}: ${inWords.join(', ')}`}>
      {parts.map(({ name, tone, n }) => (
        <span
          key={name}
          className={`fill-${tone}`}
          style={{ width: `${(n / whole) * 100}%` }}
          title={`${count(n)} ${name}`}
        />
      ))}
    </div>
  );
};
