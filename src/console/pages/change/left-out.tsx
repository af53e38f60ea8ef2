import { CircleDashed } from 'lucide-react';
import type { ReactNode } from 'react';
import { Link } from 'react-router';
import { counted, Empty, sentence } from '../../ui/index.js';
import { reasonInWords } from './reasons.js';

/** Of each reason so many are named; the manager has the rest. */
const NAMED_MAX = 40;

/** Nodes that take no part, by reason, the most frequent first. */
export const LeftOut = ({
  skipped,
}: {
  readonly skipped: readonly { readonly node_id: string; readonly reason: string }[];
}): ReactNode => {
  if (skipped.length === 0) {
    return (
      <Empty icon={<CircleDashed aria-hidden />} title="No node is left out">
        Every node of the scope takes part.
      </Empty>
    );
  }
  const byReason = Map.groupBy(skipped, ({ reason }) => reason);
  const groups = [...byReason].sort(([, a], [, b]) => b.length - a.length);
  return (
    <ul className="left-out">
      {groups.map(([reason, nodes]) => (
        <li key={reason}>
          <details>
            <summary>
              <strong className="figures">{counted(nodes.length, 'node')}</strong>:{' '}
              {sentence(reasonInWords(reason))} <code className="soft">{reason}</code>
            </summary>
            <p className="small left-out-names">
              {nodes.slice(0, NAMED_MAX).map(({ node_id: id }) => (
                <Link key={id} to={`/nodes/${id}`} className="mono">
                  {id}
                </Link>
              ))}
              {nodes.length <= NAMED_MAX ? null : (
                <span className="soft">and {counted(nodes.length - NAMED_MAX, 'more node')}</span>
              )}
            </p>
          </details>
        </li>
      ))}
    </ul>
  );
};
