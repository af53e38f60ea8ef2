import { useState, type SubmitEvent } from 'react';

/** One form that is sent: not twice while it is under way; what `run` throws is shown until the next try. */
export function useStep(): {
  readonly isBusy: boolean;
  readonly error: Error | null;
  readonly take: (run: () => Promise<void>) => (event: SubmitEvent) => void;
} {
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState<Error | null>(null);
  const go = async (run: () => Promise<void>): Promise<void> => {
    setBusy(true);
    setError(null);
    await run().catch((reason: unknown) => setError(reason as Error));
    setBusy(false);
  };
  return {
    isBusy,
    error,
    take: (run) => (event) => {
      event.preventDefault();
      if (!isBusy) void go(run);
    },
  };
}
