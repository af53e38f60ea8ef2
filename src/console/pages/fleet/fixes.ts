/** Put in by the build, from the list of errors of the same commit. */
declare const __FIXES__: Readonly<Record<string, string>>;

const FIXES = __FIXES__;

/** What a code means and what to do about it; null for one that a later version made. */
export const fixOf = (code: string): string | null => FIXES[code] ?? null;
