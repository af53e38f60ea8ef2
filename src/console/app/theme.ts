import { useSyncExternalStore } from 'react';

export type Theme = 'system' | 'light' | 'dark';
const KEY = 'bellwether-theme';
const listeners = new Set<() => void>();

const read = (): Theme => {
  const kept = localStorage.getItem(KEY);
  return kept === 'light' || kept === 'dark' ? kept : 'system';
};

/** Shows the kept choice; before anything is drawn. */
export function applyTheme(): void {
  const theme = read();
  document.documentElement.style.colorScheme = theme === 'system' ? 'light dark' : theme;
}

export function setTheme(theme: Theme): void {
  localStorage.setItem(KEY, theme);
  applyTheme();
  for (const tell of listeners) tell();
}

export const useTheme = (): Theme =>
  useSyncExternalStore((tell) => {
    listeners.add(tell);
    return () => void listeners.delete(tell);
  }, read);
