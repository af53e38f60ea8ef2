import type { ReactNode } from 'react';
import { exactly } from '../../ui/index.js';

const clock = new Intl.DateTimeFormat('en-GB', {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  fractionalSecondDigits: 3,
});
const day = new Intl.DateTimeFormat('en', { month: 'short', day: 'numeric' });

/** A moment in a log: to the millisecond, in the zone of the reader; the whole of it on hover. */
export const Stamp = ({ at }: { readonly at: string }): ReactNode => {
  const date = new Date(at);
  return (
    <time dateTime={at} title={exactly(at)} className="mono nowrap">
      <span className="soft">{day.format(date)}</span> {clock.format(date)}
    </time>
  );
};
