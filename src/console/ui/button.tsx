import { LoaderCircle } from 'lucide-react';
import type { ReactNode } from 'react';
import { Button as AriaButton, type ButtonProps as AriaProps } from 'react-aria-components';
import { Link } from 'react-router';

type Kind = 'plain' | 'primary' | 'danger' | 'quiet';
const classOf = (kind: Kind, more = ''): string => `button button-${kind} ${more}`.trim();

interface ButtonProps extends Omit<AriaProps, 'className' | 'children'> {
  readonly kind?: Kind;
  readonly icon?: ReactNode;
  readonly children?: ReactNode;
  /** Under way: it turns, and cannot be pressed again. */
  readonly isBusy?: boolean;
}

/** Does something. What leads somewhere is a `ButtonLink`. */
export const Button = ({
  kind = 'plain',
  icon,
  children,
  isBusy = false,
  ...props
}: ButtonProps): ReactNode => (
  <AriaButton {...props} className={classOf(kind)} isDisabled={isBusy || props.isDisabled === true}>
    {isBusy ? <LoaderCircle className="spin" aria-hidden /> : icon}
    {children}
  </AriaButton>
);

/** The browser's own button, for rows of long tables: they come and go by the dozen while one scrolls. */
export const RowButton = ({
  label,
  icon,
  children,
  onPress,
}: {
  /** What it does and to which row, for who cannot see it. */
  readonly label: string;
  readonly icon?: ReactNode;
  readonly children: ReactNode;
  readonly onPress: () => void;
}): ReactNode => (
  <button type="button" className={classOf('quiet')} aria-label={label} onClick={onPress}>
    {icon}
    {children}
  </button>
);

/** A button of one picture; `label` is what it does, in words. */
export const IconButton = ({
  label,
  children,
  kind = 'quiet',
  ...props
}: Omit<ButtonProps, 'icon'> & { readonly label: string }): ReactNode => (
  <AriaButton {...props} aria-label={label} className={classOf(kind, 'button-icon')}>
    {children}
  </AriaButton>
);

/** A link that looks like a button. */
export const ButtonLink = ({
  to,
  kind = 'plain',
  icon,
  children,
}: {
  readonly to: string;
  readonly kind?: Kind;
  readonly icon?: ReactNode;
  readonly children: ReactNode;
}): ReactNode => (
  <Link to={to} className={classOf(kind)}>
    {icon}
    {children}
  </Link>
);
