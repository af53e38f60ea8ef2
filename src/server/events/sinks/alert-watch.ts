import {
  Inject,
  Injectable,
  type BeforeApplicationShutdown,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import type { Logger } from 'pino';
import {
  ALERT_CATEGORY,
  ALERTING_TYPES,
  alertNewsOf,
  lagNews,
  sinkKey,
  stepAlert,
  type AlertNews,
  type FleetEvent,
} from '../../../core/event/index.js';
import { FleetError, SECOND_MS } from '../../../core/kernel/index.js';
import { AuditLog } from '../../audit/index.js';
import {
  type Caller,
  type Clock,
  CLOCK,
  Database,
  LOGGER,
  newId,
  type Sql,
  type Tx,
} from '../../platform/index.js';
import { EventLog } from '../event-log.js';
import { ROOT_GROUP } from '../root-group.js';
import { sinkLags } from './sinks.store.js';
import {
  alertCursor,
  dueAlerts,
  findAlert,
  holdAlertCursor,
  insertAlert,
  openAlerts,
  raisedAlerts,
  removeAlert,
  saveAlertCursor,
  updateAlert,
  type AlertRecord,
} from './alerts.store.js';

/** One thing that an event says of one alert. */
interface News {
  readonly event: FleetEvent;
  readonly told: AlertNews;
}

interface LagNews {
  readonly before: AlertRecord | null;
  readonly told: AlertNews;
  readonly groupId: string;
}

const PAGE_EVENTS = 500;
const DUE_MAX = 100;
const LOOK_EVERY_MS = SECOND_MS;
/** A cursor that moved over nothing of interest is written down after so many events, or so long. */
const UNSAVED_MAX = 5_000;
const UNSAVED_MS = 60 * SECOND_MS;

/**
 * Follows the log and keeps the alerts. What an event means is decided in `src/core/event`; here state, cursor
 * and the event that tells of it are one transaction, so that each is told exactly once, whichever manager
 * looked and however it died.
 */
@Injectable()
export class AlertWatch implements OnApplicationBootstrap, BeforeApplicationShutdown {
  #timer: NodeJS.Timeout | null = null;
  #looking: Promise<void> | null = null;
  #isStopping = false;
  #seen = 0;
  #savedAt = 0;

  constructor(
    private readonly database: Database,
    private readonly events: EventLog,
    private readonly audit: AuditLog,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(LOGGER) private readonly log: Logger,
  ) {}

  onApplicationBootstrap(): void {
    this.#timer = setInterval(() => void this.look(), LOOK_EVERY_MS);
    this.#timer.unref();
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.#isStopping = true;
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#looking;
  }

  /** Looks through what is new, and for those that waited long enough. One at a time; never rejects. */
  look(): Promise<void> {
    return (this.#looking ??= this.#look()
      .catch((error: unknown) => this.log.warn({ err: error }, 'alerts are looked for again'))
      .finally(() => (this.#looking = null)));
  }

  /** Says that an alert is dealt with. Idempotent. Throws `not_found`. */
  async resolve(id: string, caller: Caller): Promise<AlertRecord> {
    const now = this.clock.now();
    return this.database.transaction(async (tx) => {
      await holdAlertCursor(tx);
      const alert = await findAlert(tx, id);
      if (alert === null || alert.state === 'waiting') {
        throw new FleetError('not_found', 'no such alert');
      }
      if (alert.state === 'resolved') return alert;
      const resolved = await this.#resolve(tx, alert, `by hand: ${caller.name}`, now);
      await this.audit.append(tx, {
        caller,
        action: 'alert.resolve',
        targetKind: 'alert',
        targetId: id,
        groupId: alert.groupId,
        outcome: 'allowed',
        details: { rule: alert.rule, key: alert.key },
      });
      return resolved;
    });
  }

  async #look(): Promise<void> {
    const saved = await alertCursor(this.database.read);
    let after = Math.max(saved, this.#seen);
    for (;;) {
      if (this.#isStopping) return;
      // The database passes over the others: most of the log means nothing here.
      const filter = { after, limit: PAGE_EVENTS, groups: 'all', type: ALERTING_TYPES } as const;
      const { items, nextAfter } = await this.events.read(this.database.read, filter);
      const news = items.flatMap((event) => alertNewsOf(event).map((told) => ({ event, told })));
      const isLate =
        this.clock.now() - this.#savedAt > UNSAVED_MS || nextAfter - saved > UNSAVED_MAX;
      if (news.length > 0 || (isLate && nextAfter > saved)) await this.#take(news, nextAfter);
      this.#seen = Math.max(nextAfter, after);
      if (nextAfter <= after) break;
      after = nextAfter;
    }
    await this.#raiseDue();
    await this.#watchLags();
  }

  async #take(news: readonly News[], through: number): Promise<void> {
    await this.database.transaction(async (tx) => {
      const cursor = await holdAlertCursor(tx);
      // Another manager was here: it has told what is at or below its cursor.
      const fresh = news.filter(({ event }) => event.id > cursor);
      const open = await openAlerts(
        tx,
        fresh.map(({ told }) => told.key),
      );
      for (const one of fresh) await this.#apply(tx, one, open);
      if (through > cursor) await saveAlertCursor(tx, through);
    });
    this.#savedAt = this.clock.now();
  }

  /** Keeps `open` as the table is: most events of thousands of nodes are about no alert at all, and cost no statement. */
  async #apply(tx: Tx, { event, told: news }: News, open: Map<string, AlertRecord>): Promise<void> {
    const at = Date.parse(event.at);
    const before = open.get(news.key) ?? null;
    const state = before === null || before.state === 'resolved' ? null : before.state;
    const step = stepAlert(state, news, at);
    if (step === null) return;
    if (news.news === 'resolve') {
      if (before === null) return;
      open.delete(news.key);
      if (step.tell === null) await removeAlert(tx, before.id);
      else await this.#resolve(tx, before, news.message, at);
      return;
    }
    const alert: AlertRecord = {
      id: before?.id ?? newId('alr'),
      rule: news.rule,
      key: news.key,
      state: step.state ?? 'raised',
      severity: news.severity,
      groupId: event.group_id,
      nodeId: event.node_id,
      rolloutId: event.rollout_id,
      service: event.service,
      message: news.message,
      dueAt: step.dueAt,
      raisedAt: at,
      resolvedAt: null,
    };
    if (before === null) await insertAlert(tx, alert);
    else await updateAlert(tx, alert);
    open.set(news.key, alert);
    if (step.tell === 'raised') this.#tell(tx, alert, 'alert_raised', news.message, at);
  }

  async #raiseDue(): Promise<void> {
    const now = this.clock.now();
    if ((await dueAlerts(this.database.read, now, 1)).length === 0) return;
    await this.database.transaction(async (tx) => {
      await holdAlertCursor(tx);
      for (const alert of await dueAlerts(tx, now, DUE_MAX)) {
        const raised: AlertRecord = { ...alert, state: 'raised', dueAt: null, raisedAt: now };
        await updateAlert(tx, raised);
        this.#tell(tx, raised, 'alert_raised', raised.message, now);
      }
    });
  }

  /** Sinks that are behind tell nothing into the log by themselves: they are looked at. */
  async #watchLags(): Promise<void> {
    const { read } = this.database;
    const newsIn = async (sql: Sql): Promise<LagNews[]> => {
      const raised = new Map((await raisedAlerts(sql, 'sink_behind')).map((one) => [one.key, one]));
      const now = this.clock.now();
      const news: LagNews[] = [];
      for (const lag of await sinkLags(sql)) {
        const oldestMs = lag.oldestAt === null ? null : now - lag.oldestAt;
        const told = lagNews({ ...lag, oldestMs });
        const before = raised.get(sinkKey(lag.id)) ?? null;
        raised.delete(sinkKey(lag.id));
        if (told === null || (told.news === 'raise') === (before !== null)) continue;
        news.push({ before, told, groupId: lag.groupId ?? ROOT_GROUP });
      }
      // What is left is of sinks that are gone.
      for (const before of raised.values()) {
        const { rule, key, groupId } = before;
        const told = { rule, key, news: 'resolve', message: 'the sink was deleted' } as const;
        news.push({ before, told, groupId });
      }
      return news;
    };
    if ((await newsIn(read)).length === 0) return;
    await this.database.transaction(async (tx) => {
      await holdAlertCursor(tx);
      // Asked again: another manager may have told it meanwhile.
      for (const { before, told, groupId } of await newsIn(tx)) {
        const now = this.clock.now();
        if (told.news === 'raise') await this.#raiseLag(tx, told, groupId, now);
        else if (before !== null) await this.#resolve(tx, before, told.message, now);
      }
    });
  }

  async #raiseLag(
    tx: Tx,
    news: AlertNews & { readonly news: 'raise' },
    groupId: string,
    now: number,
  ): Promise<void> {
    const alert: AlertRecord = {
      id: newId('alr'),
      rule: news.rule,
      key: news.key,
      state: 'raised',
      severity: news.severity,
      groupId,
      nodeId: null,
      rolloutId: null,
      service: null,
      message: news.message,
      dueAt: null,
      raisedAt: now,
      resolvedAt: null,
    };
    await insertAlert(tx, alert);
    this.#tell(tx, alert, 'alert_raised', news.message, now);
  }

  async #resolve(tx: Tx, alert: AlertRecord, how: string, at: number): Promise<AlertRecord> {
    const resolved: AlertRecord = { ...alert, state: 'resolved', dueAt: null, resolvedAt: at };
    await updateAlert(tx, resolved);
    this.#tell(tx, resolved, 'alert_resolved', `Resolved: ${alert.message} (${how})`, at);
    return resolved;
  }

  #tell(
    tx: Tx,
    alert: AlertRecord,
    type: 'alert_raised' | 'alert_resolved',
    message: string,
    at: number,
  ): void {
    this.events.append(tx, [
      {
        category: ALERT_CATEGORY,
        type,
        severity: type === 'alert_raised' ? alert.severity : 'info',
        nodeId: alert.nodeId,
        groupId: alert.groupId,
        rolloutId: alert.rolloutId,
        service: alert.service,
        message,
        details: { alert_id: alert.id, rule: alert.rule, alert_key: alert.key },
        at,
      },
    ]);
  }
}
