import { Check, CircleCheck, Clock, Hand, HeartPulse } from 'lucide-react';
import type { ReactNode } from 'react';
import { Link } from 'react-router';
import type { Answer } from '../../../client/index.js';
import { useApi } from '../../app/api.js';
import { useCan } from '../../app/session.js';
import {
  Badge,
  Card,
  Copy,
  counted,
  Countdown,
  Facts,
  Loaded,
  Note,
  StateBadge,
  Time,
  words,
} from '../../ui/index.js';
import { Code, EventLines } from './event-lines.js';
import { WindowBadge } from './node-columns.js';
import type { FleetNode } from './node-rows.js';

type Service = FleetNode['services'][number];

const HealthBadge = ({ healthy }: { readonly healthy: boolean | null }): ReactNode => {
  if (healthy === null) return <Badge>health unknown</Badge>;
  return healthy ? (
    <Badge tone="good" icon={CircleCheck}>
      healthy
    </Badge>
  ) : (
    <Badge tone="bad" icon={HeartPulse}>
      unhealthy
    </Badge>
  );
};

/** What the node runs, as it told last. */
export const ServicesCard = ({ node }: { readonly node: FleetNode }): ReactNode => (
  <Card title="Services">
    {node.services.length === 0 ? (
      <p className="soft">
        It has not told yet what it runs. That comes with its first connection
        {node.last_seen_at === null ? '; until then look at its agent with ' : '. '}
        {node.last_seen_at === null ? <code>bellwether-agent status</code> : null}
      </p>
    ) : (
      <div className="stack">
        {node.services.map((service) => (
          <ServiceFacts key={service.name} node={node} service={service} />
        ))}
      </div>
    )}
  </Card>
);

const ServiceFacts = ({
  node,
  service,
}: {
  readonly node: FleetNode;
  readonly service: Service;
}): ReactNode => {
  const support = node.support.find((one) => one.service === service.name);
  const { outcome, by_hand: byHand } = service;
  return (
    <section className="service" aria-label={service.name}>
      <div className="row row-wrap">
        <h3 className="wrap-anywhere">{service.name}</h3>
        <strong className="figures">{service.version ?? 'nothing yet'}</strong>
        <WindowBadge support={support} />
        <HealthBadge healthy={service.healthy} />
        {service.phase === 'idle' ? null : <StateBadge state={service.phase} />}
      </div>
      <Facts
        items={[
          [
            'Product',
            `${service.product}${service.variant === 'default' ? '' : `, ${service.variant}`}`,
          ],
          ...(support === undefined
            ? []
            : [
                [
                  'Channel',
                  `${support.channel}, which has ${support.newest ?? 'nothing'} (${words(support.window)})`,
                ] as const,
              ]),
          ['Before', service.previous_version ?? 'nothing'],
          ['Restarts', counted(service.restarts, 'restart')],
          ...(outcome === null
            ? []
            : [
                [
                  'Last upgrade',
                  <span key="outcome" className="row row-wrap">
                    <StateBadge state={outcome.result} />
                    <span>{outcome.version}</span>
                    <Time at={outcome.at} />
                    {outcome.error_code === null ? null : <Code code={outcome.error_code} />}
                  </span>,
                ] as const,
              ]),
          ...(byHand === undefined
            ? []
            : [
                [
                  'By hand',
                  <span key="hand" className="row row-wrap">
                    <Hand size={15} aria-hidden />
                    {byHand.enabled ? 'upgrades on' : 'upgrades switched off on the node'}
                    {byHand.pin === null ? '' : `, pinned to ${byHand.pin}`}
                  </span>,
                ] as const,
              ]),
        ]}
      />
      <HandNote service={service} />
    </section>
  );
};

/** What somebody has to run, so that the version that waits comes. */
const HandNote = ({
  service: { waits_for_hand: hand },
}: {
  readonly service: Service;
}): ReactNode =>
  hand === undefined ? null : (
    <Note tone="warn" icon={<Hand size={16} aria-hidden />}>
      <div className="stack">
        <span>
          <strong>{hand.version}</strong> waits for a person: run this where you run helm. It is
          counted once it has arrived. <Code code={hand.error_code} />
        </span>
        <Copy text={hand.command} label="the command" />
      </div>
    </Note>
  );

type Why = Answer<'nodes.why'>['services'][number];

/** Why it does not run something newer: the chain of reasons, and when that could change. */
export const WhyCard = ({ node }: { readonly node: FleetNode }): ReactNode => {
  const query = useApi('nodes.why', { params: { id: node.id } });
  if (query.data?.services.length === 0) return null;
  return (
    <Card title="Why not newer?">
      <Loaded query={query}>
        {({ services }) => (
          <div className="stack">
            {services.map((why) => (
              <WhyOf key={why.service} why={why} />
            ))}
          </div>
        )}
      </Loaded>
    </Card>
  );
};

const WhyOf = ({ why }: { readonly why: Why }): ReactNode => (
  <section className="service" aria-label={why.service}>
    <div className="row row-wrap">
      <h3>{why.service}</h3>
      <span className="soft">
        runs {why.version ?? 'nothing'}, newest is {why.newest ?? 'not known'}
      </span>
      {why.state === null ? null : <StateBadge state={why.state} />}
      {why.rollout_id === null ? null : <Link to={`/rollouts/${why.rollout_id}`}>its rollout</Link>}
    </div>
    {why.because.length === 0 ? (
      <p className="row soft">
        <Check size={16} aria-hidden className="sign-good" /> Nothing holds it back.
      </p>
    ) : (
      <ol className="chain">
        {why.because.map(({ code, message, until }) => (
          <li key={code} className="chain-link">
            <span className="wrap-anywhere">{message}</span>
            {until === null ? null : (
              <span className="row soft small">
                <Clock size={14} aria-hidden />
                could change <Time at={until} /> <Countdown until={until} />
              </span>
            )}
          </li>
        ))}
      </ol>
    )}
  </section>
);

const EVENTS_SHOWN = 10;

/** What it told last, and how to ask the machine itself. */
export const DiagnosticsCard = ({ node }: { readonly node: FleetNode }): ReactNode => {
  const can = useCan();
  const mayRead = can('event.view', node.group_id);
  const events = useApi(
    'events.list',
    { query: { node_id: node.id, order: 'newest', limit: EVENTS_SHOWN } },
    { enabled: mayRead },
  );
  return (
    <Card
      title="Diagnostics"
      actions={mayRead ? <Link to={`/events?node_id=${node.id}`}>All its events</Link> : null}
    >
      <div className="stack">
        <div className="stack-tight">
          <p className="soft small">On the machine, as root, this tells everything at once:</p>
          <Copy text="bellwether-agent diagnose" label="the command" />
        </div>
        {mayRead ? (
          <Loaded query={events}>
            {({ items }) =>
              items.length === 0 ? (
                <p className="soft">No event of it is kept.</p>
              ) : (
                <EventLines events={items} />
              )
            }
          </Loaded>
        ) : null}
      </div>
    </Card>
  );
};
