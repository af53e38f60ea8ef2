import { X } from 'lucide-react';
import { useState, type ReactNode } from 'react';
import { Dialog as AriaDialog, Heading, Modal, ModalOverlay } from 'react-aria-components';
import { Button, IconButton } from './button.js';
import { Checkbox, TextField } from './field.js';
import { Problem } from './problem.js';

/** A window above the page. Escape and a press beside it close it, unless something is under way. */
export const Dialog = ({
  title,
  isOpen,
  onClose,
  isBusy = false,
  wide = false,
  children,
}: {
  readonly title: string;
  readonly isOpen: boolean;
  readonly onClose: () => void;
  readonly isBusy?: boolean;
  readonly wide?: boolean;
  readonly children: ReactNode;
}): ReactNode => (
  <ModalOverlay
    className="veil"
    isOpen={isOpen}
    onOpenChange={(open) => {
      if (!open) onClose();
    }}
    isDismissable={!isBusy}
    isKeyboardDismissDisabled={isBusy}
  >
    <Modal className={wide ? 'dialog-box dialog-wide' : 'dialog-box'}>
      <AriaDialog className="dialog">
        <div className="row row-between">
          <Heading slot="title" level={2} className="wrap-anywhere">
            {title}
          </Heading>
          <IconButton label="Close" onPress={onClose} isDisabled={isBusy}>
            <X aria-hidden />
          </IconButton>
        </div>
        {children}
      </AriaDialog>
    </Modal>
  </ModalOverlay>
);

interface Consequence {
  readonly title: string;
  /** What will happen, in words: one line each. */
  readonly consequences: readonly ReactNode[];
  /** On the button, such as `Cancel rollout`. */
  readonly verb: string;
  readonly danger?: boolean;
  /** What cannot be taken back is confirmed by a tick, or by typing this word. */
  readonly tick?: string;
  readonly word?: string;
  /** Throws when it was refused; the reason is shown, and the window stays. */
  readonly run: () => Promise<unknown>;
  readonly onClose: () => void;
}

/** Asks before something is done: the more it does, the more it asks. */
export const Confirm = (props: Consequence): ReactNode => {
  const { title, consequences, verb, danger = false, tick, word, run, onClose } = props;
  const [isTicked, setTicked] = useState(tick === undefined);
  const [typed, setTyped] = useState('');
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState<Error | null>(null);
  const isSure = isTicked && (word === undefined || typed.trim() === word);
  const confirm = async (): Promise<void> => {
    setBusy(true);
    setError(null);
    try {
      await run();
      onClose();
    } catch (reason) {
      setError(reason as Error);
      setBusy(false);
    }
  };
  return (
    <Dialog title={title} isOpen onClose={onClose} isBusy={isBusy}>
      <ul className="stack-tight">
        {consequences.map((line, i) => (
          <li key={i}>{line}</li>
        ))}
      </ul>
      {tick === undefined ? null : (
        <Checkbox isSelected={isTicked} onChange={setTicked}>
          {tick}
        </Checkbox>
      )}
      {word === undefined ? null : (
        <TextField label={`Type ${word} to go on`} value={typed} onChange={setTyped} mono />
      )}
      {error === null ? null : <Problem error={error} />}
      <div className="row row-end row-wrap">
        <Button onPress={onClose} isDisabled={isBusy}>
          Go back
        </Button>
        <Button
          kind={danger ? 'danger' : 'primary'}
          isBusy={isBusy}
          isDisabled={!isSure}
          onPress={() => void confirm()}
        >
          {verb}
        </Button>
      </div>
    </Dialog>
  );
};
