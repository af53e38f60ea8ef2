import type { ReactNode } from 'react';
import type { Answer } from '../../../client/index.js';
import { useApi } from '../../app/api.js';
import { useCan } from '../../app/session.js';
import { Badge, Card, counted, Facts, Loaded } from '../../ui/index.js';

const ASK_AGAIN_MS = 10_000;
const DATABASES = { sqlite: 'SQLite', postgres: 'PostgreSQL' } as const;

const STEPS = {
  calm: 'calm',
  busy: 'busy: lists show health later',
  strained: 'strained: exports wait, and heartbeats are slower',
} as const;

type Load = NonNullable<Answer<'health.live'>['load']>;

const loadFacts = ({
  step,
  arrivals,
  ...delays
}: Load): readonly (readonly [string, ReactNode])[] => [
  [
    'Load',
    <Badge key="load" tone={step === 'calm' ? 'good' : 'warn'}>
      {STEPS[step]}
    </Badge>,
  ],
  ['Event loop held up', `${delays.event_loop_delay_ms} ms`],
  ['Database waits', `${delays.database_delay_ms} ms`],
  [
    'Nodes coming in',
    `${arrivals.under_way} of ${arrivals.limit} at once, ${arrivals.waiting} wait`,
  ],
];

/** What answers here, and where its other doors are. */
export const ThisManager = (): ReactNode => {
  const query = useApi('health.live', {}, { everyMs: ASK_AGAIN_MS });
  const can = useCan();
  const links: readonly (readonly [to: string, label: string, what: string])[] = [
    ['/docs/', 'Documentation', 'How everything works, and what each error means'],
    ['/api/v1/openapi.json', 'OpenAPI 3.1', 'The whole interface, for programs'],
    ...(can('metrics.view')
      ? ([
          ['/metrics', 'Metrics', 'Numbers of this process and of the fleet, for Prometheus'],
        ] as const)
      : []),
    ['/healthz', 'Health', 'What a load balancer asks'],
  ];
  return (
    <div className="grid-cards">
      <Card title="What answers here">
        <Loaded query={query}>
          {({ status, version, database, links: linked, load }) => (
            <Facts
              items={[
                [
                  'State',
                  status === 'ok' ? (
                    <Badge tone="good">well</Badge>
                  ) : (
                    <Badge tone="warn">stopping</Badge>
                  ),
                ],
                ['Version', <code key="version">{version}</code>],
                ['Database', DATABASES[database]],
                ['Nodes linked to this process', counted(linked, 'node')],
                ...(load === undefined ? [] : loadFacts(load)),
                ['Address', <code key="address">{location.origin}</code>],
              ]}
            />
          )}
        </Loaded>
      </Card>
      <Card title="Other doors">
        <ul className="stack">
          {links.map(([to, label, what]) => (
            <li key={to} className="stack-tight">
              <a href={to} target="_blank" rel="noopener">
                {label}
              </a>
              <span className="soft">{what}</span>
            </li>
          ))}
        </ul>
      </Card>
    </div>
  );
};
