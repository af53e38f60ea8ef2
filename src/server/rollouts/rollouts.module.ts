import {
  Inject,
  Module,
  type BeforeApplicationShutdown,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import type { Logger } from 'pino';
import { AccessModule } from '../access/index.js';
import { AuditModule } from '../audit/index.js';
import { EnrollmentModule, GoneNodes } from '../enrollment/index.js';
import { EventsModule, Ingest } from '../events/index.js';
import { FleetModule, HealthBook } from '../fleet/index.js';
import { GatewayModule, Links } from '../gateway/index.js';
import { PeopleModule } from '../people/index.js';
import { MeteredWakeups, openWakeups, RoutedWakeups, WAKEUPS } from '../platform/queue/index.js';
import { CLOCK, CONFIG, LOGGER, type Clock, type Config } from '../platform/index.js';
import { PlansModule } from '../plans/index.js';
import { BlobCollector, IndexNews, Refresher, ReleasesModule } from '../releases/index.js';
import { Asks } from './asks.js';
import { Chronicle } from './chronicle.js';
import { CircumstancesBook } from './circumstances.js';
import { CircumstancesController } from './circumstances.controller.js';
import { Dispatcher, Errands } from './dispatcher.js';
import { Newcomers } from './newcomers.js';
import { NodeAsks } from './node-asks.js';
import { NodeLook } from './node-look.js';
import { NodeSide } from './node-side.js';
import { Reverts } from './reverts.js';
import { Orchestrator } from './rollouts.orchestrator.js';
import { RolloutUnits } from './rollout-units.js';
import { RolloutsController } from './rollouts.controller.js';
import { RolloutHolds, Scopes } from './scope.js';
import { choresOf, Sweeper } from './sweeper.js';
import { CHORES } from './chores.js';
import { UpgradesController } from './upgrades.controller.js';
import { VerbsController } from './verbs.controller.js';
import { Visible } from './visible.js';
import { Yanks } from './yanks.js';

/** Rollouts: planning, waves, permits, and what nodes report about them. */
@Module({
  imports: [
    AccessModule,
    AuditModule,
    EnrollmentModule,
    EventsModule,
    FleetModule,
    GatewayModule,
    PeopleModule,
    PlansModule,
    ReleasesModule,
  ],
  controllers: [UpgradesController, RolloutsController, VerbsController, CircumstancesController],
  providers: [
    Asks,
    Chronicle,
    CircumstancesBook,
    Dispatcher,
    Errands,
    Newcomers,
    NodeAsks,
    NodeLook,
    NodeSide,
    RolloutHolds,
    Orchestrator,
    Reverts,
    RolloutUnits,
    Scopes,
    Sweeper,
    Visible,
    Yanks,
    {
      provide: CHORES,
      useFactory: (
        newcomers: Newcomers,
        reverts: Reverts,
        collector: BlobCollector,
        refresher: Refresher,
        news: IndexNews,
        gone: GoneNodes,
      ) => [
        ...choresOf(newcomers, reverts),
        collector.chore,
        refresher.chore,
        news.chore,
        gone.chore,
      ],
      inject: [Newcomers, Reverts, BlobCollector, Refresher, IndexNews, GoneNodes],
    },
    {
      provide: WAKEUPS,
      useFactory: async (config: Config, clock: Clock, log: Logger) =>
        new RoutedWakeups(
          new MeteredWakeups(await openWakeups(config, clock, log), 'rollouts', clock),
        ),
      inject: [CONFIG, CLOCK, LOGGER],
    },
  ],
  exports: [Asks, CircumstancesBook, NodeLook, Orchestrator, Sweeper, Visible, WAKEUPS],
})
export class RolloutsModule implements OnApplicationBootstrap, BeforeApplicationShutdown {
  constructor(
    private readonly orchestrator: Orchestrator,
    private readonly sweeper: Sweeper,
    @Inject(NodeSide) nodeSide: NodeSide,
    links: Links,
    ingest: Ingest,
    health: HealthBook,
  ) {
    links.useCommands(nodeSide);
    links.useUrgency(nodeSide);
    ingest.addObserver(nodeSide);
    health.addObserver((nodeId, services) => nodeSide.runs(nodeId, services));
  }

  onApplicationBootstrap(): void {
    this.sweeper.start();
  }

  async beforeApplicationShutdown(): Promise<void> {
    await this.sweeper.stop();
    await this.orchestrator.stop();
  }
}
