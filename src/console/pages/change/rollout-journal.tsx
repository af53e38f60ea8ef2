import { ScrollText } from 'lucide-react';
import { useState, type ReactNode } from 'react';
import { Link } from 'react-router';
import { useApi } from '../../app/api.js';
import { Badge, Button, Empty, Loaded, Time, words } from '../../ui/index.js';

const STEPS = [50, 200, 1_000] as const;
const TONES = { info: 'idle', warning: 'warn', critical: 'bad' } as const;

/** What happened, newest first; asked for again once a second at most, however much happens. */
export const Journal = ({ id }: { readonly id: string }): ReactNode => {
  const [step, setStep] = useState(0);
  const limit = STEPS[step] ?? 50;
  const query = useApi('events.list', { query: { rollout_id: id, order: 'newest', limit } });
  return (
    <Loaded query={query} lines={8}>
      {({ items, next_before: more }) =>
        items.length === 0 ? (
          <Empty icon={<ScrollText aria-hidden />} title="Nothing has happened yet">
            Every step of a node, and whatever a person does here, is written down.
          </Empty>
        ) : (
          <div className="stack">
            <ol className="journal">
              {items.map((event) => (
                <li key={event.id}>
                  <span className="soft small figures">
                    <Time at={event.occurred_at} />
                  </span>
                  <Badge tone={TONES[event.severity]}>{words(event.type)}</Badge>
                  <bdi className="wrap-anywhere">{event.message}</bdi>
                  {event.node_id === null ? null : (
                    <Link to={`/nodes/${event.node_id}`} className="small mono">
                      {event.node_id}
                    </Link>
                  )}
                </li>
              ))}
            </ol>
            <div className="row row-wrap">
              {more === null || step + 1 >= STEPS.length ? null : (
                <Button onPress={() => setStep(step + 1)} isBusy={query.isFetching}>
                  Show older
                </Button>
              )}
              <Link to={`/events?rollout_id=${id}`}>All events of this rollout</Link>
            </div>
          </div>
        )
      }
    </Loaded>
  );
};
