import { CircleCheck, Info, OctagonAlert, TriangleAlert } from 'lucide-react';
import { useState, type ReactNode } from 'react';
import { Link } from 'react-router';
import type { Answer } from '../../../client/index.js';
import { useApi } from '../../app/api.js';
import { Badge, Button, Card, count, Empty, Loaded, Time } from '../../ui/index.js';

type Need = Answer<'needs.list'>['items'][number];
const SHOWN_FIRST = 6;
const SIGNS = {
  critical: <OctagonAlert aria-label="Critical" className="sign-bad" />,
  warning: <TriangleAlert aria-label="Warning" className="sign-warn" />,
  info: <Info aria-label="For your information" className="sign-idle" />,
} as const;

/** What does not go on by itself: each line says why, what to do, and leads there. */
export const NeedList = (): ReactNode => {
  const [isWhole, setWhole] = useState(false);
  const needs = useApi('needs.list', { query: {} }, { everyMs: 60_000 });
  const all = needs.data?.items ?? [];
  const shown = isWhole ? all : all.slice(0, SHOWN_FIRST);
  return (
    <Card
      title="Needs a person"
      actions={all.length === 0 ? null : <Badge tone="warn">{count(all.length)}</Badge>}
    >
      <Loaded query={needs}>
        {() =>
          all.length === 0 ? (
            <Empty icon={<CircleCheck aria-hidden />} title="Nothing waits for you">
              Approvals, pauses, failures and things that run out would be here.
            </Empty>
          ) : (
            <ul className="lines">
              {shown.map((need) => (
                <NeedLine
                  key={`${need.kind} ${need.target.id} ${need.code} ${need.message}`}
                  need={need}
                />
              ))}
              {all.length > shown.length ? (
                <li>
                  <Button kind="quiet" onPress={() => setWhole(true)}>
                    Show {count(all.length - shown.length)} more
                  </Button>
                </li>
              ) : null}
            </ul>
          )
        }
      </Loaded>
    </Card>
  );
};

const NeedLine = ({ need }: { readonly need: Need }): ReactNode => (
  <li className="line">
    {SIGNS[need.severity]}
    <div className="stack-tight grow">
      <Link to={need.target.path} className="wrap-anywhere">
        {need.message}
      </Link>
      <span className="soft small wrap-anywhere">{need.fix}</span>
      {need.at === null ? null : (
        <span className="soft small">
          <Time at={need.at} />
        </span>
      )}
    </div>
  </li>
);
