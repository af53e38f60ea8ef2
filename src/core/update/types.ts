import type { Channel, IndexMemory, Revocation } from '../release/index.js';
import type { InstalledVersion, Job, OutboxEvent, UpdateState } from './state.js';

/** What is only true while this process lives: a restart of the agent starts it anew. */
export interface Watch {
  /** Until when the permit counts, by `leaseNowMs`; 0 without one. */
  readonly permitUntilMs: number;
  /** How many questions for a permit this process has asked: the number of the last one. */
  readonly asks: number;
  /** When it was asked, by `leaseNowMs`. */
  readonly askedAtMs: number;
  /** Ask for a permit not before this monotonic time. */
  readonly askPermitAtMs: number;
  /** Monotonic time at which the window began. */
  readonly since: number;
  readonly healthyInARow: number;
  readonly sickInARow: number;
  readonly wasHealthy: boolean;
  /** It had proven itself, and waits for the others of its set. */
  readonly wasProven: boolean;
}
export const FRESH_WATCH: Watch = {
  permitUntilMs: 0,
  asks: 0,
  askedAtMs: 0,
  askPermitAtMs: 0,
  since: 0,
  healthyInARow: 0,
  sickInARow: 0,
  wasHealthy: false,
  wasProven: false,
};

/** Begins to watch anew. Questions go on being counted, so that no old answer fits a new one. */
export const watchAnew = ({ asks }: Watch, since = 0): Watch => ({ ...FRESH_WATCH, asks, since });

export interface Machine {
  readonly state: UpdateState;
  readonly watch: Watch;
}

/**
 * What the set says to one service about its job. `wait`: others are not as far. `ask`: all are; get
 * a permit and hold it. `swap`, `keep`, `back`: so it was decided.
 */
export type SetWord =
  | { readonly says: 'wait' | 'ask' | 'swap' | 'keep' }
  | {
      readonly says: 'back';
      readonly cause: {
        readonly service: string;
        readonly code: string;
        readonly message: string;
      };
    };

/** The two clocks and the part of the local policy that steers the machine. */
export interface Facts {
  /** Wall clock, for `apply_after`, `expires_at` and what people read. */
  readonly nowMs: number;
  /** Never goes back: leases and windows are measured by it, so a clock that jumps harms nothing. */
  readonly monotonicMs: number;
  /**
   * The same, but it goes on while the machine sleeps: a lease ends then, too, since the manager is awake.
   * Left out where a machine cannot sleep.
   */
  readonly bootMs?: number;
  readonly healthWindowMs: number;
  readonly bootAttemptsMax: number;
  readonly manualOnly: boolean;
  /**
   * When the maintenance window of the policy is open next: not after `nowMs` while it is, null when it
   * never is. Left out: there is none, and all times will do.
   */
  readonly windowOpensAtMs?: number | null;
  /** Why a person has to apply it, where that is not the policy: told with what waits. */
  readonly handNote?: {
    readonly code: string;
    readonly message: string;
    readonly details: OutboxEvent['details'];
  };
  /** A hook has to end well after the swap before a version may stay. */
  readonly hasPostSwap?: boolean;
  /** What the set of this service says about its job; left out: it is on its own. */
  readonly set?: SetWord | undefined;
}

/** The time by which leases are measured. */
export const leaseNowMs = ({
  bootMs,
  monotonicMs,
}: Pick<Facts, 'bootMs' | 'monotonicMs'>): number => bootMs ?? monotonicMs;

export interface UpgradeOrder {
  readonly command_id: string;
  readonly generation: number;
  readonly version: string;
  readonly channel: 'stable' | 'beta' | 'dev';
  readonly sources: readonly string[];
  readonly apply_after_ms: number | null;
  readonly expires_at_ms: number;
  readonly needs_permit: boolean;
}

/** How the bytes of a version came. */
export interface Arrival {
  /** `image`: nothing came; whoever runs it fetches what its digest names. */
  readonly as: 'artifact' | 'content' | 'image';
  /** What was fetched for it, with a delta that came whole and was of no use. */
  readonly bytes: number;
  /** Why no delta was used where the release has some; null when nothing was wrong. */
  readonly deltaProblem: string | null;
}

/** Why a hook counts as failed; `details` go into the event. */
export interface HookProblem {
  readonly message: string;
  readonly details: OutboxEvent['details'];
}

export type FailedStep = 'refused' | 'download' | 'verify' | 'stage' | 'swap';

