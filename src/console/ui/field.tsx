import { Check, ChevronDown, Minus } from 'lucide-react';
import type { ReactNode } from 'react';
import {
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
  const inside = { className: mono === true ? 'input mono' : 'input', placeholder };
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

/** One of a few. `value` null: nothing is chosen yet. */
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
  return (
    <AriaSelect
      validationBehavior="aria"
      className={fieldClass(wide)}
      value={value}
      onChange={(key) => onChange(key as V)}
      placeholder={placeholder}
      isInvalid={error != null}
      isDisabled={isDisabled}
    >
      <Label>{label}</Label>
      <Button className="input select-button">
        <SelectValue className="cut" />
        <ChevronDown aria-hidden />
      </Button>
      <Below hint={hint} error={error} />
      <Popover className="popover">
        <ListBox className="options">
          {choices.map((choice) => (
            <ListBoxItem
              key={choice.value}
              id={choice.value}
              textValue={choice.label}
              className="option"
            >
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
      </Popover>
    </AriaSelect>
  );
}

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
