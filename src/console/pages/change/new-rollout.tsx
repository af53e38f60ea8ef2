import { useState, type ReactNode } from 'react';
import { useNavigate, useSearchParams } from 'react-router';
import { api, useApi, useCall } from '../../app/api.js';
import { useCan, useGroups } from '../../app/session.js';
import type { Answer } from '../../../client/index.js';
import {
  Bones,
  Button,
  Card,
  Confirm,
  counted,
  Empty,
  Note,
  Page,
  Problem,
  say,
} from '../../ui/index.js';
import '../../style/change.css';
import {
  EMPTY,
  requestOf,
  type Channel,
  type Drafting,
  type PlanDraft,
  type Request,
} from './plan-draft.js';
import { PlanChoice } from '../plans/plan-choice.js';
import { PlanFields } from './plan-fields.js';
import { PlanPreview } from './plan-preview.js';
import { ReleaseFields, ScopeFields } from './plan-scope.js';

const CRUMBS = [{ to: '/rollouts', label: 'Rollouts' }];

/** From a release to a plan that one has seen before anything happens. */
export default function NewRollout(): ReactNode {
  const can = useCan();
  const { groups } = useGroups();
  const mayHere = groups.filter(({ id }) => can('group.upgrade', id));
  return (
    <Page title="New rollout" crumbs={CRUMBS}>
      {groups.length === 0 ? (
        <Bones lines={8} />
      ) : mayHere.length === 0 ? (
        <Empty title="You may not start rollouts">
          That takes the role of an admin in a group. Ask whoever manages access.
        </Empty>
      ) : (
        <Form firstGroup={mayHere[0]?.id ?? ''} groups={mayHere} />
      )}
    </Page>
  );
}

type Preview = Answer<'rollouts.preview'>;
/** A plan as it was shown, with what was asked for. */
interface Seen {
  readonly asked: string;
  readonly request: Request;
  readonly preview: Preview;
}

const Form = ({
  firstGroup,
  groups,
}: {
  readonly firstGroup: string;
  readonly groups: readonly { readonly id: string; readonly name: string }[];
}): ReactNode => {
  const [draft, setDraft] = useState(useFirstDraft(firstGroup));
  const [seen, setSeen] = useState<Seen | null>(null);
  const [isStarting, setStarting] = useState(false);
  const preview = useCall('rollouts.preview');
  const change = (part: Partial<PlanDraft>): void => setDraft((before) => ({ ...before, ...part }));
  const drafting: Drafting = { draft, change, error: preview.error };
  const isReady = draft.product !== '' && draft.version !== '' && draft.groupId !== '';
  const look = async (): Promise<void> => {
    try {
      const request = requestOf(draft);
      const answer = await preview.run({ body: request });
      setSeen({ asked: JSON.stringify(request), request, preview: answer });
    } catch {
      setSeen(null);
    }
  };
  // What is started is what was seen.
  const isSame = seen !== null && isAsSeen(draft, seen.asked);
  return (
    <div className="steps">
      <Card title="1. Release">
        <ReleaseFields {...drafting} />
      </Card>
      <Card title="2. Scope">
        <ScopeFields {...drafting} groups={groups} />
      </Card>
      <Card title="3. Plan">
        <div className="stack">
          <PlanChoice {...drafting} />
          {draft.planId === '' ? <PlanFields {...drafting} groups={groups} /> : null}
        </div>
      </Card>
      <Card
        title="4. Preview"
        actions={
          <Button
            kind={isSame ? 'plain' : 'primary'}
            isDisabled={!isReady}
            isBusy={preview.isRunning}
            onPress={() => void look()}
          >
            {seen === null ? 'Preview the plan' : 'Preview again'}
          </Button>
        }
      >
        <div className="stack">
          {preview.error === null ? null : <Problem error={preview.error} />}
          {seen === null ? (
            <p className="soft">
              {isReady
                ? 'See who goes when, who is left out and why, before anything happens. Nothing is written.'
                : 'Choose a release and a scope first.'}
            </p>
          ) : (
            <>
              {isSame ? null : (
                <Note tone="warn">The form changed since; preview again before you start.</Note>
              )}
              <PlanPreview preview={seen.preview} groupId={draft.groupId} />
            </>
          )}
          <div className="row row-end">
            <Button kind="primary" isDisabled={!isSame} onPress={() => setStarting(true)}>
              Start rollout…
            </Button>
          </div>
        </div>
      </Card>
      {isStarting && seen !== null ? (
        <Start seen={seen} onClose={() => setStarting(false)} />
      ) : null}
    </div>
  );
};

const isAsSeen = (draft: PlanDraft, asked: string): boolean => {
  try {
    return JSON.stringify(requestOf(draft)) === asked;
  } catch {
    return false;
  }
};

/** A link may bring what is known already. */
function useFirstDraft(firstGroup: string): PlanDraft {
  const [search] = useSearchParams();
  const text = (key: string): string => search.get(key) ?? '';
  const channel = text('channel');
  return {
    ...EMPTY,
    product: text('product'),
    version: text('version'),
    channel: (channel === '' ? 'stable' : channel) as Channel,
    groupId: text('group') === '' ? firstGroup : text('group'),
    planId: text('plan'),
    nodes: text('nodes').split(',').join('\n'),
  };
}

const Start = ({
  seen,
  onClose,
}: {
  readonly seen: Seen;
  readonly onClose: () => void;
}): ReactNode => {
  const navigate = useNavigate();
  const { data: report } = useApi('groups.switch', {
    params: { id: seen.request.scope?.group_id ?? '' },
  });
  const { waves, product, version, strategy } = seen.preview;
  const nodes = waves.reduce((sum, { size }) => sum + size, 0);
  const [first] = waves;
  const isHeld = report !== undefined && report.effective_mode !== 'enabled';
  const run = async (): Promise<void> => {
    // Were it sent twice, the second would be refused: its nodes are in the first.
    const { id } = await api.call('rollouts.create', { body: seen.request });
    say(`The rollout of ${product} ${version} has begun.`);
    void navigate(`/rollouts/${id}`);
  };
  return (
    <Confirm
      title={`Roll ${product} ${version} out to ${counted(nodes, 'node')}?`}
      verb="Start rollout"
      danger={strategy === 'immediate'}
      {...(strategy === 'immediate' && nodes > 1
        ? { tick: `All ${counted(nodes, 'node')} at once, without a stop in between` }
        : {})}
      consequences={[
        first === undefined || waves.length === 1
          ? `${counted(nodes, 'node')} go in one wave.`
          : `${counted(first.size, 'node')} go first; ${counted(nodes - first.size, 'node')} follow in ${counted(waves.length - 1, 'more wave')}.`,
        'Every node verifies the release by its own policy, and turns back by itself when it is not healthy.',
        strategy === 'immediate'
          ? 'This strategy has no gates: it does not pause by itself when nodes fail.'
          : 'It pauses by itself when a wave goes worse than the plan tolerates, and you can pause it in one click.',
        ...(isHeld
          ? [
              `Upgrades are ${report.effective_mode} for this group, so nothing starts before they are enabled.`,
            ]
          : []),
      ]}
      run={run}
      onClose={onClose}
    />
  );
};
