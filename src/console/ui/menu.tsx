import type { ReactNode } from 'react';
import { Menu as AriaMenu, MenuItem, MenuTrigger, Popover, type Key } from 'react-aria-components';

export interface MenuChoice {
  readonly id: string;
  readonly label: ReactNode;
  readonly icon?: ReactNode;
  readonly danger?: boolean;
  readonly run: () => void;
}

/** A button (the first child) that opens a list of things to do. */
export const Menu = ({
  children,
  choices,
  label,
}: {
  readonly children: ReactNode;
  readonly choices: readonly MenuChoice[];
  readonly label: string;
}): ReactNode => (
  <MenuTrigger>
    {children}
    <Popover className="popover" placement="bottom end">
      <AriaMenu
        className="options"
        aria-label={label}
        onAction={(key: Key) => choices.find(({ id }) => id === key)?.run()}
      >
        {choices.map(({ id, label: text, icon, danger }) => (
          <MenuItem
            key={id}
            id={id}
            className={danger === true ? 'option option-danger' : 'option'}
          >
            {icon}
            {text}
          </MenuItem>
        ))}
      </AriaMenu>
    </Popover>
  </MenuTrigger>
);
