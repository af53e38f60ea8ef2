import type { ReactNode } from 'react';

/** Data as it is, with one name a line. */
export const JsonText = ({
  label,
  value,
}: {
  readonly label: string;
  readonly value: unknown;
}): ReactNode => (
  <pre className="json-text" tabIndex={0} role="region" aria-label={label}>
    {JSON.stringify(value, null, 2)}
  </pre>
);
