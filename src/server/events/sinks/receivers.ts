import { join } from 'node:path';
import { Inject, Injectable } from '@nestjs/common';
import { FleetError } from '../../../core/kernel/index.js';
import type { ErrorCode } from '../../../protocol/index.js';
import { SINK_CONFIGS, type SinkKind } from '../../../protocol/api/index.js';
import {
  CLOCK,
  CONFIG,
  sealedColumn,
  Secrets,
  VERSION,
  type Clock,
  type Config,
} from '../../platform/index.js';
import { openReceiver } from './kinds.js';
import { NetworkGuard } from './network-guard.js';
import { failure, undelivered, type Receiver } from './sink.port.js';
import type { SinkRecord } from './sinks.store.js';

const PURPOSE = 'sink';
const SEALED = { purpose: PURPOSE, table: 'sinks', id: 'id', column: 'credentials' } as const;

/** Opens the way to the receiver of a sink, with everything that this manager knows. */
@Injectable()
export class Receivers {
  readonly #guard: NetworkGuard;
  readonly #filesDir: string;

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    private readonly secrets: Secrets,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {
    secrets.keep(PURPOSE, sealedColumn(secrets, SEALED));
    this.#guard = new NetworkGuard(config.sinkNetworks);
    this.#filesDir = config.sinkFilesDir ?? join(config.dataDir, 'sink-files');
  }

  seal(id: string, credentials: Readonly<Record<string, unknown>>): string {
    return this.secrets.seal(PURPOSE, id, JSON.stringify(credentials));
  }

  /** Throws `secret_unreadable`. */
  unseal({ id, credentials }: Pick<SinkRecord, 'id' | 'credentials'>): Record<string, unknown> {
    return JSON.parse(this.secrets.open(PURPOSE, id, credentials)) as Record<string, unknown>;
  }

  /** Never throws: a sink that cannot be opened fails as one whose receiver is away. */
  open(sink: Pick<SinkRecord, 'id' | 'kind' | 'config' | 'credentials'>): Receiver {
    try {
      return this.#open(sink.kind, sink);
    } catch (error) {
      const isOurs = error instanceof FleetError;
      const code = isOurs ? (error.code as ErrorCode) : 'internal_error';
      const why = failure(code, isOurs ? error.message : 'the sink cannot be opened');
      return {
        limits: { events: 1, bytes: Number.MAX_SAFE_INTEGER, eventBytes: Number.MAX_SAFE_INTEGER },
        render: () => '',
        deliver: async () => undelivered(why),
        close: async () => undefined,
      };
    }
  }

  #open(kind: SinkKind, sink: Pick<SinkRecord, 'id' | 'config' | 'credentials'>): Receiver {
    return openReceiver(kind, {
      sinkId: sink.id,
      config: SINK_CONFIGS[kind].parse(sink.config),
      credentials: this.unseal(sink),
      origin: { manager: this.config.publicUrl, version: VERSION },
      guard: this.#guard,
      filesDir: this.#filesDir,
      now: () => this.clock.now(),
    });
  }
}
