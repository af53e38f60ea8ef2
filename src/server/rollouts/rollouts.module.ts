import {
  Inject,
  Module,
  type BeforeApplicationShutdown,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import type { Logger } from 'pino';
import { AccessModule } from '../access/index.js';
import { AuditModule } from '../audit/index.js';
import { EventsModule, Ingest } from '../events/index.js';
import { FleetModule } from '../fleet/index.js';
import { GatewayModule, Links } from '../gateway/index.js';
import { InProcessWakeups, WAKEUPS } from '../platform/queue/index.js';
import { type Clock, CLOCK, LOGGER } from '../platform/index.js';
import { ReleasesModule } from '../releases/index.js';
import { Chronicle } from './chronicle.js';
import { Dispatcher } from './dispatcher.js';
import { NodeSide } from './node-side.js';
import { Orchestrator } from './rollouts.orchestrator.js';
import { RolloutUnits } from './rollout-units.js';
import { RolloutsController } from './rollouts.controller.js';
import { UpgradesController } from './upgrades.controller.js';

/** Rollouts: planning, waves, permits, and what nodes report about them. */
@Module({
  imports: [AccessModule, AuditModule, EventsModule, FleetModule, GatewayModule, ReleasesModule],
  controllers: [RolloutsController, UpgradesController],
  providers: [
    Chronicle,
    Dispatcher,
    NodeSide,
    Orchestrator,
    RolloutUnits,
    {
      provide: WAKEUPS,
      useFactory: (clock: Clock, log: Logger) => new InProcessWakeups(() => clock.now(), log),
      inject: [CLOCK, LOGGER],
    },
  ],
})
export class RolloutsModule implements OnApplicationBootstrap, BeforeApplicationShutdown {
  constructor(
    private readonly orchestrator: Orchestrator,
    @Inject(NodeSide) nodeSide: NodeSide,
    links: Links,
    ingest: Ingest,
  ) {
    links.useCommands(nodeSide);
    ingest.addObserver(nodeSide);
  }

  onApplicationBootstrap(): void {
    this.orchestrator.start();
  }

  async beforeApplicationShutdown(): Promise<void> {
    await this.orchestrator.stop();
  }
}
