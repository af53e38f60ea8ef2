import type { Answer } from '../../../client/index.js';
import { allowedVerbs } from '../../../core/rollout/index.js';
import { counted } from '../../ui/index.js';

export type Rollout = Answer<'rollouts.show'>;
export type Wave = Rollout['waves'][number];
type TargetState = keyof Wave['counts'];

export const isOver = ({ status }: Rollout): boolean =>
  status === 'complete' || status === 'cancelled' || status === 'rolled_back';

/** How many nodes of a rollout, or of one wave, are in one of some states. */
export const countIn = (waves: readonly Wave[], ...states: readonly TargetState[]): number =>
  waves.reduce(
    (sum, { counts }) => sum + states.reduce((n, state) => n + (counts[state] ?? 0), 0),
    0,
  );

export type RolloutVerb =
  'resume' | 'retry_failed' | 'cancel' | 'revert' | 'mark_rolled_back' | 'break_glass';
export type WaveVerb = 'approve' | 'start_wave' | 'skip_wave' | 'mark_done';

const hasFailed = (waves: readonly Wave[]): number =>
  countIn(
    waves.filter(({ status }) => status !== 'pending' && status !== 'skipped'),
    'failed',
    'rolled_back',
    'silent',
  );

/** Whether a verb makes sense now: by the very rules of the manager, and by what it would change. */
export function fits(rollout: Rollout, verb: RolloutVerb | 'pause'): boolean {
  if (verb === 'revert') return countIn(rollout.waves, 'succeeded', 'swapping', 'probation') > 0;
  if (!allowedVerbs(rollout.status).includes(verb)) return false;
  if (verb === 'retry_failed') return hasFailed(rollout.waves) > 0;
  return true;
}

/** The verbs that one wave takes now. */
export function waveVerbs(rollout: Rollout, wave: Wave): readonly WaveVerb[] {
  const may = allowedVerbs(rollout.status);
  const here: WaveVerb[] = [];
  if (wave.status === 'pending') {
    if (wave.reason === 'waiting_for_approval') here.push('approve');
    here.push('start_wave', 'skip_wave');
  }
  if (wave.status === 'open' || wave.status === 'settling') here.push('mark_done');
  return here.filter((verb) => may.includes(verb));
}

export interface Said {
  readonly title: string;
  readonly verb: string;
  readonly consequences: readonly string[];
  readonly danger?: boolean;
  readonly tick?: string;
}

const nodes = (n: number): string => counted(n, 'node');

/** Where nodes are between the permit and the verdict, they go on by themselves. */
function finishing(waves: readonly Wave[]): string[] {
  const n = countIn(waves, 'swapping', 'probation');
  if (n === 0) return ['No node is in the middle of a swap.'];
  const finish = n === 1 ? 'finishes on its' : 'finish on their';
  return [`${nodes(n)} that ${n === 1 ? 'is' : 'are'} swapping ${finish} own evidence.`];
}

