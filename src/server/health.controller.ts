import { Controller } from '@nestjs/common';
import { FleetError } from '../core/kernel/index.js';
import type { Answer } from '../protocol/api/index.js';
import { FrontDoor, Links, LoadWatch } from './gateway/index.js';
import { Database } from './platform/database/index.js';
import { Endpoint } from './platform/http/index.js';
import { VERSION } from './platform/index.js';

/** For load balancers and for people. Beside the modules, because it speaks of several. */
@Controller()
export class HealthController {
  constructor(
    private readonly database: Database,
    private readonly links: Links,
    private readonly load: LoadWatch,
    private readonly front: FrontDoor,
  ) {}

  @Endpoint('health.live')
  async live(): Promise<Answer<'health.live'>> {
    // A load balancer sends nobody here from now on; nodes that are here are on their way to others.
    if (this.links.draining) {
      throw new FleetError('unavailable', 'the manager is stopping', { kind: 'operational' });
    }
    try {
      await this.database.read.get('SELECT 1 AS one');
    } catch (cause) {
      throw new FleetError('unavailable', 'the database does not answer', {
        kind: 'operational',
        cause,
      });
    }
    const { underWay, waiting, limit } = this.front.state();
    const { loopDelayMs, databaseDelayMs } = this.load.signs;
    return {
      status: 'ok',
      version: VERSION,
      database: this.database.kind,
      links: this.links.count(),
      load: {
        step: this.load.step,
        event_loop_delay_ms: Math.round(loopDelayMs),
        database_delay_ms: Math.round(databaseDelayMs),
        arrivals: { under_way: underWay, waiting, limit },
      },
    };
  }
}
