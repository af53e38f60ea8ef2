import { words } from '../../app/words.js';

/** What the codes of reasons mean, for people; the codes themselves stay the same in the log and the API. */
const REASONS: Readonly<Record<string, string>> = {
  // the whole
  created: 'it was just created',
  started: 'it has begun',
  complete: 'every node has the release',
  complete_with_failures: 'it is over; some nodes failed within what was tolerated',
  complete_with_silent: 'it is over; some nodes never said how it went',
  expired: 'the time for nodes that were away is over',
  cancelled_by_operator: 'a person cancelled it',
  marked_by_operator: 'a person said that it was rolled back by other means',
  paused_by_operator: 'a person paused it',
  resumed: 'a person let it go on',
  retried: 'nodes that had failed are tried again',
  wave_failed: 'more nodes failed than the plan tolerates',
  nodes_went_offline: 'nodes went away after their upgrade, more than the plan tolerates',
  not_enough_evidence: 'too many nodes said nothing to call the wave good',
  drifted: 'nodes that had the release run something else now',
  release_yanked: 'the release was taken back',
  upgrades_suspended: 'upgrades are suspended for this group',
  upgrades_disabled: 'upgrades are disabled for this group',
  frozen: 'a freeze period holds everything new back',
  rollout_not_running: 'the rollout is not running',
  // waves
  wave_open: 'nodes of this wave are being upgraded',
  settling: 'the wave is done; it is watched for a while before the next one',
  wave_passed: 'it is through',
  wave_skipped: 'a person left this wave out',
  waiting_for_wave: 'it waits for its turn',
  previous_waves_not_done: 'the waves before it are not through',
  waiting_for_approval: 'it waits for a person to approve it',
  waiting_after_previous_wave: 'a set time must pass after the wave before it',
  outside_window: 'it waits for the maintenance window',
  rollout_changed_during_window: 'it was created inside this window, so it waits for the next one',
  not_before: 'it waits for the moment that was set',
  waiting_for_last_nodes: 'enough nodes are done; the last ones are on their way',
  waiting_for_offline_nodes: 'only nodes that are away are left',
  manual_trigger: 'a person started it by hand',
  manual_forced_done: 'a person called it done',
  // schedules
  no_new_release: 'nothing new is on the channel',
  window_never_opens: 'freezes cover its window for more than a year',
  rollout_open: 'another rollout of the product is open here',
  nodes_busy: 'nodes are in another rollout',
  maker_gone: 'who made it may not come in any more: somebody who may has to resume it',
  maker_lost_right:
    'who made it may not start rollouts here any more: somebody who may has to resume it',
  plan_out_of_reach: 'its plan is not of this group, nor of one above it, any more',
  rolled_out_already: 'this group has had a rollout of it',
  not_the_highest: 'there is a higher version on the channel',
  rollout_empty: 'no node here could take it',
  nobody_looked: 'a window passed while no manager was up, or a clock jumped',
  // nodes
  command_sent: 'the manager offered the release',
  command_accepted: 'the node accepted',
  command_rejected: 'the node refused',
  command_unknown: 'the node does not know of the command any more',
  upgrade_staged: 'fetched and verified; it waits for the permit to swap',
  waits_for_permit: 'fetched and verified; it waits for the permit to swap',
  permit_granted: 'it may swap now',
  upgrade_completed: 'the node runs the release and is healthy',
  upgrade_rollback_failed: 'the way back failed too: the node needs a person',
  arrived_by_hand: 'somebody brought it to the release by hand',
  back_by_hand: 'somebody brought it back by hand',
  hello_rolled_back: 'the node came back with its old version',
  lost_after_permit: 'nothing was heard after it was let swap',
  no_report_before_deadline: 'nothing was heard before the deadline',
  too_many_nodes_down: 'as many nodes are down as may be at once',
  held_on_node: 'the node holds it back itself: pinned, disabled or outside its own window',
  node_offline: 'the node is away',
  skipped_by_operator: 'a person left its wave out',
  // left out
  already_current: 'they run it already',
  no_such_service: 'they do not have this product',
  no_artifact_for_host: 'the release has nothing for their system',
  binary_not_staged: 'the artifact for their system is not on the manager',
  hop_not_allowed: 'the release cannot be reached from their version in one step',
  no_release: 'there is no release to go to',
  no_previous_version: 'it is not known what they ran before',
  no_capability: 'they cannot be upgraded by an agent',
  revoked: 'they were revoked',
  disabled_by_hand: 'a person on the node disabled upgrades',
  pinned_by_hand: 'a person on the node pinned the version',
  in_no_wave: 'no wave of the plan takes them',
  in_another_group: 'they moved to another group',
};

/** A reason in words. Codes that came later than this console are shown as they are. */
export const reasonInWords = (code: string): string => REASONS[code] ?? words(code);

/** `at most 0 failed` and the like come from the manager; what a whole rollout is in, comes from here. */
const STATUS_SENTENCES: Readonly<Record<string, string>> = {
  pending: 'It has not begun',
  in_progress: 'It is under way',
  paused: 'It is paused: nothing new starts',
  complete: 'It is complete',
  rolled_back: 'It counts as rolled back',
  cancelled: 'It was cancelled',
};

/** Status and reason of a rollout in one sentence. */
export const standing = (status: string, reason: string): string => {
  const head = STATUS_SENTENCES[status] ?? words(status);
  if (status === 'complete' && reason === 'complete') return 'Every node of it has the release.';
  return `${head}: ${reasonInWords(reason)}.`.replace('starts: ', 'starts, because ');
};

export const STRATEGIES: readonly {
  readonly value: 'staged' | 'rolling' | 'canary' | 'immediate' | 'scheduled' | 'custom';
  readonly label: string;
  readonly hint: string;
}[] = [
  {
    value: 'staged',
    label: 'Staged',
    hint: 'A few, then half, then all; each wave must prove itself before the next one opens.',
  },
  {
    value: 'rolling',
    label: 'Rolling',
    hint: 'Equal steps, one after the other, each after the one before has proven itself.',
  },
  {
    value: 'canary',
    label: 'Canary',
    hint: 'Some go first; the rest waits until a person has looked and approves.',
  },
  {
    value: 'immediate',
    label: 'Immediate',
    hint: 'All at once, without gates. It never pauses by itself: for laboratories and urgent repairs.',
  },
  {
    value: 'scheduled',
    label: 'Scheduled',
    hint: 'Rings of nodes, each in its own maintenance window, some hours or days apart.',
  },
  {
    value: 'custom',
    label: 'Custom',
    hint: 'Waves of your own: who is in each, what it waits for, and what it tolerates.',
  },
];
