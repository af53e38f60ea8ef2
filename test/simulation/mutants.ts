import type { Limit, RolloutState, WavePlan } from '../../src/core/rollout/index.js';
import type { MutableParts, Mutant } from '../../src/simulator/world/index.js';

/** A mutant and the rules of which one must find it. */
export interface PlantedBug {
  readonly mutant: Mutant;
  readonly foundBy: readonly string[];
}

type State = RolloutState;

/** The manager reads every rollout as if it had been planned otherwise. */
const misread =
  (read: (state: State) => State) =>
  ({ units }: MutableParts): void => {
    const begin = units.begin.bind(units);
    units.begin = (...args) => {
      const unit = begin(...args);
      const open = unit.open.bind(unit);
      unit.open = async (id) => {
        const rollout = await open(id);
        if (rollout !== null) rollout.state = read(rollout.state);
        return rollout;
      };
      return unit;
    };
  };

const withWaves = (state: State, change: (wave: WavePlan) => WavePlan): State => ({
  ...state,
  plan: { ...state.plan, waves: state.plan.waves.map(change) },
});

const oneMore = (limit: Limit): Limit =>
  'count' in limit ? { count: limit.count + 1 } : { percent: Math.min(100, limit.percent * 2) };

/** A batch whose doubles are not recognised: all of it is taken a second time. */
function takeTwice({ ingest }: MutableParts): void {
  const once = ingest.ingest.bind(ingest);
  let doubles = 0;
  ingest.ingest = async (node, batch) => {
    const result = await once(node, batch);
    doubles += 1;
    const spool_id = `spl_double${String(doubles).padStart(6, '0')}`;
    const events = batch.events.map((event, index) => ({ ...event, seq: index + 1 }));
    await once(node, { ...batch, spool_id, events });
    return result;
  };
}

export const PLANTED_BUGS: readonly PlantedBug[] = [
  {
    mutant: {
      name: 'a gate is ignored',
      // But for approvals: one that no gate asks for any more is waited for, and never comes.
      mutate: misread((state) =>
        withWaves(state, (wave) => ({
          ...wave,
          opens: wave.opens.filter(({ kind }) => kind === 'approval'),
        })),
      ),
    },
    foundBy: ['no_wave_opens_past_a_closed_gate', 'no_permit_outside_the_window'],
  },
  {
    mutant: {
      name: 'the limit is off by one',
      mutate: misread((state) => {
        const { maxUnavailable: most } = state.plan;
        if (most === null) return state;
        return { ...state, plan: { ...state.plan, maxUnavailable: oneMore(most) } };
      }),
    },
    foundBy: ['limit_on_nodes_that_are_down'],
  },
  {
    mutant: {
      name: 'a late command is obeyed',
      step: (real) => (machine, input, facts) => {
        if (input.type !== 'upgrade') return real(machine, input, facts);
        const generation = Math.max(input.order.generation, machine.state.generation);
        const order = { ...input.order, generation, expires_at_ms: facts.nowMs + 86_400_000 };
        return real(machine, { ...input, order }, facts);
      },
    },
    foundBy: ['no_older_command_is_obeyed', 'no_expired_command_is_obeyed'],
  },
  {
    mutant: { name: 'an event is applied twice', mutate: takeTwice },
    foundBy: ['every_event_is_stored_once'],
  },
  {
    mutant: { name: 'wake-ups are lost and nothing sweeps', isNeverWoken: true },
    foundBy: ['when_faults_stop_it_ends'],
  },
];
