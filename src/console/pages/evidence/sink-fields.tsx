import { useState, type ReactNode } from 'react';
import { EVENT_CATEGORIES } from '../../../protocol/index.js';
import { Button, Checkbox, problemAt, Select, Switch, TextField, words } from '../../ui/index.js';
import type { FieldValues, Sink, SinkField } from './sink-kinds.js';

/** Settings or credentials of a kind; rare ones when asked for, or when one of them was refused. */
export const SinkFields = ({
  part,
  fields,
  values,
  onChange,
  error,
}: {
  readonly part: 'config' | 'credentials';
  readonly fields: readonly SinkField[];
  readonly values: FieldValues;
  readonly onChange: (values: FieldValues) => void;
  readonly error: Error | null;
}): ReactNode => {
  const [isOpen, setOpen] = useState(false);
  const refused = (key: string): string | null => problemAt(error, `body.${part}.${key}`);
  const hasRare = fields.some(({ isRare }) => isRare === true);
  const isAll =
    isOpen || fields.some(({ key, isRare }) => isRare === true && refused(key) !== null);
  return (
    <>
      <div className="form-grid">
        {fields
          .filter(({ isRare }) => isAll || isRare !== true)
          .map((field) => (
            <div
              key={field.key}
              className={field.key === 'url' || field.kind.endsWith('lines') ? 'whole' : ''}
            >
              <OneField
                field={field}
                value={values[field.key] ?? ''}
                onChange={(value) => onChange({ ...values, [field.key]: value })}
                error={refused(field.key)}
              />
            </div>
          ))}
      </div>
      {hasRare && !isAll ? (
        <div className="row">
          <Button kind="quiet" onPress={() => setOpen(true)}>
            {part === 'config' ? 'More settings' : 'More credentials'}
          </Button>
        </div>
      ) : null}
    </>
  );
};

const OneField = ({
  field,
  value,
  onChange,
  error,
}: {
  readonly field: SinkField;
  readonly value: string | boolean;
  readonly onChange: (value: string | boolean) => void;
  readonly error: string | null;
}): ReactNode => {
  const { label, hint, kind, choices = [], isRequired = false, placeholder } = field;
  const text = String(value);
  if (kind === 'switch')
    return (
      <Switch isSelected={value === true} onChange={onChange}>
        {label}
      </Switch>
    );
  const described = { label, error, ...(hint === undefined ? {} : { hint }) };
  if (kind === 'choice')
    return (
      <Select
        {...described}
        value={text}
        onChange={onChange}
        choices={choices.map((choice) => ({ value: choice, label: choice }))}
      />
    );
  return (
    <TextField
      {...described}
      value={text}
      onChange={onChange}
      isRequired={isRequired}
      {...(placeholder === undefined ? {} : { placeholder })}
      {...(kind.endsWith('lines') ? { rows: 4, mono: true } : {})}
      {...(kind === 'number' ? { inputMode: 'numeric' as const } : {})}
      {...(kind === 'secret' ? { type: 'password', autoComplete: 'off' } : {})}
    />
  );
};

export type SinkFilter = Sink['filter'];
export const NO_FILTER: SinkFilter = {
  categories: null,
  types: null,
  error_codes: null,
  min_severity: null,
  groups: null,
};

const listOf = (text: string): string[] | null => {
  const list = text.split(/[\s,]+/).filter((word) => word !== '');
  return list.length === 0 ? null : list;
};

/** Which events are delivered; nothing chosen: all that the sink may see. */
export const SinkFilterFields = ({
  value,
  onChange,
  error,
}: {
  readonly value: SinkFilter;
  readonly onChange: (value: SinkFilter) => void;
  readonly error: Error | null;
}): ReactNode => {
  const [types, setTypes] = useState(value.types?.join(', ') ?? '');
  const [codes, setCodes] = useState(value.error_codes?.join(', ') ?? '');
  const categories = value.categories ?? [];
  const toggle = (category: string, isIn: boolean): void => {
    const next = isIn ? [...categories, category] : categories.filter((one) => one !== category);
    onChange({ ...value, categories: next.length === 0 ? null : next });
  };
  return (
    <div className="stack">
      <div className="field" role="group" aria-labelledby="sink-categories">
        <span className="field-label" id="sink-categories">
          Categories
        </span>
        <div className="row row-wrap" style={{ gap: '6px 18px' }}>
          {EVENT_CATEGORIES.map((category) => (
            <Checkbox
              key={category}
              isSelected={categories.includes(category)}
              onChange={(isIn) => toggle(category, isIn)}
            >
              {category}
            </Checkbox>
          ))}
        </div>
        <span className="field-hint">None ticked: all of them.</span>
      </div>
      <div className="form-grid">
        <Select
          label="Severity"
          value={value.min_severity ?? 'info'}
          onChange={(severity: 'info' | 'warning' | 'critical') =>
            onChange({ ...value, min_severity: severity === 'info' ? null : severity })
          }
          choices={[
            { value: 'info', label: 'Any' },
            { value: 'warning', label: 'Warning and graver' },
            { value: 'critical', label: 'Critical only' },
          ]}
        />
        <TextField
          label="Types"
          hint="With commas between; empty: all."
          placeholder="rollout_paused, upgrade_rolled_back"
          value={types}
          onChange={(text) => {
            setTypes(text);
            onChange({ ...value, types: listOf(text) });
          }}
          error={problemAt(error, 'body.filter.types')}
        />
        <TextField
          label="Error codes"
          hint="With commas between; empty: all."
          value={codes}
          onChange={(text) => {
            setCodes(text);
            onChange({ ...value, error_codes: listOf(text) });
          }}
          error={problemAt(error, 'body.filter.error_codes')}
        />
      </div>
    </div>
  );
};

/** The filter in one sentence. */
export function filterInWords({
  categories,
  types,
  error_codes,
  min_severity,
  groups,
}: SinkFilter): string {
  const parts = [
    categories === null ? '' : `categories ${categories.join(', ')}`,
    types === null ? '' : `types ${types.map(words).join(', ')}`,
    error_codes === null ? '' : `error codes ${error_codes.join(', ')}`,
    min_severity === null ? '' : `${min_severity} and graver`,
    groups === null ? '' : `${groups.length} chosen ${groups.length === 1 ? 'group' : 'groups'}`,
  ].filter((part) => part !== '');
  return parts.length === 0 ? 'everything that it may see' : parts.join('; ');
}
