import { Controller } from '@nestjs/common';
import { FleetError, toIso } from '../../../core/kernel/index.js';
import type { Alert, Answer, Input } from '../../../protocol/api/index.js';
import { Access } from '../../access/index.js';
import {
  Database,
  Endpoint,
  Given,
  pageFrom,
  readCursor,
  Who,
  type Caller,
} from '../../platform/index.js';
import { AlertWatch } from './alert-watch.js';
import { findAlert, listAlerts, type AlertRecord } from './alerts.store.js';

const alertView = (alert: AlertRecord): Alert => ({
  id: alert.id,
  rule: alert.rule,
  key: alert.key,
  severity: alert.severity,
  group_id: alert.groupId,
  node_id: alert.nodeId,
  rollout_id: alert.rolloutId,
  message: alert.message,
  raised_at: toIso(alert.raisedAt),
  resolved_at: alert.resolvedAt === null ? null : toIso(alert.resolvedAt),
});

@Controller()
export class AlertsController {
  constructor(
    private readonly database: Database,
    private readonly access: Access,
    private readonly watch: AlertWatch,
  ) {}

  @Endpoint('alerts.list')
  async list(
    @Given() { query }: Input<'alerts.list'>,
    @Who() caller: Caller,
  ): Promise<Answer<'alerts.list'>> {
    const groups = await this.access.visibleGroups(caller, 'event.view');
    const { state, rule } = query;
    const before = readCursor(query.cursor);
    const limit = query.limit + 1;
    const rows = await listAlerts(this.database.read, { groups, state, rule, before, limit });
    const keyOf = ({ raisedAt: at, id }: AlertRecord): { at: number; id: string } => ({ at, id });
    return pageFrom(rows, query.limit, keyOf, alertView);
  }

  @Endpoint('alerts.resolve')
  async resolve(
    @Given() { params }: Input<'alerts.resolve'>,
    @Who() caller: Caller,
  ): Promise<Answer<'alerts.resolve'>> {
    const alert = await findAlert(this.database.read, params.id);
    if (alert === null) throw new FleetError('not_found', 'no such alert');
    await this.access.require(caller, 'group.manage', alert.groupId);
    return alertView(await this.watch.resolve(params.id, caller));
  }
}
