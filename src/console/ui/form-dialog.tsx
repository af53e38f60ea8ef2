import type { ReactNode } from 'react';
import { Button } from './button.js';
import { Copy } from './copy.js';
import { Dialog } from './dialog.js';
import { Note } from './page.js';
import { Problem } from './problem.js';

/**
 * A window with a form: its refusal below, one button that sends it once. It stays open until `onClose`;
 * whoever is done closes it.
 */
export const FormDialog = ({
  title,
  verb,
  icon,
  wide = false,
  isReady = true,
  isBusy,
  error,
  onSubmit,
  onClose,
  children,
}: {
  readonly title: string;
  readonly verb: string;
  /** Of the button with the verb. */
  readonly icon?: ReactNode;
  readonly wide?: boolean;
  /** False while what is filled in cannot be sent. */
  readonly isReady?: boolean;
  readonly isBusy: boolean;
  readonly error: Error | null;
  /** May throw what was refused: it is shown from `error`. */
  readonly onSubmit: () => Promise<void>;
  readonly onClose: () => void;
  readonly children: ReactNode;
}): ReactNode => (
  <Dialog title={title} isOpen wide={wide} onClose={onClose} isBusy={isBusy}>
    <form
      className="stack"
      onSubmit={(event) => {
        event.preventDefault();
        if (isReady && !isBusy) onSubmit().catch(() => undefined);
      }}
    >
      {children}
      {error === null ? null : <Problem error={error} />}
      <div className="row row-end row-wrap">
        <Button onPress={onClose} isDisabled={isBusy}>
          Go back
        </Button>
        <Button type="submit" kind="primary" icon={icon} isBusy={isBusy} isDisabled={!isReady}>
          {verb}
        </Button>
      </div>
    </form>
  </Dialog>
);

/** What is shown once: to be taken along before the window is closed. */
export const ShownOnce = ({
  title,
  text,
  label,
  note = 'It is shown once, here. It cannot be looked up afterwards.',
  children,
  onClose,
}: {
  readonly title: string;
  /** Null: there is nothing to take along, only something to know. */
  readonly text: string | null;
  readonly label: string;
  readonly note?: string;
  readonly children: ReactNode;
  readonly onClose: () => void;
}): ReactNode => (
  <Dialog title={title} isOpen onClose={onClose}>
    <p>{children}</p>
    {text === null ? null : <Copy text={text} label={label} />}
    <Note tone="warn">{note}</Note>
    <div className="row row-end">
      <Button kind="primary" onPress={onClose}>
        I have it
      </Button>
    </div>
  </Dialog>
);
