/** What one value of the groups claim gives here. */
export interface ClaimRule<Role extends string> {
  readonly claim: string;
  readonly groupId: string;
  readonly role: Role;
}

/** More values than this are not read: no directory puts somebody into so many groups. */
const VALUES_MAX = 2_000;

/** The values of a claim: a list of texts, or one text. Whatever else it is, it says nothing. */
export function claimValues(claim: unknown): readonly string[] {
  const list: readonly unknown[] = Array.isArray(claim) ? claim : [claim];
  return list.slice(0, VALUES_MAX).filter((value) => typeof value === 'string');
}

/**
 * The roles that these values give: one a group, the highest of them (`roles` is in order, lowest first).
 * Values are compared letter by letter. A platform role cannot come out: the rules have none.
 */
export function rolesOfClaims<Role extends string>(
  values: readonly string[],
  rules: readonly ClaimRule<Role>[],
  roles: readonly Role[],
): ReadonlyMap<string, Role> {
  const held = new Set(values);
  const given = new Map<string, Role>();
  for (const { claim, groupId, role } of rules) {
    if (!held.has(claim)) continue;
    const before = given.get(groupId);
    if (before === undefined || roles.indexOf(role) > roles.indexOf(before)) {
      given.set(groupId, role);
    }
  }
  return given;
}
