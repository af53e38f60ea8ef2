import { useEffect, useState, type ReactNode } from 'react';
import { SearchField, TextField } from '../../ui/index.js';

/** A pause in typing: then the manager is asked. */
const PAUSE_MS = 350;

/** A text that counts once nobody types any more. */
export const LaterField = ({
  label,
  value,
  onChange,
  isSearch = false,
  placeholder,
  type,
}: {
  readonly label: string;
  readonly value: string;
  readonly onChange: (value: string) => void;
  readonly isSearch?: boolean;
  readonly placeholder?: string;
  readonly type?: string;
}): ReactNode => {
  const [typed, setTyped] = useState(value);
  useEffect(() => setTyped(value), [value]);
  useEffect(() => {
    if (typed === value) return undefined;
    const timer = setTimeout(() => onChange(typed.trim()), PAUSE_MS);
    return () => clearTimeout(timer);
    // The pause begins anew with each letter, and with nothing else.
  }, [typed]);
  const more = placeholder === undefined ? {} : { placeholder };
  return isSearch ? (
    <SearchField label={label} value={typed} onChange={setTyped} {...more} />
  ) : (
    <TextField
      label={label}
      value={typed}
      onChange={setTyped}
      maxLength={200}
      {...more}
      {...(type === undefined ? {} : { type })}
    />
  );
};
