import { CircleCheck } from 'lucide-react';
import type { ReactNode } from 'react';
import { Link } from 'react-router';
import { useApi } from '../../app/api.js';
import { Card, Empty, Loaded } from '../../ui/index.js';
import { EventLines } from './event-lines.js';

const SHOWN = 8;
/** Events of alerts say again what another event said, and have a page of their own. */
const ECHO = 'alert';

/** What went wrong last, newest first. */
export const RecentFailures = (): ReactNode => {
  const events = useApi('events.list', {
    query: { min_severity: 'warning', order: 'newest', limit: 2 * SHOWN },
  });
  return (
    <Card
      title="Recent failures"
      actions={<Link to="/events?min_severity=warning">All of them</Link>}
    >
      <Loaded query={events}>
        {({ items }) => {
          const shown = items.filter(({ category }) => category !== ECHO).slice(0, SHOWN);
          return shown.length === 0 ? (
            <Empty icon={<CircleCheck aria-hidden />} title="Nothing went wrong">
              Warnings and worse would be here.
            </Empty>
          ) : (
            <EventLines events={shown} showNode />
          );
        }}
      </Loaded>
    </Card>
  );
};
