/** Events that are of no group are filed under everybody's root. */
export const ROOT_GROUP = 'grp_default';
