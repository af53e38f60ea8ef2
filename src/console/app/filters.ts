import { useCallback, useEffect, useMemo, useRef } from 'react';
import { useSearchParams } from 'react-router';

/**
 * Filters that stand in the address: a link shows the same, and the back button undoes. An empty text is no
 * filter. Changes replace the entry of the history, so that each letter typed is none of its own.
 */
export function useFilters<const K extends string>(
  keys: readonly K[],
): {
  readonly values: Readonly<Partial<Record<K, string>>>;
  readonly set: (changes: Readonly<Partial<Record<K, string | null>>>) => void;
  readonly clear: () => void;
  readonly isFiltered: boolean;
} {
  const [search, setSearch] = useSearchParams();
  const text = keys.map((key) => search.get(key) ?? '').join('\u0000');
  const values = useMemo(() => {
    const found: Partial<Record<K, string>> = {};
    text.split('\u0000').forEach((value, i) => {
      const key = keys[i];
      if (key !== undefined && value !== '') found[key] = value;
    });
    return found;
    // `keys` is written in place by each page, and is the same each time.
  }, [text]);
  // The router's own is another one after each change; whoever draws a bar of filters counts on the same one.
  const put = useRef(setSearch);
  useEffect(() => {
    put.current = setSearch;
  });
  const set = useCallback((changes: Readonly<Partial<Record<K, string | null>>>) => {
    put.current(
      (before) => {
        const after = new URLSearchParams(before);
        for (const [key, value] of Object.entries(changes) as [K, string | null][]) {
          if (value === null || value === '') after.delete(key);
          else after.set(key, value);
        }
        return after;
      },
      // At once: as a transition it would wait for frames in between, and whoever types waits with it.
      { replace: true, flushSync: true },
    );
  }, []);
  const clear = useCallback(() => {
    set(Object.fromEntries(keys.map((key) => [key, null])) as Record<K, null>);
  }, [set]);
  return { values, set, clear, isFiltered: Object.keys(values).length > 0 };
}
