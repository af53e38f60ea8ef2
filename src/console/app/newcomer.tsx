import type { ReactNode } from 'react';
import { problemAt, TextField } from '../ui/index.js';

/** Put in by the build, from the rules of the manager. */
declare const __PASSWORD_LENGTH_MIN__: number;

export interface NewPerson {
  readonly name: string;
  readonly login: string;
  readonly password: string;
}
export const NOBODY: NewPerson = { name: '', login: '', password: '' };

/** Who somebody new is, and what he will sign in with. */
export const NewcomerFields = ({
  person,
  onChange,
  error,
  isFirst = true,
}: {
  readonly person: NewPerson;
  readonly onChange: (person: NewPerson) => void;
  readonly error: Error | null;
  /** Whether the first field is what one types first. */
  readonly isFirst?: boolean;
}): ReactNode => (
  <>
    <TextField
      label="Your name"
      hint="As others see it"
      value={person.name}
      onChange={(name) => onChange({ ...person, name })}
      error={problemAt(error, 'body.name')}
      autoComplete="name"
      maxLength={128}
      autoFocus={isFirst}
      isRequired
    />
    <TextField
      label="Login"
      hint="Letters, digits, dots and dashes; you sign in with it"
      value={person.login}
      onChange={(login) => onChange({ ...person, login })}
      error={problemAt(error, 'body.login')}
      autoComplete="username"
      isRequired
    />
    <TextField
      label="Password"
      type="password"
      hint={`${__PASSWORD_LENGTH_MIN__} characters or more; several words are easy to keep in mind`}
      value={person.password}
      onChange={(password) => onChange({ ...person, password })}
      error={problemAt(error, 'body.password')}
      autoComplete="new-password"
      isRequired
    />
  </>
);
