import { Check, ChevronDown, Minus } from 'lucide-react';
import { useState, type ReactNode } from 'react';
import {
  Autocomplete,
  Button,
  CheckboxButton,
  CheckboxField,
  FieldError,
  Input,
  Label,
  ListBox,
  ListBoxItem,
  Popover,
  RadioButton,
  RadioField,
  RadioGroup,
  SearchField as AriaSearchField,
  Select as AriaSelect,
  SelectValue,
  SwitchButton,
  SwitchField,
  Text,
  TextArea as AriaTextArea,
  TextField as AriaTextField,
  type TextFieldProps as AriaTextFieldProps,
} from 'react-aria-components';

interface Described {
  readonly label: string;
  readonly hint?: ReactNode;
  /** Why what is there cannot be taken; null while it can. */
  readonly error?: string | null | undefined;
  readonly wide?: boolean;
}
const fieldClass = (wide: boolean | undefined): string =>
  wide === true ? 'field field-wide' : 'field';

const Below = ({ hint, error }: Pick<Described, 'hint' | 'error'>): ReactNode => (
  <>
    {hint === undefined ? null : (
      <Text slot="description" className="field-hint">
        {hint}
      </Text>
    )}
    {error == null ? null : <FieldError className="field-error">{error}</FieldError>}
  </>
);

type TextFieldProps = Described &
  Pick<
    AriaTextFieldProps,
    | 'value'
    | 'onChange'
    | 'type'
    | 'autoComplete'
    | 'autoFocus'
    | 'isRequired'
    | 'isDisabled'
    | 'maxLength'
    | 'inputMode'
    | 'name'
  > & {
    readonly placeholder?: string;
    /** So many lines; one by default. */
    readonly rows?: number;
    readonly mono?: boolean;
  };

/** Text, of one line or several; also for dates and times, by `type`. */
export const TextField = (props: TextFieldProps): ReactNode => {
  const { label, hint, error, wide, placeholder, rows, mono, ...rest } = props;
  const inside = {
    className: mono === true ? 'input mono' : 'input',
    placeholder,
    // Refusals of the manager never hold a form back; what is empty and must not be does, at once.
    required: rest.isRequired === true,
  };
  return (
    <AriaTextField
      {...rest}
      validationBehavior="aria"
      isInvalid={error != null}
      className={fieldClass(wide)}
    >
      <Label>{label}</Label>
      {rows === undefined ? <Input {...inside} /> : <AriaTextArea {...inside} rows={rows} />}
      <Below hint={hint} error={error} />
    </AriaTextField>
  );
};

/** Where to look for something by name. Its label is for who cannot see it. */
export const SearchField = ({
  label,
  value,
  onChange,
  placeholder = label,
}: {
  readonly label: string;
  readonly value: string;
  readonly onChange: (value: string) => void;
  readonly placeholder?: string;
}): ReactNode => (
  <AriaSearchField
    aria-label={label}
    value={value}
    onChange={onChange}
    className="field field-wide"
  >
    <Input className="input input-search" placeholder={placeholder} />
  </AriaSearchField>
);

export interface Choice<V extends string = string> {
  readonly value: V;
  readonly label: string;
  readonly hint?: string;
}

/** Among more than these one is found by typing; of any number so many are drawn. */
const SEARCHED_FROM = 40;
const SHOWN_MAX = 100;

