import { Inject, Injectable } from '@nestjs/common';
import type { Logger } from 'pino';
import { LOGGER } from '../platform/index.js';
import { Releases } from '../releases/index.js';
import { Orchestrator } from './rollouts.orchestrator.js';

/**
 * A yank holds rollouts back (`CircumstancesBook`); here they are told to look. When that is lost, each
 * sees it at its next look: nothing is offered and no permit is granted without one.
 */
@Injectable()
export class Yanks {
  constructor(releases: Releases, orchestrator: Orchestrator, @Inject(LOGGER) log: Logger) {
    releases.onChange(() => {
      orchestrator.wakeAll().catch((error: unknown) => {
        log.error({ err: error }, 'rollouts could not be told of a change in the catalog');
      });
    });
  }
}
