import { Module } from '@nestjs/common';
import type { Logger } from 'pino';
import { AccessModule } from '../../access/index.js';
import { AuditModule } from '../../audit/index.js';
import { CLOCK, CONFIG, LOGGER, type Clock, type Config } from '../../platform/index.js';
import { openWakeups } from '../../platform/queue/index.js';
import { EventsModule } from '../events.module.js';
import { AlertWatch } from './alert-watch.js';
import { AlertsController } from './alerts.controller.js';
import { EventSource } from './event-source.js';
import { Receivers } from './receivers.js';
import { SINK_WAKEUPS, SinkLoops } from './sink-loops.js';
import { Sinks } from './sinks.js';
import { SinksController } from './sinks.controller.js';

/** Where events are delivered to, and the alerts that are made of them. */
@Module({
  imports: [AccessModule, AuditModule, EventsModule],
  controllers: [SinksController, AlertsController],
  providers: [
    AlertWatch,
    EventSource,
    Receivers,
    SinkLoops,
    Sinks,
    {
      provide: SINK_WAKEUPS,
      // Alarms of their own: those of rollouts go to whoever leads them.
      useFactory: (config: Config, clock: Clock, log: Logger) =>
        openWakeups({ ...config, redisPrefix: `${config.redisPrefix}-sinks` }, clock, log),
      inject: [CONFIG, CLOCK, LOGGER],
    },
  ],
})
export class SinksModule {}
