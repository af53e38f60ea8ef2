import { Info, OctagonAlert, TriangleAlert } from 'lucide-react';
import type { ReactNode } from 'react';
import { Link } from 'react-router';
import type { Answer } from '../../../client/index.js';
import { Time, Tip } from '../../ui/index.js';
import { fixOf } from './fixes.js';

export type Event = Answer<'events.list'>['items'][number];
const SIGNS = {
  critical: <OctagonAlert aria-label="Critical" className="sign-bad" />,
  warning: <TriangleAlert aria-label="Warning" className="sign-warn" />,
  info: <Info aria-label="Info" className="sign-idle" />,
} as const;

/** A code as our documents have it, with what to do about it on hover. */
export const Code = ({ code }: { readonly code: string }): ReactNode => {
  const fix = fixOf(code);
  const text = <code className="wrap-anywhere">{code}</code>;
  return fix === null ? text : <Tip text={fix}>{text}</Tip>;
};

/** Events, each in one or two lines. */
export const EventLines = ({
  events,
  showNode = false,
}: {
  readonly events: readonly Event[];
  readonly showNode?: boolean;
}): ReactNode => (
  <ul className="lines">
    {events.map((event) => (
      <li key={event.id} className="line">
        {SIGNS[event.severity]}
        <div className="stack-tight grow">
          <span className="wrap-anywhere">{event.message}</span>
          <span className="row row-wrap soft small">
            <Time at={event.at} />
            {event.error_code === null ? null : <Code code={event.error_code} />}
            {showNode && event.node_id !== null ? (
              <Link to={`/nodes/${event.node_id}`}>the node</Link>
            ) : null}
            {event.rollout_id === null ? null : (
              <Link to={`/rollouts/${event.rollout_id}`}>the rollout</Link>
            )}
          </span>
        </div>
      </li>
    ))}
  </ul>
);
