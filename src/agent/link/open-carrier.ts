import { Agent as HttpAgent } from 'node:http';
import { WebSocket } from 'ws';
import {
  HELLO_TIMEOUT_MS,
  LINK_PATH,
  MANAGER_FRAME_BYTES_MAX,
  SUBPROTOCOL,
  SYNC_PATH,
} from '../../protocol/node/index.js';
import type { Carrier } from './carrier.js';
import { PollSocket } from './poll-socket.js';
import { agentFor, type Reach } from './reach.js';
import type { Way } from './ways.js';

export interface CarrierOptions {
  readonly way: Way;
  readonly reach: Reach;
  /** A fresh node token each time. */
  readonly token: () => string;
  readonly random: () => number;
  readonly answerTimeoutMs?: number | undefined;
  readonly pollWaitMs?: number | undefined;
}

/** Begins to open one way to the manager. */
export function openCarrier(options: CarrierOptions): Carrier {
  const { way, reach, token, random } = options;
  const isSafe = way.origin.startsWith('https:');
  if (way.transport === 'poll') {
    return new PollSocket({
      url: `${way.origin}${SYNC_PATH}`,
      token,
      agent: isSafe ? agentFor(reach, true) : new HttpAgent({ keepAlive: true }),
      random,
      ...(options.pollWaitMs === undefined ? {} : { waitMs: options.pollWaitMs }),
    });
  }
  return new WebSocket(`${way.origin.replace(/^http/, 'ws')}${LINK_PATH}`, SUBPROTOCOL, {
    headers: { authorization: `Bearer ${token()}` },
    handshakeTimeout: options.answerTimeoutMs ?? HELLO_TIMEOUT_MS,
    maxPayload: MANAGER_FRAME_BYTES_MAX,
    perMessageDeflate: false,
    followRedirects: false,
    ...(isSafe ? { agent: agentFor(reach, false) } : {}),
  });
}
