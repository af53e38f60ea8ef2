import {
  Inject,
  Injectable,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import type { Request } from 'express';
import { catchError, type Observable } from 'rxjs';
import { FleetError, SECOND_MS } from '../../core/kernel/index.js';
import { ROUTES, type RouteName } from '../../protocol/api/index.js';
import { ERRORS, isErrorCode } from '../../protocol/index.js';
import { AuditLog, type AuditAction } from '../audit/index.js';
import { Database } from '../platform/database/index.js';
import { callerOf, routeOf, type Caller } from '../platform/http/index.js';
import { CLOCK, type Clock } from '../platform/index.js';
import { attemptedGroupOf } from './access.js';
import { Refusals } from './refusals.js';
import { Whereabouts } from './whereabouts.js';

/**
 * What was tried, for each route that changes something. `null`: it writes nothing, or nothing but
 * evidence. A spec finds a route that is missing here.
 */
export const ACTION_OF_ROUTE: Readonly<Partial<Record<RouteName, AuditAction | null>>> = {
  'setup.finish': 'setup.finish',
  'setup.first_user': 'user.create',
  'session.sign_in': 'session.sign_in',
  'session.sign_out': 'session.sign_out',
  'sessions.revoke': 'session.revoke',
  'account.password': 'user.password',
  'account.begin_factor': 'factor.begin',
  'account.confirm_factor': 'factor.confirm',
  'account.remove_factor': 'factor.remove',
  'users.update': 'user.update',
  'users.disable': 'user.disable',
  'users.enable': 'user.enable',
  'users.sign_out': 'user.sign_out',
  'users.reset_factor': 'factor.remove',
  'invitations.create': 'invitation.create',
  'invitations.revoke': 'invitation.revoke',
  'invitations.accept': 'user.create',
  'members.set': 'member.set',
  'members.remove': 'member.remove',
  'tokens.create': 'token.create',
  'tokens.rotate': 'token.rotate',
  'tokens.revoke': 'token.revoke',
  'groups.create': 'group.create',
  'groups.change': 'group.change',
  'groups.remove': 'group.delete',
  'groups.set_quota': 'group.quota',
  'groups.upgrade': 'group.upgrade.schedule',
  'groups.set_switch': 'group.switch',
  'groups.freeze': 'group.freeze',
  'groups.thaw': 'group.thaw',
  'nodes.revoke': 'node.revoke',
  'nodes.transfer': 'node.transfer',
  'nodes.upgrade': 'node.upgrade.request',
  'enrollment.create': 'enrollment_token.create',
  'enrollment.enroll': 'node.enroll',
  'enrollment.create_cluster': 'cluster_token.create',
  'enrollment.revoke_cluster': 'cluster_token.revoke',
  'enrollment.decommission': 'node.revoke',
  'plans.create': 'plan.create',
  'plans.change': 'plan.change',
  'plans.remove': 'plan.delete',
  'schedules.create': 'schedule.create',
  'schedules.change': 'schedule.change',
  'schedules.pause': 'schedule.pause',
  'schedules.resume': 'schedule.resume',
  'schedules.remove': 'schedule.delete',
  'sinks.create': 'sink.create',
  'sinks.change': 'sink.change',
  'sinks.remove': 'sink.delete',
  'sinks.rotate_secret': 'sink.secret',
  'sinks.test': 'sink.test',
  'sinks.pause': 'sink.pause',
  'sinks.resume': 'sink.resume',
  'sinks.backfill': 'sink.backfill',
  'sinks.replay': 'sink.replay',
  'sinks.discard': 'sink.discard',
  'alerts.resolve': 'alert.resolve',
  'releases.upload': 'release.upload',
  'releases.append': 'release.upload',
  'releases.publish': 'release.publish',
  'releases.yank': 'release.yank',
  'releases.collect': 'release.collect',
  'sources.refresh': 'release_source.refresh',
  'documents.announce': 'release.announce',
  'rollouts.create': 'group.upgrade.schedule',
  'rollouts.preview': null,
  'rollouts.revert': 'rollout.revert',
  'rollouts.mark_rolled_back': 'rollout.mark_rolled_back',
  'rollouts.retry_failed': 'rollout.retry_failed',
  'rollouts.approve': 'rollout.approve',
  'rollouts.break_glass': 'rollout.break_glass',
  'rollouts.skip_wave': 'rollout.skip_wave',
  'rollouts.start_wave': 'rollout.start_wave',
  'rollouts.mark_done': 'rollout.mark_done',
  'rollouts.pause': 'rollout.pause',
  'rollouts.resume': 'rollout.resume',
  'rollouts.cancel': 'rollout.cancel',
  'audit.checkpoint': null,
  // What a node says: events are the record of that.
  'link.sync': null,
  'link.heartbeat': null,
};

/** Refused attempts of one caller that are recorded in a row; a script that tries on is slowed. */
export const ATTEMPTS_BURST_MAX = 200;
const ATTEMPTS_PER_SECOND = 10;
/** Callers remembered; beyond it the oldest are forgotten, which only forgives them. */
const CALLERS_MAX = 10_000;

const WRONG_SIGN_IN: ReadonlySet<string> = new Set(['sign_in_failed', 'second_factor_wrong']);

/** What does not fit its schema names nothing that could be recorded, and is no attempt. */
const NO_ATTEMPT: ReadonlySet<string> = new Set([
  'invalid_request',
  'payload_too_large',
  'rate_limited',
]);

/**
 * Records what a known caller tried and was not allowed, or what failed: the deed itself writes its
 * own entry, in its transaction. When a refusal cannot be recorded, that is the answer. (Unknown
 * callers are for `Refusals`.)
 */
@Injectable()
export class Attempts implements NestInterceptor {
  readonly #spent = new Map<string, { count: number; atMs: number }>();

  constructor(
    private readonly database: Database,
    private readonly audit: AuditLog,
    private readonly whereabouts: Whereabouts,
    private readonly refusals: Refusals,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const found = context.getType() === 'http' ? routeOf(context.getHandler()) : null;
    if (found === null) return next.handle();
    const request = context.switchToHttp().getRequest<Request>();
    return next.handle().pipe(
      catchError(async (error: unknown) => {
        const caller = callerOf(request);
        if (found.name === 'session.sign_in') this.#signInRefused(caller, error);
        await this.refused(found.name, request, caller, error);
        // It is recorded; the caller hears the same as ever.
        throw error;
      }),
    );
  }

  #signInRefused({ ip }: Caller, error: unknown): void {
    if (!(error instanceof FleetError) || !WRONG_SIGN_IN.has(error.code)) return;
    const refused = { ip, target: 'session.sign_in', errorCode: error.code };
    this.refusals.tell({ ...refused, kind: 'sign_in_failed' });
  }

  /** Resolves when the attempt is recorded, or is none. Rejects when it cannot be. */
  async refused(name: RouteName, request: Request, caller: Caller, error: unknown): Promise<void> {
    const action = ACTION_OF_ROUTE[name] ?? 'request.refused';
    if (ROUTES[name].method === 'GET' || ACTION_OF_ROUTE[name] === null) return;
    if (caller.kind === 'anonymous') return;
    const { code, outcome } = told(error);
    if (NO_ATTEMPT.has(code)) return;
    if (outcome === 'refused') this.#spend(caller);
    const groupId =
      attemptedGroupOf(error) ??
      (await this.whereabouts.groupOf(ROUTES[name].path, request.params['id']));
    const recorded = this.database.transaction((tx) =>
      this.audit.append(tx, {
        caller,
        action,
        ...targetOf(name, request),
        groupId,
        outcome,
        details: { error_code: code, route: name },
      }),
    );
    // A failure is told as it is: most often the database is what failed.
    await (outcome === 'failed' ? recorded.catch(() => undefined) : recorded);
  }

  /** Throws `rate_limited`, which is not recorded: a stolen token must not fill the log. */
  #spend({ kind, id }: Caller): void {
    const key = `${kind} ${id}`;
    const nowMs = this.clock.now();
    const known = this.#spent.get(key) ?? { count: 0, atMs: nowMs };
    const regained = ((nowMs - known.atMs) / SECOND_MS) * ATTEMPTS_PER_SECOND;
    const count = Math.max(0, known.count - Math.max(0, regained)) + 1;
    this.#spent.delete(key);
    this.#spent.set(key, { count: Math.min(count, ATTEMPTS_BURST_MAX), atMs: nowMs });
    const oldest = this.#spent.keys().next().value;
    if (this.#spent.size > CALLERS_MAX && oldest !== undefined) this.#spent.delete(oldest);
    if (count <= ATTEMPTS_BURST_MAX) return;
    throw new FleetError('rate_limited', 'too many refused attempts by this caller', {
      context: { retry_after_seconds: 1 },
    });
  }
}

function told(error: unknown): { readonly code: string; readonly outcome: 'refused' | 'failed' } {
  const isOurs = error instanceof FleetError && isErrorCode(error.code);
  if (!isOurs) return { code: 'internal_error', outcome: 'failed' };
  const status = isErrorCode(error.code) ? (ERRORS[error.code].http ?? 500) : 500;
  return { code: error.code, outcome: status < 500 ? 'refused' : 'failed' };
}

/** What the address names; ids in it may name nothing that there is. */
function targetOf(
  name: RouteName,
  { params }: Request,
): { readonly targetKind: string; readonly targetId: string } {
  const id = params['id'];
  if (typeof id !== 'string') return { targetKind: 'route', targetId: name };
  return { targetKind: name.slice(0, name.indexOf('.')).replace(/s$/, ''), targetId: id };
}
