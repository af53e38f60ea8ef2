/** What this session was told to send with each change. Kept in memory, and nowhere else. */
export const csrf: { value: string | null } = { value: null };
