import { Injectable } from '@nestjs/common';
import { Access, Groups } from '../access/index.js';
import type { Caller } from '../platform/http/index.js';

/** Which nodes a caller sees: by the groups that they are in. */
@Injectable()
export class VisibleNodes {
  constructor(
    private readonly access: Access,
    private readonly tree: Groups,
  ) {}

  /** A group means everything below it too, unless told otherwise. Throws `not_found`. */
  async groups(
    caller: Caller,
    groupId: string | undefined,
    subgroups = true,
  ): Promise<'all' | readonly string[]> {
    if (groupId === undefined) return await this.access.visibleGroups(caller, 'node.view');
    await this.access.require(caller, 'node.view', groupId);
    return subgroups ? await this.tree.subtree(groupId) : [groupId];
  }
}
