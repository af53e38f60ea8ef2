import { Check, Copy as CopyIcon } from 'lucide-react';
import { useRef, useState, type ReactNode } from 'react';
import { IconButton } from './button.js';

const SHOWN_MS = 2_000;

/** A line to take elsewhere. Where there is no clipboard (no TLS) it is selected, ready to be copied. */
export const Copy = ({
  text,
  label,
}: {
  readonly text: string;
  readonly label: string;
}): ReactNode => {
  const [isCopied, setCopied] = useState(false);
  const line = useRef<HTMLElement>(null);
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      if (line.current !== null) getSelection()?.selectAllChildren(line.current);
      return;
    }
    setCopied(true);
    setTimeout(() => setCopied(false), SHOWN_MS);
  };
  return (
    <div className="copy">
      <code ref={line}>{text}</code>
      <IconButton label={isCopied ? 'Copied' : `Copy ${label}`} onPress={() => void copy()}>
        {isCopied ? <Check aria-hidden /> : <CopyIcon aria-hidden />}
      </IconButton>
    </div>
  );
};