/** One of some, or of thousands. `value` null: nothing is chosen yet. */
export function Select<V extends string>({
  label,
  hint,
  error,
  wide,
  value,
  onChange,
  choices,
  placeholder = 'Any',
  isDisabled = false,
}: Described & {
  readonly value: V | null;
  readonly onChange: (value: V) => void;
  readonly choices: readonly Choice<V>[];
  readonly placeholder?: string;
  readonly isDisabled?: boolean;
}): ReactNode {
  const [text, setText] = useState('');
  const chosen = choices.find((one) => one.value === value);
  const isLong = choices.length > SEARCHED_FROM;
  const wanted = text.trim().toLocaleLowerCase();
  const fitting =
    isLong && wanted !== ''
      ? choices.filter((one) => one.label.toLocaleLowerCase().includes(wanted))
      : choices;
  const shown = isLong ? fitting.slice(0, SHOWN_MAX) : choices;
  return (
    <AriaSelect
      validationBehavior="aria"
      className={fieldClass(wide)}
      value={value}
      onChange={(key) => onChange(key as V)}
      placeholder={placeholder}
      isInvalid={error != null}
      isDisabled={isDisabled}
      onOpenChange={() => setText('')}
    >
      <Label>{label}</Label>
      <Button className="input select-button">
        <SelectValue className="cut">{() => chosen?.label.trim() ?? placeholder}</SelectValue>
        <ChevronDown aria-hidden />
      </Button>
      <Below hint={hint} error={error} />
      <Popover className="popover">
        {isLong ? (
          <Autocomplete inputValue={text} onInputChange={setText}>
            <AriaSearchField aria-label={`Search: ${label}`} className="field" autoFocus>
              <Input className="input input-search" placeholder="Type to find" />
            </AriaSearchField>
            <Options choices={shown} />
            {shown.length < fitting.length ? (
              <p className="field-hint options-more">
                {shown.length} of {fitting.length.toLocaleString('en')} are shown; type more of the
                name.
              </p>
            ) : null}
          </Autocomplete>
        ) : (
          <Options choices={choices} />
        )}
      </Popover>
    </AriaSelect>
  );
}

const Options = <V extends string>({
  choices,
}: {
  readonly choices: readonly Choice<V>[];
}): ReactNode => (
  <ListBox
    className="options"
    renderEmptyState={() => <span className="field-hint">Nothing has this in its name.</span>}
  >
    {choices.map((choice) => (
      <ListBoxItem key={choice.value} id={choice.value} textValue={choice.label} className="option">
        <span className="grow">
          <Text slot="label" className="cut">
            {choice.label}
          </Text>
          {choice.hint === undefined ? null : (
            <Text slot="description" className="field-hint">
              <br />
              {choice.hint}
            </Text>
          )}
        </span>
      </ListBoxItem>
    ))}
  </ListBox>
);

export const Checkbox = ({
  children,
  isSelected,
  isIndeterminate = false,
  onChange,
  isDisabled = false,
  label,
}: {
  readonly children?: ReactNode;
  readonly isSelected: boolean;
  readonly isIndeterminate?: boolean;
  readonly onChange: (isSelected: boolean) => void;
  readonly isDisabled?: boolean;
  /** In place of children, for who cannot see what it belongs to. */
  readonly label?: string;
}): ReactNode => (
  <CheckboxField
    isSelected={isSelected}
    isIndeterminate={isIndeterminate}
    onChange={onChange}
    isDisabled={isDisabled}
    {...(label === undefined ? {} : { 'aria-label': label })}
  >
    <CheckboxButton className="check">
      <span className="check-box" aria-hidden>
        {isIndeterminate ? (
          <Minus size={13} />
        ) : isSelected ? (
          <Check size={13} strokeWidth={3} />
        ) : null}
      </span>
      {children === undefined ? null : <span>{children}</span>}
    </CheckboxButton>
  </CheckboxField>
);

export const Switch = ({
  children,
  isSelected,
  onChange,
  isDisabled = false,
}: {
  readonly children: ReactNode;
  readonly isSelected: boolean;
  readonly onChange: (isSelected: boolean) => void;
  readonly isDisabled?: boolean;
}): ReactNode => (
  <SwitchField isSelected={isSelected} onChange={onChange} isDisabled={isDisabled}>
    <SwitchButton className="check">
      <span className="switch-track" aria-hidden />
      <span>{children}</span>
    </SwitchButton>
  </SwitchField>
);

/** One of a few, all of them in view. */
export function Choices<V extends string>({
  label,
  hint,
  value,
  onChange,
  choices,
}: Described & {
  readonly value: V;
  readonly onChange: (value: V) => void;
  readonly choices: readonly Choice<V>[];
}): ReactNode {
  return (
    <RadioGroup className="field" value={value} onChange={(key) => onChange(key as V)}>
      <Label className="field-label">{label}</Label>
      {hint === undefined ? null : (
        <Text slot="description" className="field-hint">
          {hint}
        </Text>
      )}
      {choices.map((choice) => (
        <RadioField key={choice.value} value={choice.value}>
          <RadioButton className="check">
            <span className="check-box check-round" aria-hidden />
            <span>
              {choice.label}
              {choice.hint === undefined ? null : (
                <span className="field-hint">
                  <br />
                  {choice.hint}
                </span>
              )}
            </span>
          </RadioButton>
        </RadioField>
      ))}
    </RadioGroup>
  );
}
