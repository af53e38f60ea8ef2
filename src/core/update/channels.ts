import { revokedMessage } from '../release/index.js';
import { isBeforeSwap, tell, type Told } from './changes.js';
import { goBack } from './probation.js';
import type { InstalledVersion, Job, UpdateState } from './state.js';
import type { Facts, IndexInput, Machine } from './types.js';

type RevokedInput = Extract<IndexInput, { type: 'revoked' }>;

/** What becomes known of the channels changes the memory of a node, in every phase. */
export function learned(machine: Machine, input: IndexInput, facts: Facts): Machine {
  const { state } = machine;
  switch (input.type) {
    case 'index_seen': {
      const known = state.indexes?.[input.channel];
      if (known?.digest === input.index.digest) return machine;
      return remember(machine, { indexes: { ...state.indexes, [input.channel]: input.index } });
    }
    case 'index_expired':
      return expired(machine, input.channel, facts);
    case 'index_refused':
      return {
        ...machine,
        state: tell(state, facts, null, {
          type: 'channel_index_refused',
          severity: 'warning',
          message: `The index of ${input.channel} was refused: ${input.message}`,
          details: { error_code: input.code, channel: input.channel },
        }),
      };
    case 'downgrade_used': {
      const known = state.downgrades?.[input.channel] ?? 0;
      if (known >= input.sequence) return machine;
      const downgrades = { ...state.downgrades, [input.channel]: input.sequence };
      return remember(machine, { downgrades });
    }
    case 'revoked':
      return revoked(machine, input, facts);
  }
}

const remember = (machine: Machine, change: Partial<UpdateState>): Machine => ({
  ...machine,
  state: { ...machine.state, ...change },
});

function expired(
  machine: Machine,
  channel: Extract<IndexInput, { type: 'index_expired' }>['channel'],
  facts: Facts,
): Machine {
  const { state } = machine;
  const index = state.indexes?.[channel];
  if (index === undefined || index.expiry_told) return machine;
  const told = tell(state, facts, null, {
    type: 'channel_index_expired',
    severity: 'warning',
    message: `Index ${index.sequence} of ${channel} expired at ${index.expires_at}, and no newer one came`,
    details: { error_code: 'upgrade_index_expired', channel, sequence: index.sequence },
  });
  const indexes = { ...state.indexes, [channel]: { ...index, expiry_told: true } };
  return remember({ ...machine, state: told }, { indexes });
}

/**
 * A version on probation is turned back as any other that fails there. Otherwise the service was
 * brought back to the version before, or there was none to go back to; a job that has not swapped
 * yet goes on from whatever runs now.
 */
function revoked(machine: Machine, input: RevokedInput, facts: Facts): Machine {
  const { current, previous, job, revoked_told: told } = machine.state;
  if (current === null) return machine;
  if (job?.phase === 'probation') {
    return goBack(machine, 'upgrade_revoked', revokedMessage(current.version, input.revocation));
  }
  if (job !== null && !isBeforeSwap(job)) return machine;
  const to = input.done === 'back' ? previous : null;
  if (to === null && told === current.version) return machine;
  const event = revokedEvent(current, to, input);
  const state = tell(machine.state, facts, null, event);
  const change = to === null ? { revoked_told: current.version } : backTo(to, job);
  return remember({ ...machine, state }, change);
}

const revokedEvent = (
  { version }: InstalledVersion,
  to: InstalledVersion | null,
  { revocation, done }: RevokedInput,
): Told => ({
  type: 'service_revoked',
  severity: 'critical',
  message: `${revokedMessage(version, revocation)}; ${to === null ? WITHOUT_WAY_BACK[done] : `back to ${to.version}`}`,
  details: {
    error_code: 'upgrade_revoked',
    from_version: version,
    to_version: to?.version ?? null,
    sha256: revocation.sha256,
  },
});

/** Nothing may lead to what was revoked any more, so `previous` is empty from now on. */
const backTo = (to: InstalledVersion, job: Job | null): Partial<UpdateState> => ({
  current: to,
  previous: null,
  job: job === null ? null : { ...job, from: to, from_previous: null },
});

const WITHOUT_WAY_BACK = {
  back: 'it was stopped: there is no version to go back to',
  stopped: 'it was stopped: there is no version to go back to',
  alerted: 'it is not started again, and runs on while it runs: there is no version to go back to',
} as const;
