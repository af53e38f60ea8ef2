import type { ReactNode } from 'react';
import { Button, Copy, Dialog, Note, Problem } from '../../ui/index.js';

/** A window with a form: its refusal below, one button that sends it once. */
export const FormDialog = ({
  title,
  verb,
  isBusy,
  error,
  onSubmit,
  onClose,
  children,
}: {
  readonly title: string;
  readonly verb: string;
  readonly isBusy: boolean;
  readonly error: Error | null;
  readonly onSubmit: () => Promise<void>;
  readonly onClose: () => void;
  readonly children: ReactNode;
}): ReactNode => (
  <Dialog title={title} isOpen onClose={onClose} isBusy={isBusy}>
    <form
      className="stack"
      // What the manager refused may be sent again: the browser would hold the form back for it.
      noValidate={error !== null}
      onSubmit={(event) => {
        event.preventDefault();
        // What was refused is shown below, from `error`.
        onSubmit().catch(() => undefined);
      }}
    >
      {children}
      {error === null ? null : <Problem error={error} />}
      <div className="row row-end row-wrap">
        <Button onPress={onClose} isDisabled={isBusy}>
          Go back
        </Button>
        <Button type="submit" kind="primary" isBusy={isBusy}>
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
  children,
  onClose,
}: {
  readonly title: string;
  readonly text: string;
  readonly label: string;
  readonly children: ReactNode;
  readonly onClose: () => void;
}): ReactNode => (
  <Dialog title={title} isOpen onClose={onClose}>
    <p>{children}</p>
    <Copy text={text} label={label} />
    <Note tone="warn">It is shown once, here. It cannot be looked up afterwards.</Note>
    <div className="row row-end">
      <Button kind="primary" onPress={onClose}>
        I have it
      </Button>
    </div>
  </Dialog>
);
