/** One field that is not as it was declared. */
export interface Difference {
  readonly field: string;
  readonly from: string | null;
  readonly to: string | null;
}

/** What is to be done about one thing so that it is as declared. */
export interface Step {
  readonly kind: string;
  readonly name: string;
  readonly action: 'create' | 'change' | 'unchanged' | 'delete';
  readonly differences: readonly Difference[];
  /** More that people want to know, such as how many nodes a rollout has. */
  readonly note: string | null;
  /** Does it; idempotent only in that it is not offered again. */
  run(): Promise<void>;
}

const inWords = (value: unknown): string | null => {
  if (value === undefined || value === null) return null;
  return typeof value === 'string' ? value : JSON.stringify(value);
};

/** Fields in which two things differ, as texts; null where one has nothing. */
export function differencesOf(
  before: Readonly<Record<string, unknown>>,
  after: Readonly<Record<string, unknown>>,
): Difference[] {
  const fields = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  return fields.flatMap((field) => {
    const [from, to] = [inWords(before[field]), inWords(after[field])];
    return from === to ? [] : [{ field, from, to }];
  });
}

export const isDone = ({ action }: Step): boolean => action === 'unchanged';
