import type { IncomingMessage } from 'node:http';
import { Injectable } from '@nestjs/common';

/** Somebody who asks for a WebSocket. */
export interface Knock {
  readonly request: IncomingMessage;
  /** Where it came from; forwarding headers are believed from trusted proxies only. */
  readonly ip: string;
  readonly requestId: string;
}

/** Who may open a WebSocket at one path. Everybody is asked in the HTTP upgrade, before there is one. */
export interface Door {
  readonly subprotocol: string;
  /** A larger frame of the peer ends the connection with 1009. */
  readonly frameBytesMax: number;
  /** Whoever is let in, for the gateway of the path. Throws FleetError: the answer is its problem document. */
  admit(knock: Knock): Promise<unknown>;
}

/** Doors of other modules, which register theirs at start; the link of nodes has its own. */
@Injectable()
export class Doors {
  readonly #doors = new Map<string, Door>();

  use(path: string, door: Door): void {
    this.#doors.set(path, door);
  }

  find(path: string): Door | null {
    return this.#doors.get(path) ?? null;
  }
}
