import { Signal, SignalHigh, SignalLow, SignalZero } from 'lucide-react';
import type { ReactNode } from 'react';
import type { Answer } from '../../../client/index.js';
import { useApi } from '../../app/api.js';
import { Badge, bytes, Card, count, counted, Facts, Loaded, Time, words } from '../../ui/index.js';
import type { FleetNode } from './node-rows.js';

const UPGRADERS: Readonly<Record<FleetNode['upgrader'], string>> = {
  agent: 'its agent, by a socket',
  poll: 'its agent, by polls',
  kubernetes: 'the Kubernetes operator',
  none: 'nobody: no agent that can',
};

export const HostCard = ({ node }: { readonly node: FleetNode }): ReactNode => {
  const { host } = node;
  return (
    <Card title="Host">
      <Facts
        items={[
          ['Hostname', <bdi key="host">{host.hostname}</bdi>],
          ['System', `${host.os} ${host.arch}, kernel ${host.kernel}`],
          ['Memory', bytes(host.memory_bytes)],
          ['Agent', node.agent_version ?? 'not told yet'],
          ['Policy', <PolicyDigest key="policy" digest={node.policy_digest} />],
          ['Upgraded by', UPGRADERS[node.upgrader]],
          [
            'Can',
            node.capabilities.length === 0
              ? 'not told yet'
              : node.capabilities.map(words).join(', '),
          ],
          ['Enrolled', <Time key="at" at={node.enrolled_at} />],
          ['Seen', node.status === 'online' ? 'now' : <Time key="seen" at={node.last_seen_at} />],
          ['Id', <code key="id">{node.id}</code>],
        ]}
      />
    </Card>
  );
};

/** Nodes with the same policy have the same digest; what it says stands on the node alone. */
const PolicyDigest = ({ digest }: { readonly digest: string | null }): ReactNode =>
  digest === null ? (
    <span className="soft">not told yet</span>
  ) : digest === 'invalid' ? (
    <Badge
      tone="bad"
      title="Its policy cannot be read, so it refuses every upgrade: `bellwether-agent policy check` on the node says why."
    >
      invalid: refuses everything
    </Badge>
  ) : (
    <code
      className="cut block"
      title={`SHA-256 of its policy when it connected last; later changes are events: ${digest}`}
    >
      {digest}
    </code>
  );

type Link = Answer<'nodes.link'>;
const QUALITY: Readonly<
  Record<
    Link['quality'],
    { readonly tone: 'good' | 'warn' | 'bad' | 'idle'; readonly icon: typeof Signal }
  >
> = {
  good: { tone: 'good', icon: Signal },
  unsteady: { tone: 'warn', icon: SignalHigh },
  bad: { tone: 'bad', icon: SignalLow },
  unknown: { tone: 'idle', icon: SignalZero },
};
const TRANSPORTS = { socket: 'a WebSocket', poll: 'polls' } as const;

/** How the link held lately. */
export const LinkCard = ({ node }: { readonly node: FleetNode }): ReactNode => {
  const query = useApi('nodes.link', { params: { id: node.id } });
  const quality = query.data?.quality;
  const look = quality === undefined ? undefined : QUALITY[quality];
  return (
    <Card
      title="Link"
      actions={
        look === undefined ? null : (
          <Badge tone={look.tone} icon={look.icon}>
            {quality}
          </Badge>
        )
      }
    >
      <Loaded query={query}>{(link) => <LinkFacts link={link} />}</Loaded>
    </Card>
  );
};

const LinkFacts = ({ link }: { readonly link: Link }): ReactNode => {
  const least = link.capped ? 'at least ' : '';
  return (
    <div className="stack">
      <Facts
        items={[
          [
            'Now',
            link.transport === null
              ? 'not connected'
              : `connected by ${TRANSPORTS[link.transport]}`,
          ],
          ['Came', `${least}${counted(link.connects, 'time')} in ${link.hours} hours`],
          ['Went', `${least}${counted(link.disconnects, 'time')}`],
          ['In trouble', `${least}${counted(link.troubled, 'time')}`],
          ['Taken over', `${least}${counted(link.takeovers, 'time')}`],
        ]}
      />
      {link.reasons.length === 0 ? null : (
        <ul className="stack-tight small soft" aria-label="Why links ended">
          {link.reasons.map(({ reason, count: n }) => (
            <li key={reason}>
              {count(n)} × {words(reason)}
            </li>
          ))}
        </ul>
      )}
    </div>
  );
};

export const LabelsCard = ({ node }: { readonly node: FleetNode }): ReactNode => {
  const labels = Object.entries(node.labels).sort(([a], [b]) => a.localeCompare(b));
  return (
    <Card title="Labels">
      {labels.length === 0 ? (
        <p className="soft">
          None. They are set in the agent&apos;s policy on the node, and rollouts can go by them.
        </p>
      ) : (
        <Facts items={labels.map(([key, value]) => [key, <bdi key={key}>{value}</bdi>] as const)} />
      )}
    </Card>
  );
};
