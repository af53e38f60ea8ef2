import type { ReactNode } from 'react';
import { Focusable, Tooltip, TooltipTrigger } from 'react-aria-components';

/** Words about something, for who points at it or comes to it by keyboard. */
export const Tip = ({
  text,
  children,
}: {
  readonly text: ReactNode;
  readonly children: ReactNode;
}): ReactNode => (
  <TooltipTrigger delay={250} closeDelay={80}>
    <Focusable>
      <span tabIndex={0} role="note" className="row" style={{ display: 'inline-flex' }}>
        {children}
      </span>
    </Focusable>
    <Tooltip className="tip" offset={6}>
      {text}
    </Tooltip>
  </TooltipTrigger>
);
