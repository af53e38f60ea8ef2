import type { ReactNode } from 'react';
import type { Answer } from '../../../client/index.js';
import { Badge, bytes, count, counted, sentence, spell, Time } from '../../ui/index.js';
import { LeftOut } from './left-out.js';

type Preview = Answer<'rollouts.preview'>;
type Wave = Preview['waves'][number];
/** Waves that are drawn; the rest is counted. */
const WAVES_DRAWN_MAX = 60;
const NODES_NAMED_MAX = 40;

/** A plan before anything happens: how many, how long, how much, wave by wave, and who is left out. */
export const PlanPreview = ({
  preview,
}: {
  readonly preview: Preview;
  readonly groupId: string;
}): ReactNode => {
  const { waves, skipped } = preview;
  const nodes = waves.reduce((sum, { size }) => sum + size, 0);
  return (
    <div className="stack" role="region" aria-label="Plan" aria-live="polite">
      <div className="numbers">
        <Number label="nodes are upgraded" value={count(nodes)} />
        <Number label={waves.length === 1 ? 'wave' : 'waves'} value={count(waves.length)} />
        <Number label="are left out" value={count(skipped.length)} />
        <Number
          label={
            preview.duration_seconds === null
              ? 'it waits for people'
              : preview.duration_from === 'history'
                ? 'as upgrades went here before'
                : 'a guess: nothing was upgraded here yet'
          }
          value={preview.duration_seconds === null ? 'open' : spell(preview.duration_seconds)}
        />
        <Number label="downloaded at most" value={bytes(preview.download_bytes)} />
      </div>
      <Versions waves={waves} version={preview.version} />
      <div>
        <h3>Waves on a time line</h3>
        <ol>
          {waves.slice(0, WAVES_DRAWN_MAX).map((wave) => (
            <Line key={wave.index} wave={wave} span={spanOf(wave, preview)} />
          ))}
        </ol>
        {waves.length <= WAVES_DRAWN_MAX ? null : (
          <p className="soft">and {counted(waves.length - WAVES_DRAWN_MAX, 'more wave')}</p>
        )}
      </div>
      {skipped.length === 0 ? null : (
        <div>
          <h3>Left out</h3>
          <LeftOut skipped={skipped} />
        </div>
      )}
    </div>
  );
};

const Number = ({
  label,
  value,
}: {
  readonly label: string;
  readonly value: string;
}): ReactNode => (
  <div className="number">
    <span className="figure">{value}</span>
    <span className="soft small">{label}</span>
  </div>
);

/** From which versions; of the nodes that the manager names. */
const Versions = ({
  waves,
  version,
}: {
  readonly waves: readonly Wave[];
  readonly version: string;
}): ReactNode => {
  const nodes = waves.flatMap((wave) => wave.nodes);
  const from = new Map<string, number>();
  for (const node of nodes) {
    const name = node.from_version ?? 'nothing';
    from.set(name, (from.get(name) ?? 0) + 1);
  }
  const whole = waves.reduce((sum, { size }) => sum + size, 0);
  const parts = [...from].sort(([, a], [, b]) => b - a);
  return (
    <p>
      To <strong>{version}</strong> from{' '}
      {parts.map(([name, n]) => `${name} (${counted(n, 'node')})`).join(', ')}
      {nodes.length < whole ? `, of the first ${count(nodes.length)}` : ''}.
    </p>
  );
};

/** Where a wave stands on the time line, in percent. */
interface Span {
  readonly from: number;
  readonly width: number;
}

/** What waits for people has no time: it stands after what has one. */
function spanOf(wave: Wave, { waves, duration_seconds: seconds }: Preview): Span {
  const times = waves.map(({ opens_at: at }) => (at === null ? null : Date.parse(at)));
  const known = times.filter((at) => at !== null);
  const first = Math.min(...known);
  if (known.length === 0) return { from: 0, width: 100 };
  const last = Math.max(...known);
  const usual = known.length > 1 ? (last - first) / (known.length - 1) : 1;
  const end =
    seconds === null
      ? last + usual * (1 + times.filter((at) => at === null).length)
      : Math.max(first + seconds * 1_000, last + 1);
  const at = times[wave.index] ?? last + usual;
  const next = times.slice(wave.index + 1).find((one) => one !== null && one > at) ?? end;
  const share = (ms: number): number => (ms / Math.max(1, end - first)) * 100;
  return { from: Math.min(98, share(at - first)), width: Math.max(1, share(next - at)) };
}

const Line = ({ wave, span }: { readonly wave: Wave; readonly span: Span }): ReactNode => (
  <li className="line">
    <span className="row row-wrap">
      <strong>Wave {wave.index + 1}</strong>
      <bdi className="cut soft">{wave.name}</bdi>
      {wave.part === 'canary' ? <Badge tone="trial">canaries</Badge> : null}
      <span className="figures">{counted(wave.size, 'node')}</span>
    </span>
    <div className="line-bar" aria-hidden>
      <span
        data-part={wave.part}
        style={{ left: `${span.from}%`, width: `${Math.min(span.width, 100 - span.from)}%` }}
      />
    </div>
    <div className="line-says small">
      <span className="soft">Opens</span>{' '}
      {wave.opens_at === null ? 'when a person lets it' : <Time at={wave.opens_at} />}
      {wave.opens_when.length === 0 ? null : <>, after: {wave.opens_when.join('; ')}</>}
      <br />
      <span className="soft">Passes</span>{' '}
      {wave.passes_when.length === 0
        ? 'without evidence'
        : `when ${wave.passes_when.join(', and with ')}`}
      <details className="folded">
        <summary>Who is in it</summary>
        <p className="left-out-names">
          {wave.nodes.slice(0, NODES_NAMED_MAX).map(({ id, name, from_version: from }) => (
            <bdi key={id}>
              {name} <span className="soft">{from ?? ''}</span>
            </bdi>
          ))}
          {wave.size <= NODES_NAMED_MAX ? null : (
            <span className="soft">
              {sentence(`and ${counted(wave.size - NODES_NAMED_MAX, 'more node')}`)}
            </span>
          )}
        </p>
      </details>
    </div>
  </li>
);
