import { Module, type DynamicModule } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import type { Logger } from 'pino';
import { BUS, openBus } from './bus/index.js';
import type { Config } from './config/index.js';
import { Database } from './database/index.js';
import { OpenApiController, ProblemFilter } from './http/index.js';
import { Members } from './members/index.js';
import { Secrets } from './secrets/index.js';
import { CLOCK, CONFIG, LOGGER, type Clock } from './tokens.js';

/** What a manager stands on. Made outside of Nest, so that a failure is told in plain words. */
export interface Platform {
  readonly config: Config;
  readonly database: Database;
  readonly secrets: Secrets;
  readonly clock: Clock;
  readonly log: Logger;
}

@Module({})
export class PlatformModule {
  static on(platform: Platform): DynamicModule {
    return {
      module: PlatformModule,
      global: true,
      controllers: [OpenApiController],
      providers: [
        { provide: CONFIG, useValue: platform.config },
        { provide: Database, useValue: platform.database },
        { provide: Secrets, useValue: platform.secrets },
        { provide: CLOCK, useValue: platform.clock },
        { provide: LOGGER, useValue: platform.log },
        {
          provide: BUS,
          useFactory: (config: Config, log: Logger) => openBus(config, log),
          inject: [CONFIG, LOGGER],
        },
        Members,
        { provide: APP_FILTER, useClass: ProblemFilter },
      ],
      exports: [BUS, CONFIG, Database, Members, Secrets, CLOCK, LOGGER],
    };
  }
}
