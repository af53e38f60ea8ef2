import type { ReactNode } from 'react';
import { Link } from 'react-router';
import { ERRORS, EVENT_TYPES, isErrorCode, isEventType } from '../../../protocol/index.js';
import { useApi } from '../../app/api.js';
import { useGroups } from '../../app/session.js';
import {
  Badge,
  Dialog,
  Empty,
  exactly,
  Facts,
  Loaded,
  Note,
  sentence,
  words,
} from '../../ui/index.js';
import type { Event, FeedRow } from './event-feed.js';
import { JsonText } from './json-text.js';
import { SeverityBadge } from './severity.js';

const CLOCK_WORDS: Readonly<Record<string, string>> = {
  ok: 'agrees with the manager',
  ahead: 'ran ahead of the manager',
  late: 'a week or more before it was received',
  unset: 'was never set',
};

/** One event with all its fields; `found` when the list has it, otherwise it is asked for. */
export const EventDetails = ({
  id,
  found,
  onClose,
}: {
  readonly id: number;
  readonly found: FeedRow | undefined;
  readonly onClose: () => void;
}): ReactNode => (
  <Dialog title={`Event ${id}`} isOpen wide onClose={onClose}>
    {found === undefined ? <Asked id={id} /> : <Fields event={found.event} />}
  </Dialog>
);

const Asked = ({ id }: { readonly id: number }): ReactNode => {
  const query = useApi('events.list', {
    query: { order: 'newest', before: id + 1, limit: 1 },
  });
  return (
    <Loaded query={query}>
      {({ items: [event] }) =>
        event?.id === id ? (
          <Fields event={event} />
        ) : (
          <Empty title="This event is not here">
            It is of a group that you do not see, or retention took it away.
          </Empty>
        )
      }
    </Loaded>
  );
};

const Fields = ({ event }: { readonly event: Event }): ReactNode => {
  const { nameOf } = useGroups();
  return (
    <>
      <div className="row row-wrap">
        <SeverityBadge severity={event.severity} />
        <Badge>{event.category}</Badge>
        <strong className="wrap-anywhere">{sentence(words(event.type))}</strong>
      </div>
      <p className="wrap-anywhere">
        <bdi>{event.message}</bdi>
      </p>
      {event.error_code === null ? null : <Fix code={event.error_code} />}
      <Facts
        items={[
          ['Type', <TypeWords key="type" event={event} />],
          ['Received', exactly(event.at)],
          [
            'Happened',
            `${exactly(event.occurred_at)}; that clock ${CLOCK_WORDS[event.clock] ?? event.clock}`,
          ],
          ['Node', linkTo('/nodes', event.node_id)],
          [
            'Group',
            <Link key="group" to={`/groups/${event.group_id}`}>
              <bdi>{nameOf(event.group_id)}</bdi>
            </Link>,
          ],
          ['Rollout', linkTo('/rollouts', event.rollout_id)],
          ['Service', event.service ?? none],
          ['Command', event.command_id === null ? none : <code>{event.command_id}</code>],
          ['Error code', event.error_code === null ? none : <code>{event.error_code}</code>],
        ]}
      />
      <h3>Details</h3>
      {Object.keys(event.details).length === 0 ? (
        <p className="soft">This type has none.</p>
      ) : (
        <JsonText label="Details of the event" value={event.details} />
      )}
    </>
  );
};

const none = <span className="soft">none</span>;
const linkTo = (page: string, id: string | null): ReactNode =>
  id === null ? (
    none
  ) : (
    <Link to={`${page}/${id}`}>
      <code>{id}</code>
    </Link>
  );

const TypeWords = ({ event }: { readonly event: Event }): ReactNode => (
  <>
    <code>{event.type}</code> <span className="soft">version {event.version}</span>
    {isEventType(event.type) ? <div className="soft">{EVENT_TYPES[event.type].meaning}</div> : null}
  </>
);

/** What an error code means, and what to do: the same words as in the documentation. */
export const Fix = ({ code }: { readonly code: string }): ReactNode => {
  if (!isErrorCode(code)) {
    return (
      <Note tone="warn">
        <code>{code}</code>: this manager has no words for it; a newer agent told it.
      </Note>
    );
  }
  const { meaning, fix } = ERRORS[code];
  return (
    <Note tone="warn">
      <strong>{meaning}</strong> {fix}{' '}
      <a href={`/docs/errors#${code}`} className="nowrap">
        <code>{code}</code>
      </a>
    </Note>
  );
};
