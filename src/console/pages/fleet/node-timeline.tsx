import { ArrowRight, History } from 'lucide-react';
import type { ReactNode } from 'react';
import { Link } from 'react-router';
import type { Answer } from '../../../client/index.js';
import { useList } from '../../app/api.js';
import {
  Bones,
  Button,
  Card,
  Empty,
  Problem,
  StateBadge,
  Time,
  toneOf,
  words,
} from '../../ui/index.js';
import type { FleetNode } from './node-rows.js';

type Upgrade = Answer<'nodes.history'>['items'][number];
const PAGE = 10;

/** Every upgrade of a node, newest first, each with the steps that the node told. */
export const NodeTimeline = ({ node }: { readonly node: FleetNode }): ReactNode => {
  const list = useList('nodes.history', { params: { id: node.id }, query: { limit: PAGE } });
  return (
    <Card title="Upgrades">
      {list.error !== null && list.items.length === 0 ? (
        <Problem error={list.error} again={list.again} />
      ) : list.isLoading ? (
        <Bones lines={5} />
      ) : list.items.length === 0 ? (
        <Empty icon={<History aria-hidden />} title="It was never upgraded from here">
          Each rollout that reaches it is told here, step by step.
        </Empty>
      ) : (
        <div className="stack">
          {list.items.map((upgrade) => (
            <UpgradeStory key={`${upgrade.rollout_id} ${upgrade.service}`} upgrade={upgrade} />
          ))}
          {list.hasMore ? (
            <Button isBusy={list.isLoadingMore} onPress={list.more}>
              Earlier upgrades
            </Button>
          ) : null}
        </div>
      )}
    </Card>
  );
};

const UpgradeStory = ({ upgrade }: { readonly upgrade: Upgrade }): ReactNode => (
  <article
    className="story"
    data-tone={toneOf(upgrade.state)}
    aria-label={`${upgrade.product} to ${upgrade.to_version}`}
  >
    <div className="row row-between row-wrap">
      <h3 className="row row-wrap figures">
        {upgrade.service}
        <span>{upgrade.from_version ?? 'nothing'}</span>
        <ArrowRight size={16} aria-label="to" />
        <span>{upgrade.to_version}</span>
      </h3>
      <StateBadge state={upgrade.state} />
    </div>
    <p className="soft small">
      <Link to={`/rollouts/${upgrade.rollout_id}`}>Rollout</Link>, wave {upgrade.wave + 1},{' '}
      {words(upgrade.reason)}, <Time at={upgrade.updated_at} />
    </p>
    {upgrade.error_code === null ? null : (
      <div className="problem story-problem">
        <div className="stack-tight">
          <code>{upgrade.error_code}</code>
          {upgrade.fix === null ? null : <span>{upgrade.fix}</span>}
        </div>
      </div>
    )}
    {upgrade.steps.length === 0 ? (
      <p className="soft small">
        The node has told nothing about it, or that was too long ago to be kept.
      </p>
    ) : (
      <ol className="steps">
        {upgrade.steps.map((step) => (
          <li key={step.event_id} className="step" data-severity={step.severity}>
            <span className="grow wrap-anywhere">
              {step.message}
              {step.error_code === null ? null : (
                <>
                  {' '}
                  <code className="soft">{step.error_code}</code>
                </>
              )}
            </span>
            <span className="soft small">
              <Time at={step.at} />
            </span>
          </li>
        ))}
      </ol>
    )}
  </article>
);
