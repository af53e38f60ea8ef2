import { useState } from 'react';

/** What was typed into a form of texts. */
export function useTexts<const K extends string>(initial: Readonly<Record<K, string>>) {
  const [texts, setTexts] = useState(initial);
  return {
    texts,
    /** For `onChange` of the field with this name. */
    set: (key: K) => (value: string) => setTexts((before) => ({ ...before, [key]: value })),
  };
}

/** Whole days as the manager wants them; empty: for good. What is no number is refused there. */
export const daysOf = (text: string): number | null => (text.trim() === '' ? null : Number(text));
