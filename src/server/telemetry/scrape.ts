import { Inject, Injectable } from '@nestjs/common';
import { Links } from '../gateway/index.js';
import { CONFIG, Database, type Config } from '../platform/index.js';
import { exposition, meters, tellProcess, type Format } from '../platform/telemetry/index.js';
import { FleetNumbers } from './fleet-numbers.js';

/** Everything that this manager tells, as text. */
@Injectable()
export class Scrape {
  constructor(
    private readonly links: Links,
    private readonly database: Database,
    private readonly fleet: FleetNumbers,
    @Inject(CONFIG) private readonly config: Pick<Config, 'redisUrl'>,
  ) {}

  /** Changes nothing. Never rejects because of a database that is away: its numbers are left out. */
  async text(format: Format): Promise<string> {
    await this.fleet.refresh();
    await tellProcess(meters);
    // From here to the end nobody else comes in between.
    this.fleet.tell();
    this.#tellLinks();
    meters.set(
      'bellwether_info',
      1,
      this.database.kind,
      this.config.redisUrl === null ? 'timers' : 'redis',
    );
    meters.hear();
    return exposition(meters, format);
  }

  #tellLinks(): void {
    let polls = 0;
    for (const { transport } of this.links.sessions()) if (transport === 'poll') polls += 1;
    meters.set('bellwether_links', this.links.count() - polls, 'socket');
    meters.set('bellwether_links', polls, 'poll');
  }
}
