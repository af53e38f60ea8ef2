import { Controller, Inject } from '@nestjs/common';
import { DAY_MS } from '../../core/kernel/index.js';
import { FLEET_HISTORY_DAYS, type Answer, type Input } from '../../protocol/api/index.js';
import { Endpoint, Given, Who, type Caller } from '../platform/http/index.js';
import { CLOCK, type Clock } from '../platform/index.js';
import { FleetCensus } from './fleet-census.js';
import { FleetHistory } from './fleet-history.js';
import { VisibleNodes } from './visible-nodes.js';

/** Asked for without a moment: the last week. */
const LOOK_BACK_DAYS = 7;

/** The fleet in numbers, as far as the caller sees its nodes. */
@Controller()
export class FleetController {
  constructor(
    private readonly visible: VisibleNodes,
    private readonly census: FleetCensus,
    private readonly past: FleetHistory,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  @Endpoint('fleet.summary')
  async summary(
    @Given() { query }: Input<'fleet.summary'>,
    @Who() caller: Caller,
  ): Promise<Answer<'fleet.summary'>> {
    const groups = await this.visible.groups(caller, query.group_id);
    return await this.census.take(groups, { product: query.product, now: this.clock.now() });
  }

  @Endpoint('fleet.history')
  async history(
    @Given() { query }: Input<'fleet.history'>,
    @Who() caller: Caller,
  ): Promise<Answer<'fleet.history'>> {
    const groups = await this.visible.groups(caller, query.group_id);
    const now = this.clock.now();
    const untilMs = query.until === undefined ? now : Math.min(now, Date.parse(query.until));
    const sinceMs =
      query.since === undefined ? untilMs - LOOK_BACK_DAYS * DAY_MS : Date.parse(query.since);
    return await this.past.read(groups, {
      product: query.product,
      stepHours: query.step_hours,
      sinceMs: Math.max(sinceMs, now - FLEET_HISTORY_DAYS * DAY_MS),
      untilMs,
    });
  }
}