export type Input =
  | { readonly type: 'upgrade'; readonly order: UpgradeOrder }
  | {
      readonly type: 'withdraw';
      readonly command_id: string;
      readonly generation: number;
      readonly withdraws: string;
    }
  | { readonly type: 'judged'; readonly artifact: NonNullable<Job['artifact']> }
  | { readonly type: 'downloaded'; readonly arrival?: Arrival }
  | { readonly type: 'extracted' }
  | {
      readonly type: 'failed';
      readonly step: FailedStep;
      readonly code: string;
      readonly message: string;
      readonly details?: OutboxEvent['details'];
    }
  /** `ask`: the number of the question that is answered. */
  | {
      readonly type: 'permit_granted';
      readonly command_id: string;
      readonly ask: number;
      readonly lease_ms: number;
    }
  | {
      readonly type: 'permit_denied';
      readonly command_id: string;
      readonly ask: number;
      readonly retry_ms: number;
    }
  /** To be sent with the number that this makes: `watch.asks`. */
  | { readonly type: 'permit_asked' }
  /** The link is open (again): a question asked before may be lost. */
  | { readonly type: 'linked' }
  | { readonly type: 'apply_by_hand' }
  /** A person does not wait for the local window, nor until a permit is asked for again. */
  | { readonly type: 'hurry_by_hand' }
  /** `id`: of the job that this makes where there is none to turn back. */
  | { readonly type: 'rollback_by_hand'; readonly id: string }
  | { readonly type: 'swapped' }
  /** The swap failed and so did the way back from it: it is tried until it is done. */
  | { readonly type: 'restore_failed'; readonly code: string; readonly message: string }
  | { readonly type: 'exited' }
  | { readonly type: 'health'; readonly healthy: boolean }
  /** What was swapped in cannot become well, and it is known why: it is not waited for the window. */
  | {
      readonly type: 'condemned';
      readonly code: string;
      readonly message: string;
      readonly details?: OutboxEvent['details'];
    }
  | { readonly type: 'tick' }
  /** The hook after the swap has ended; `problem` is null when it ended well. */
  | { readonly type: 'post_swap_ended'; readonly problem: HookProblem | null }
  /** A hook failed that decides nothing; it is told. */
  | { readonly type: 'hook_failed'; readonly problem: HookProblem }
  | { readonly type: 'rolled_back' }
  | { readonly type: 'rollback_failed'; readonly message: string }
  | { readonly type: 'spooled'; readonly ids: readonly string[] }
  | IndexInput
  /** What the links on the disk lead to, when nothing moves them. */
  | {
      readonly type: 'links_found';
      readonly current: InstalledVersion;
      readonly previous: InstalledVersion | null;
    }
  /** Somebody else changed what runs (helm, a person, another controller), while nothing moves it here. */
  | { readonly type: 'runs'; readonly current: InstalledVersion }
  /** The agent has started; `current` is what the link on the disk points to. */
  | { readonly type: 'booted'; readonly current: string | null };

/** What became known of the channels of a product, whatever else goes on. */
export type IndexInput =
  | { readonly type: 'index_seen'; readonly channel: Channel; readonly index: IndexMemory }
  | { readonly type: 'index_expired'; readonly channel: Channel }
  | {
      readonly type: 'index_refused';
      readonly channel: Channel;
      readonly code: string;
      readonly message: string;
    }
  | { readonly type: 'downgrade_used'; readonly channel: Channel; readonly sequence: number }
  /** What runs is on the kill list. `back`: the links name the previous version already. */
  | {
      readonly type: 'revoked';
      readonly revocation: Revocation;
      readonly done: 'back' | 'stopped' | 'alerted';
    };

/** What the link has to say. */
export type LinkInput = Extract<Input, { type: 'permit_granted' | 'permit_denied' | 'linked' }>;

/** What only means something while there is a job. */
export type JobInput = Exclude<
  Input,
  | { type: 'upgrade' | 'withdraw' | 'spooled' | 'rollback_by_hand' | 'links_found' | 'runs' }
  | IndexInput
>;

/** What the state asks the executor to do next. Each is safe to begin again after a crash. */
export type Action =
  | { readonly do: 'fetch'; readonly job: Job }
  | { readonly do: 'extract'; readonly job: Job }
  | { readonly do: 'ask_permit'; readonly job: Job }
  | { readonly do: 'swap'; readonly job: Job }
  | { readonly do: 'watch'; readonly job: Job }
  | { readonly do: 'roll_back'; readonly job: Job }
  /** Nothing until an input comes or, if given, this many ms (never 0) have passed. */
  | { readonly do: 'wait'; readonly ms: number | null };
