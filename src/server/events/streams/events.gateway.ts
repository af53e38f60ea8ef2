import { Controller, type BeforeApplicationShutdown } from '@nestjs/common';
import { WebSocketGateway, type OnGatewayConnection } from '@nestjs/websockets';
import { FleetError } from '../../../core/kernel/index.js';
import {
  EVENTS_WS_FRAME_BYTES_MAX,
  EVENTS_WS_PATH,
  EVENTS_WS_SUBPROTOCOL,
} from '../../../protocol/api/index.js';
import { Credentials, RequestRates } from '../../access/index.js';
import { Doors, type Admission, type Knock } from '../../gateway/index.js';
import { Endpoint, type Caller } from '../../platform/index.js';
import { Streams } from './streams.js';
import { WsConsumer } from './ws-consumer.js';

/**
 * Events over a WebSocket. Who may open one is asked in the HTTP upgrade: an API token in `Authorization`,
 * with the permission of the route. A cookie is not taken: another site's page could send it.
 */
@WebSocketGateway({ path: EVENTS_WS_PATH })
export class EventsGateway
  implements OnGatewayConnection<Admission<Caller>>, BeforeApplicationShutdown
{
  readonly #consumers = new Set<WsConsumer>();

  constructor(
    doors: Doors,
    private readonly credentials: Credentials,
    private readonly rates: RequestRates,
    private readonly streams: Streams,
  ) {
    doors.use(EVENTS_WS_PATH, {
      subprotocol: EVENTS_WS_SUBPROTOCOL,
      frameBytesMax: EVENTS_WS_FRAME_BYTES_MAX,
      admit: (knock) => this.#admit(knock),
    });
  }

  handleConnection({ socket, who }: Admission<Caller>): void {
    const consumer = new WsConsumer(socket, who, this.streams);
    this.#consumers.add(consumer);
    void consumer.run().finally(() => this.#consumers.delete(consumer));
  }

  /** Also those that have not said `start` yet: the server waits for every socket. */
  beforeApplicationShutdown(): void {
    for (const consumer of this.#consumers) consumer.leave();
  }

  async #admit({ request, ip, requestId }: Knock): Promise<Caller> {
    const { authorization } = request.headers;
    if (authorization === undefined || authorization === '') {
      throw new FleetError('unauthenticated', 'send an API token');
    }
    const userAgent = request.headers['user-agent'] ?? '';
    const stranger: Caller = {
      kind: 'anonymous',
      id: '',
      name: '',
      grants: [],
      requestId,
      ip,
      userAgent,
    };
    const { caller } = await this.credentials.ofBearer(authorization, stranger, 'events.ws');
    // There are no headers to tell it in.
    this.rates.spend(caller.id, { setHeader: () => undefined as never });
    this.credentials.require(caller, 'events.ws');
    this.streams.requireRoom(caller.id);
    return caller;
  }
}

/** What a plain GET of the same address is told. */
@Controller()
export class EventsUpgradeController {
  @Endpoint('events.ws')
  async upgrade(): Promise<never> {
    throw new FleetError('upgrade_required', 'open this address as a WebSocket');
  }
}
