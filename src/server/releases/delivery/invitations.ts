import type { Server } from 'node:http';
import { Injectable, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { Request, Response } from 'express';

/**
 * A sender that is cut off while it still sends may never read why. So one who announced nothing
 * gets this long to finish, its bytes unread, before the answer closes the line.
 */
const LINGER_MS = 5_000;

/**
 * Lets a publisher that asks first (`Expect: 100-continue`, RFC 9110 10.1.1) hear a refusal before
 * it sends hundreds of MiB: node would invite the body by itself, before the guard has looked.
 */
@Injectable()
export class Invitations implements OnModuleInit {
  readonly #uninvited = new WeakSet<object>();

  constructor(private readonly host: HttpAdapterHost) {}

  onModuleInit(): void {
    const server = this.host.httpAdapter.getHttpServer() as Server;
    server.on('checkContinue', (request, response) => {
      if (request.method === 'PUT' || request.method === 'PATCH') this.#uninvited.add(request);
      else response.writeContinue();
      server.emit('request', request, response);
    });
  }

  /** Call it when the body is really wanted. Does nothing for one that comes unasked. */
  invite(request: Request, response: Response): void {
    if (this.#uninvited.delete(request)) response.writeContinue();
  }

  /** Reads the rest of a refused body into nothing, for a while; returns at once when none comes. */
  async drain(request: Request): Promise<void> {
    if (this.#uninvited.has(request) || request.complete || request.destroyed) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, LINGER_MS);
      request
        .once('close', resolve)
        .once('end', resolve)
        .once('error', () => resolve());
      request.once('close', () => clearTimeout(timer)).once('end', () => clearTimeout(timer));
      request.resume();
    });
  }
}
