import { Injectable } from '@nestjs/common';
import type { Node } from '../../protocol/api/index.js';
import { Links } from '../gateway/index.js';
import { HealthBook } from './health-book.js';
import { nodeView } from './node.view.js';
import type { FleetNode } from './nodes.store.js';

/** Shows a node with what this process knows of it right now. */
@Injectable()
export class LiveNodes {
  constructor(
    private readonly links: Links,
    private readonly book: HealthBook,
  ) {}

  view(node: FleetNode): Node {
    return nodeView(node, {
      online: this.links.online(node.id),
      seenAt: this.book.seenAt(node.id),
    });
  }
}
