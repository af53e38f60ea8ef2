import { useQueryClient } from '@tanstack/react-query';
import { Check, CirclePause, Ellipsis, Play } from 'lucide-react';
import { useState, type ReactNode } from 'react';
import { useNavigate } from 'react-router';
import { api, refresh, useCall } from '../../app/api.js';
import { useCan } from '../../app/session.js';
import { Button, Confirm, counted, IconButton, Menu, say, sayProblem } from '../../ui/index.js';
import { BreakGlass } from './break-glass.js';
import {
  consequencesOf,
  consequencesOfWave,
  fits,
  waveVerbs,
  type Rollout,
  type RolloutVerb,
  type Wave,
  type WaveVerb,
} from './verbs.js';

/** Whoever may start a rollout may steer it: for one node an operator, for a group its admin. */
export function useMaySteer({ scope, group_id: group }: Rollout): boolean {
  const can = useCan();
  return can(scope.kind === 'node' ? 'rollout.control' : 'group.upgrade', group);
}

const LABELS: Readonly<Record<RolloutVerb, string>> = {
  resume: 'Resume',
  retry_failed: 'Retry failed…',
  cancel: 'Cancel…',
  revert: 'Revert…',
  mark_rolled_back: 'Mark rolled back…',
  break_glass: 'Break glass…',
};
const IN_MENU: readonly RolloutVerb[] = [
  'retry_failed',
  'break_glass',
  'cancel',
  'revert',
  'mark_rolled_back',
];

/** What may be done with a rollout now. Pausing is one click; everything else says first what it does. */
export const RolloutActions = ({ rollout }: { readonly rollout: Rollout }): ReactNode => {
  const can = useCan();
  const maySteer = useMaySteer(rollout);
  const [asked, setAsked] = useState<RolloutVerb | null>(null);
  const pause = useCall('rollouts.pause', { stale: ['needs'] });
  const mayVerb = (verb: RolloutVerb): boolean =>
    verb === 'break_glass' || verb === 'revert' ? can('group.upgrade', rollout.group_id) : maySteer;
  const offered = IN_MENU.filter((verb) => fits(rollout, verb) && mayVerb(verb));
  const pauseNow = async (): Promise<void> => {
    try {
      await pause.run({ params: { id: rollout.id } });
      say(
        'Paused: nothing new starts. Nodes in the middle of a swap finish on their own evidence.',
      );
    } catch (error) {
      sayProblem(error);
    }
  };
  return (
    <>
      {maySteer && fits(rollout, 'pause') ? (
        <Button
          kind="danger"
          icon={<CirclePause aria-hidden />}
          isBusy={pause.isRunning}
          onPress={() => void pauseNow()}
        >
          Pause
        </Button>
      ) : null}
      {maySteer && fits(rollout, 'resume') ? (
        <Button kind="primary" icon={<Play aria-hidden />} onPress={() => setAsked('resume')}>
          Resume
        </Button>
      ) : null}
      {offered.length === 0 ? null : (
        <Menu
          label="More that can be done"
          choices={offered.map((verb) => ({
            id: verb,
            label: LABELS[verb],
            danger: verb !== 'retry_failed',
            run: () => setAsked(verb),
          }))}
        >
          <IconButton label="More that can be done" kind="plain">
            <Ellipsis aria-hidden />
          </IconButton>
        </Menu>
      )}
      {asked === null ? null : asked === 'break_glass' ? (
        <BreakGlass rollout={rollout} onClose={() => setAsked(null)} />
      ) : (
        <ConfirmVerb rollout={rollout} verb={asked} onClose={() => setAsked(null)} />
      )}
    </>
  );
};

const DONE: Readonly<Record<Exclude<RolloutVerb, 'break_glass' | 'revert'>, string>> = {
  resume: 'The rollout goes on.',
  retry_failed: 'Failed nodes are tried again.',
  cancel: 'The rollout was cancelled.',
  mark_rolled_back: 'The rollout counts as rolled back.',
};

const ConfirmVerb = ({
  rollout,
  verb,
  onClose,
}: {
  readonly rollout: Rollout;
  readonly verb: Exclude<RolloutVerb, 'break_glass'>;
  readonly onClose: () => void;
}): ReactNode => {
  const client = useQueryClient();
  const navigate = useNavigate();
  // What it says stays as it was when it was asked: nothing changes under the finger.
  const [said] = useState(() => consequencesOf(rollout, verb));
  const params = { id: rollout.id };
  const run = async (): Promise<void> => {
    try {
      if (verb !== 'revert') {
        await api.call(`rollouts.${verb}`, { params });
        say(DONE[verb]);
        return;
      }
      const { items, skipped } = await api.call('rollouts.revert', { params });
      const left = skipped.length === 0 ? '' : `; ${counted(skipped.length, 'node')} left out`;
      say(`${counted(items.length, 'rollout')} back began${left}.`);
      const [only, ...others] = items;
      if (only !== undefined && others.length === 0) void navigate(`/rollouts/${only.id}`);
      else void navigate('/rollouts');
    } finally {
      refresh(client, 'rollouts', 'needs', 'events');
    }
  };
  return <Confirm {...said} run={run} onClose={onClose} />;
};

const WAVE_LABELS: Readonly<Record<WaveVerb, string>> = {
  approve: 'Approve…',
  start_wave: 'Start wave now…',
  skip_wave: 'Skip wave…',
  mark_done: 'Mark done…',
};
const WAVE_DONE: Readonly<Record<WaveVerb, string>> = {
  approve: 'Approved.',
  start_wave: 'The wave has started.',
  skip_wave: 'The wave is left out.',
  mark_done: 'The wave counts as done.',
};

/** What may be done with one wave now. */
export const WaveActions = ({
  rollout,
  wave,
}: {
  readonly rollout: Rollout;
  readonly wave: Wave;
}): ReactNode => {
  const client = useQueryClient();
  const maySteer = useMaySteer(rollout);
  const [asked, setAsked] = useState<WaveVerb | null>(null);
  const offered = maySteer ? waveVerbs(rollout, wave) : [];
  if (offered.length === 0 && asked === null) return null;
  const others = offered.filter((verb) => verb !== 'approve');
  const run = async (verb: WaveVerb): Promise<void> => {
    try {
      await api.call(`rollouts.${verb}`, {
        params: { id: rollout.id },
        body: { wave: wave.index },
      });
      say(WAVE_DONE[verb]);
    } finally {
      refresh(client, 'rollouts', 'needs', 'events');
    }
  };
  return (
    <>
      {offered.includes('approve') ? (
        <Button kind="primary" icon={<Check aria-hidden />} onPress={() => setAsked('approve')}>
          Approve…
        </Button>
      ) : null}
      {others.length === 0 ? null : (
        <Menu
          label={`Wave ${wave.index + 1}: what can be done`}
          choices={others.map((verb) => ({
            id: verb,
            label: WAVE_LABELS[verb],
            danger: verb !== 'start_wave',
            run: () => setAsked(verb),
          }))}
        >
          <IconButton label={`Wave ${wave.index + 1}: what can be done`}>
            <Ellipsis aria-hidden />
          </IconButton>
        </Menu>
      )}
      {asked === null ? null : (
        <Confirm
          {...consequencesOfWave(rollout, wave, asked)}
          run={() => run(asked)}
          onClose={() => setAsked(null)}
        />
      )}
    </>
  );
};
