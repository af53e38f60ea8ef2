import { toIso } from '../../core/kernel/index.js';
import type { Answer } from '../../protocol/api/index.js';
import type { GroupRecord } from './groups.store.js';
import type { TokenRecord } from './tokens.store.js';

export const groupView = (group: GroupRecord): Answer<'groups.create'> => ({
  id: group.id,
  name: group.name,
  parent_id: group.parentId,
  nodes_max: group.nodesMax,
  created_at: toIso(group.createdAt),
});

export const tokenView = (token: TokenRecord): Answer<'tokens.list'>['items'][number] => ({
  id: token.id,
  name: token.name,
  role: token.role,
  permissions: token.permissions === null ? null : [...token.permissions],
  group_id: token.groupId,
  created_at: toIso(token.createdAt),
  expires_at: toIso(token.expiresAt),
  last_used_at: token.lastUsedAt === null ? null : toIso(token.lastUsedAt),
  last_used_from: token.lastUsedFrom,
  made_by: token.makerId,
});
