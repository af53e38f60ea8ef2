import { useEffect, useState, type ReactNode } from 'react';
import { useApi } from '../../app/api.js';
import { StateBadge } from '../../ui/index.js';
import { reasonInWords } from './reasons.js';

/** A pointer that only passes by asks nothing. */
const REST_MS = 180;
const WIDTH = 300;

/** Who a cell is, and what it is in; the name and the reason come when the pointer rests. */
export const CellTip = ({
  rolloutId,
  nodeId,
  state,
  x,
  y,
  width,
}: {
  readonly rolloutId: string;
  readonly nodeId: string;
  readonly state: string;
  readonly x: number;
  readonly y: number;
  readonly width: number;
}): ReactNode => {
  const [rested, setRested] = useState<string | null>(null);
  useEffect(() => {
    const timer = setTimeout(() => setRested(nodeId), REST_MS);
    return () => clearTimeout(timer);
  }, [nodeId]);
  const { data } = useApi(
    'rollouts.targets',
    { params: { id: rolloutId }, query: { node_id: nodeId, limit: 1 } },
    { enabled: rested === nodeId, keep: false },
  );
  const target = data?.items.find((one) => one.node_id === nodeId);
  const why = target?.error_code ?? null;
  return (
    <div
      className="cell-tip"
      role="status"
      style={{ left: Math.max(0, Math.min(x, width - WIDTH)), top: y + 6, maxWidth: WIDTH }}
    >
      <bdi className="cut">
        <strong>{target?.node_name ?? nodeId}</strong>
      </bdi>
      <span className="row row-wrap">
        <StateBadge state={state} />
        {target === undefined ? null : <span>{reasonInWords(target.reason)}</span>}
      </span>
      {why === null ? null : <code>{why}</code>}
    </div>
  );
};
