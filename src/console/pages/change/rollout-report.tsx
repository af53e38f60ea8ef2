import type { ReactNode } from 'react';
import type { Answer } from '../../../client/index.js';
import { useApi } from '../../app/api.js';
import {
  Countdown,
  count,
  Empty,
  Loaded,
  sentence,
  StateBadge,
  Table,
  Time,
  type Column,
} from '../../ui/index.js';
import { reasonInWords } from './reasons.js';

type Ring = Answer<'rollouts.report'>['rings'][number];
const EVERY_MS = 5_000;

const COLUMNS: readonly Column<Ring>[] = [
  {
    id: 'ring',
    title: 'Ring',
    width: 'minmax(130px, 1fr)',
    cell: ({ ring }) => <bdi>{ring === '' ? 'all' : ring}</bdi>,
  },
  {
    id: 'state',
    title: 'State',
    width: '130px',
    cell: ({ state }) => <StateBadge state={state} />,
  },
  {
    id: 'why',
    title: 'Why',
    width: 'minmax(220px, 2fr)',
    cell: ({ reason, until }) => (
      <span title={reason}>
        {sentence(reasonInWords(reason))} <Countdown until={until} />
      </span>
    ),
  },
  {
    id: 'started',
    title: 'Started',
    width: '130px',
    cell: ({ started_at: at }) => <Time at={at} never="not yet" />,
  },
  {
    id: 'present',
    title: 'Nodes here',
    width: '110px',
    end: true,
    cell: (ring) => `${count(ring.present_count)} of ${count(ring.initial_count)}`,
  },
  {
    id: 'done',
    title: 'Up to date',
    width: '100px',
    end: true,
    cell: (ring) => count(ring.up_to_date_count),
  },
  {
    id: 'bad',
    title: 'Failed',
    width: '80px',
    end: true,
    cell: (ring) => count(ring.failed_count),
  },
  {
    id: 'versions',
    title: 'Versions now',
    width: 'minmax(180px, 1fr)',
    cell: ({ versions }) =>
      Object.entries(versions)
        .map(([version, nodes]) => `${version || 'none'}: ${count(nodes)}`)
        .join(', '),
  },
];

/** Where each ring stands, and what runs there. */
export const RingReport = ({
  id,
  isMoving,
}: {
  readonly id: string;
  readonly isMoving: boolean;
}): ReactNode => {
  const query = useApi(
    'rollouts.report',
    { params: { id } },
    isMoving ? { everyMs: EVERY_MS } : {},
  );
  return (
    <Loaded query={query}>
      {({ rings }) => (
        <Table
          label="Rings"
          list={{ items: rings }}
          keyOf={({ ring }) => ring}
          columns={COLUMNS}
          empty={<Empty title="There are no rings" />}
        />
      )}
    </Loaded>
  );
};
