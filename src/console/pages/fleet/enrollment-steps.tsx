import { CircleCheck, LoaderCircle, TriangleAlert } from 'lucide-react';
import { useEffect, useState, type ReactNode } from 'react';
import { Link } from 'react-router';
import type { Answer } from '../../../client/index.js';
import { useApi } from '../../app/api.js';
import { useGroups } from '../../app/session.js';
import { ButtonLink, Card, Copy, Countdown, Note, StateBadge, useNow } from '../../ui/index.js';
import { NodeFiles } from './node-files-card.js';
import type { FleetNode } from './node-rows.js';

export type Token = Answer<'enrollment.create'>;

/** While it is waited for; the stream of events usually is faster. */
const ASK_MS = 2_000;
/** After so long, what could be wrong is opened by itself. */
const PATIENCE_MS = 60_000;

/** The node that came with a token, once it has. */
function useNewcomer(token: Token): FleetNode | null {
  const [nodeId, setNodeId] = useState<string | null>(null);
  const events = useApi(
    'events.list',
    { query: { type: 'node_enrolled', group_id: token.group_id, order: 'newest', limit: 50 } },
    { enabled: nodeId === null, everyMs: ASK_MS, keep: false },
  );
  const found = events.data?.items.find(
    ({ details }) => details['enrollment_token_id'] === token.id,
  )?.node_id;
  useEffect(() => {
    if (found != null) setNodeId(found);
  }, [found]);
  const node = useApi(
    'nodes.show',
    { params: { id: nodeId ?? '' } },
    { enabled: nodeId !== null, everyMs: ASK_MS, keep: false },
  );
  return node.data ?? null;
}

export const EnrollmentSteps = ({ token }: { readonly token: Token }): ReactNode => {
  const node = useNewcomer(token);
  const now = useNow();
  const isOver = node === null && Date.parse(token.expires_at) <= now;
  return (
    <>
      <Card
        title="2. Run this on the machine, as root"
        actions={
          node === null && !isOver ? (
            <span className="soft small">
              works for <Countdown until={token.expires_at} />
            </span>
          ) : null
        }
      >
        <div className="stack">
          <Copy text={token.command} label="the line for the machine" />
          <p className="soft small">
            The line is shown once. No agent there yet? <a href="/docs/install">Install it</a>{' '}
            first; the installer takes the same token and manager.
          </p>
        </div>
      </Card>
      <Card title="3. Watch it come">
        {isOver ? (
          <Note tone="warn" icon={<TriangleAlert aria-hidden />}>
            Nobody came with this token, and it has run out. Make another one.
          </Note>
        ) : (
          <Progress node={node} />
        )}
      </Card>
      <NodeFiles />
      {node?.status === 'online' ? null : <WhatIfNot isEnrolled={node !== null} token={token} />}
    </>
  );
};

const Step = ({
  state,
  children,
}: {
  readonly state: 'done' | 'now' | 'later';
  readonly children: ReactNode;
}): ReactNode => (
  <li className="enroll-step" data-state={state}>
    {state === 'done' ? (
      <CircleCheck aria-label="Done" className="sign-good" />
    ) : state === 'now' ? (
      <LoaderCircle aria-label="Under way" className="spin" />
    ) : (
      <span className="enroll-dot" aria-hidden />
    )}
    <div className="grow">{children}</div>
  </li>
);

const Progress = ({ node }: { readonly node: FleetNode | null }): ReactNode => {
  const { nameOf } = useGroups();
  const isLinked = node?.status === 'online';
  return (
    <div className="stack" role="status">
      <ol className="stack">
        <Step state={node === null ? 'now' : 'done'}>
          {node === null ? (
            'Waiting for the machine to trade its token'
          ) : (
            <>
              <bdi className="wrap-anywhere">
                <strong>{node.name}</strong>
              </bdi>{' '}
              is enrolled in <bdi>{nameOf(node.group_id)}</bdi>: {node.host.os} {node.host.arch},{' '}
              <bdi>{node.host.hostname}</bdi>
            </>
          )}
        </Step>
        <Step state={isLinked ? 'done' : node === null ? 'later' : 'now'}>
          {isLinked ? (
            <span className="row row-wrap">
              It is connected <StateBadge state="online" />
            </span>
          ) : node === null ? (
            'Then it connects'
          ) : (
            'Waiting for its first connection: the agent has to run'
          )}
        </Step>
      </ol>
      {node === null ? null : (
        <div className="row row-wrap">
          <ButtonLink to={`/nodes/${node.id}`} kind={isLinked ? 'primary' : 'plain'}>
            To the node
          </ButtonLink>
          {isLinked ? <ButtonLink to="/releases">To the releases</ButtonLink> : null}
        </div>
      )}
    </div>
  );
};

const WhatIfNot = ({
  isEnrolled,
  token,
}: {
  readonly isEnrolled: boolean;
  readonly token: Token;
}): ReactNode => {
  const [since] = useState(() => Date.now());
  const isLate = useNow() - since > PATIENCE_MS;
  const manager = /--manager (\S+)/.exec(token.command)?.[1] ?? location.origin;
  return (
    <details className="if-not" open={isLate}>
      <summary>If it does not come</summary>
      <div className="stack">
        {isEnrolled ? (
          <ul className="stack-tight dots">
            <li>
              On the machine, <code>bellwether-agent status</code> says how its link stands, and
              why.
            </li>
            <li>
              Under systemd: <code>systemctl status bellwether-agent</code>. Enrolling alone does
              not start it: <code>bellwether-agent run</code> does.
            </li>
            <li>
              A proxy that lets no WebSocket through is no obstacle: the agent asks by polls after
              some tries.
            </li>
          </ul>
        ) : (
          <>
            <p>On the machine, this must answer with the state of the manager:</p>
            <Copy text={`curl -sS ${manager}/healthz`} label="the check" />
            <ul className="stack-tight dots">
              <li>
                No answer: a firewall, or the public address of the manager is another one than
                machines can reach (it is set when the manager starts).
              </li>
              <li>
                The line said why it was refused? <Link to="/events?category=security">Events</Link>{' '}
                and <Link to="/audit">Audit</Link> have the other side of it, and each code is
                explained in <a href="/docs/errors">the documents</a>.
              </li>
              <li>
                A clock that is wrong by more than half a minute: set the time of the machine.
              </li>
              <li>The group is full: look at its quota.</li>
            </ul>
          </>
        )}
      </div>
    </details>
  );
};
