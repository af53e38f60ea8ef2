import { Plus } from 'lucide-react';
import type { ReactNode } from 'react';
import { Label, RadioButton, RadioField, RadioGroup } from 'react-aria-components';
import { Button, problemAt, Select, TextField } from '../../ui/index.js';
import {
  firstParts,
  partDraft,
  type Drafting,
  type PartDraft,
  type Strategy,
} from './plan-draft.js';
import { PartFields } from './plan-part.js';
import { firstAt } from './plan-scope.js';
import { STRATEGIES } from './reasons.js';
import { TermFields } from './plan-terms.js';

type Groups = readonly { readonly id: string; readonly name: string }[];

/** How it goes: a preset, what it takes, and the terms that all have in common. */
export const PlanFields = (props: Drafting & { readonly groups: Groups }): ReactNode => {
  const { draft, change } = props;
  const choose = (strategy: Strategy): void => {
    const hasParts = strategy === 'scheduled' || strategy === 'custom';
    change({ strategy, parts: hasParts ? firstParts(strategy) : [] });
  };
  return (
    <div className="stack">
      <RadioGroup
        value={draft.strategy}
        onChange={(key) => choose(key as Strategy)}
        className="field"
      >
        <Label className="field-label">Strategy</Label>
        <div className="presets">
          {STRATEGIES.map(({ value, label, hint }) => (
            <RadioField key={value} value={value}>
              <RadioButton className="preset">
                <span className="check-box check-round" aria-hidden />
                <span>
                  <strong>{label}</strong>
                  <br />
                  <span className="field-hint">{hint}</span>
                </span>
              </RadioButton>
            </RadioField>
          ))}
        </div>
      </RadioGroup>
      <OfStrategy {...props} />
      <TermFields {...props} />
    </div>
  );
};

const OfStrategy = (props: Drafting & { readonly groups: Groups }): ReactNode => {
  const { draft, change, error } = props;
  switch (draft.strategy) {
    case 'staged':
      return (
        <div className="fields">
          <TextField
            label="Waves"
            hint="shares of all nodes in percent, rising, up to 100"
            value={draft.percents}
            onChange={(percents) => change({ percents })}
            error={problemAt(error, 'wave_percents') ?? firstAt(error, 'wave_percents.')}
          />
        </div>
      );
    case 'rolling':
      return (
        <div className="fields">
          <TextField
            label="Each step, in percent"
            value={draft.step}
            onChange={(step) => change({ step })}
            inputMode="decimal"
            error={problemAt(error, 'step_percent')}
          />
        </div>
      );
    case 'canary':
      return (
        <div className="fields">
          <TextField
            label="Canaries, in percent"
            hint="they cover every system, site and version before any twice"
            value={draft.canary}
            onChange={(canary) => change({ canary })}
            inputMode="decimal"
            error={problemAt(error, 'canary_percent')}
          />
        </div>
      );
    case 'immediate':
      return null;
    case 'scheduled':
    case 'custom':
      return <Parts {...props} />;
  }
};

const Parts = ({
  draft,
  change,
  error,
  groups,
  isStored = false,
}: Drafting & { readonly groups: Groups }): ReactNode => {
  const isScheduled = draft.strategy === 'scheduled';
  const one = isScheduled ? 'ring' : 'wave';
  const set = (key: number, part: Partial<PartDraft>): void =>
    change({ parts: draft.parts.map((old) => (old.key === key ? { ...old, ...part } : old)) });
  return (
    <div className="stack">
      {draft.parts.map((part, index) => (
        <PartFields
          key={part.key}
          part={part}
          title={`${isScheduled ? 'Ring' : 'Wave'} ${index + 1}`}
          path={`${one}s.${index}`}
          isRing={isScheduled}
          error={error}
          groups={groups}
          change={(next) => set(part.key, next)}
          {...(draft.parts.length === 1
            ? {}
            : {
                remove: () => change({ parts: draft.parts.filter(({ key }) => key !== part.key) }),
              })}
        />
      ))}
      <div className="row row-wrap">
        <Button
          icon={<Plus aria-hidden />}
          onPress={() => change({ parts: [...draft.parts, partDraft()] })}
        >
          Add a {one}
        </Button>
        {problemAt(error, `${one}s`) === null ? null : (
          <span className="field-error">{problemAt(error, `${one}s`)}</span>
        )}
      </div>
      {isScheduled ? (
        <div className="fields">
          <Select
            label="Order"
            value={draft.order}
            onChange={(order) => change({ order })}
            choices={[
              { value: 'sequential', label: 'One after the other' },
              { value: 'independent', label: 'Each by its own window only' },
            ]}
            error={problemAt(error, 'order')}
          />
          <TextField
            label="A ring is done at, in percent"
            value={draft.donePercent}
            onChange={(donePercent) => change({ donePercent })}
            inputMode="decimal"
            error={problemAt(error, 'done_percent')}
          />
          {isStored ? null : (
            <TextField
              label="Start version"
              hint="what nodes that come later run until their ring opens; may be left out"
              value={draft.startVersion}
              onChange={(startVersion) => change({ startVersion })}
              error={problemAt(error, 'start_version')}
            />
          )}
        </div>
      ) : null}
    </div>
  );
};
