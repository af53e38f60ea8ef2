import { X } from 'lucide-react';
import { useSyncExternalStore, type ReactNode } from 'react';
import { ApiProblem } from '../../client/index.js';
import { IconButton } from './button.js';

interface Notice {
  readonly id: number;
  readonly text: string;
  readonly isBad: boolean;
}

/** Good news goes by itself; bad news stays until it was read. */
const SHOWN_MS = 6_000;
const NOTICES_MAX = 4;

let notices: readonly Notice[] = [];
let nextId = 1;
const listeners = new Set<() => void>();
const change = (next: readonly Notice[]): void => {
  notices = next.slice(-NOTICES_MAX);
  for (const tell of listeners) tell();
};
const dismiss = (id: number): void => change(notices.filter((one) => one.id !== id));

/** Says that something was done. */
export function say(text: string): void {
  const id = nextId++;
  change([...notices, { id, text, isBad: false }]);
  setTimeout(() => dismiss(id), SHOWN_MS);
}

/** Says what was refused, with what to do. */
export function sayProblem(error: unknown): void {
  const text =
    error instanceof ApiProblem
      ? `${error.problem.detail}. ${error.problem.fix}`
      : (error as Error).message;
  change([...notices, { id: nextId++, text, isBad: true }]);
}

export const Notices = (): ReactNode => {
  const shown = useSyncExternalStore(
    (tell) => {
      listeners.add(tell);
      return () => void listeners.delete(tell);
    },
    () => notices,
  );
  return (
    <div className="notices" role="status" aria-live="polite">
      {shown.map(({ id, text, isBad }) => (
        <div key={id} className={isBad ? 'notice notice-bad' : 'notice'}>
          <span className="grow">{text}</span>
          <IconButton label="Dismiss" onPress={() => dismiss(id)}>
            <X aria-hidden />
          </IconButton>
        </div>
      ))}
    </div>
  );
};