/** What a verb will do, in words, before it is done. */
export function consequencesOf(rollout: Rollout, verb: RolloutVerb): Said {
  const { waves, product, version } = rollout;
  const trying = waves.filter(({ status }) => status === 'open' || status === 'settling');
  const done = countIn(waves, 'succeeded');
  const what = `${product} ${version}`;
  switch (verb) {
    case 'resume': {
      const again = hasFailed(trying);
      return {
        title: `Resume the rollout of ${what}?`,
        verb: 'Resume rollout',
        consequences: [
          again === 0
            ? 'No node of a running wave has failed.'
            : `${nodes(again)} of the running wave that failed, turned back or went silent ${again === 1 ? 'is' : 'are'} tried again.`,
          `${nodes(countIn(waves, 'pending'))} still to begin go on wave by wave, as planned.`,
        ],
      };
    }
    case 'retry_failed':
      return {
        title: 'Try failed nodes again?',
        verb: 'Try again',
        consequences: [
          `${nodes(hasFailed(waves))} that failed, turned back or went silent get the release offered again.`,
          'Waves that were through are watched again.',
        ],
      };
    case 'cancel':
      return {
        title: `Cancel the rollout of ${what}?`,
        verb: 'Cancel rollout',
        danger: true,
        consequences: [
          ...finishing(waves),
          `${nodes(countIn(waves, 'pending', 'offered', 'accepted', 'downloading', 'staged'))} that did not swap yet keep what they run; no other node starts.`,
          `${nodes(done)} that ${done === 1 ? 'has' : 'have'} the release keep it. To bring them back, revert afterwards.`,
          'A cancelled rollout cannot go on; start a new one for what is left.',
        ],
      };
    case 'revert':
      return {
        title: `Bring ${nodes(done)} back?`,
        verb: 'Revert',
        danger: true,
        tick: `Bring ${nodes(done)} back to what they ran before`,
        consequences: [
          ...(isOver(rollout) ? [] : ['This rollout is cancelled first; no other node starts.']),
          'A new rollout starts for each version that they came from: at once, without waves, within the same limit on nodes that are down.',
          ...(countIn(waves, 'swapping', 'probation') === 0
            ? []
            : ['A node in the middle of its swap follows by itself when it is through.']),
          'A node goes back only where its own policy lets it: within its grace, or with a signed permit.',
          'Nodes whose earlier version is not known or was taken back are left out, each with its reason.',
        ],
      };
    case 'mark_rolled_back':
      return {
        title: 'Mark as rolled back?',
        verb: 'Mark rolled back',
        danger: true,
        consequences: [
          'For the record only: you brought the nodes back by other means.',
          ...(isOver(rollout)
            ? []
            : ['It still counts as under way: no other node starts.', ...finishing(waves)]),
          'No binary is touched. What did not swap yet is withdrawn; the rollout is over.',
        ],
      };
    case 'break_glass':
      return {
        title: 'Break the glass?',
        verb: 'Break glass',
        danger: true,
        consequences: [
          'For a time, freezes, maintenance windows and missing approvals do not hold this rollout.',
          'The switch, the order of waves, settling and evidence hold all the same.',
          'Your name, the reason and the time are in the log, the audit log and on this page.',
        ],
      };
  }
}

/** The same for one wave. */
export function consequencesOfWave(rollout: Rollout, wave: Wave, verb: WaveVerb): Said {
  const name = `wave ${wave.index + 1} (${wave.name})`;
  const n = nodes(wave.size);
  const left = nodes(countIn([wave], 'pending', 'offered', 'accepted', 'downloading', 'staged'));
  switch (verb) {
    case 'approve':
      return {
        title: `Approve ${name}?`,
        verb: 'Approve',
        consequences: [
          `${n} may be upgraded to ${rollout.product} ${rollout.version} as soon as nothing else holds the wave.`,
          'Your approval counts once and cannot be taken back; you can pause at any time.',
        ],
      };
    case 'start_wave':
      return {
        title: `Start ${name} now?`,
        verb: 'Start wave now',
        consequences: [
          `${n} begin now: past the order of waves, the maintenance window and waits.`,
          'It does not go past a switch, a freeze, or approvals of others that are missing.',
        ],
      };
    case 'skip_wave':
      return {
        title: `Leave out ${name}?`,
        verb: 'Skip wave',
        danger: true,
        consequences: [
          `${n} keep what they run; this rollout will not come back to them.`,
          'The next wave goes on as if this one were through.',
        ],
      };
    case 'mark_done':
      return {
        title: `Call ${name} done?`,
        verb: 'Mark done',
        danger: true,
        consequences: [
          `${nodes(hasFailed([wave]))} of it that failed, and those that still will, stop nothing more.`,
          `${left} of it that did not swap yet go on beside the next wave.`,
          'The next wave opens when its own gates let it.',
        ],
      };
  }
}
