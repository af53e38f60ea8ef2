import { CircleCheck, CircleDashed, CircleX, LoaderCircle, ShieldCheck } from 'lucide-react';
import { useEffect, useRef, useState, type ReactNode } from 'react';
import { Button, count, Note, words } from '../../ui/index.js';
import { checkLog, forgetKept, type AuditEntry, type CheckStep } from './audit-check.js';

export type Verdict = 'none' | 'running' | 'good' | 'bad';

/** Runs one check at a time; leaving the page ends it. */
export function useLogCheck(): {
  readonly steps: readonly CheckStep[];
  readonly verdict: Verdict;
  readonly run: (entries: readonly AuditEntry[], whole: boolean) => void;
} {
  const [steps, setSteps] = useState<readonly CheckStep[]>([]);
  const [verdict, setVerdict] = useState<Verdict>('none');
  const ended = useRef<AbortController | null>(null);
  useEffect(() => () => ended.current?.abort(), []);
  const run = (entries: readonly AuditEntry[], whole: boolean): void => {
    if (verdict === 'running') return;
    const controller = new AbortController();
    ended.current = controller;
    setVerdict('running');
    checkLog({ entries, whole, signal: controller.signal, tell: setSteps })
      .then((holds) => setVerdict(holds ? 'good' : 'bad'))
      // Only when the page was left.
      .catch(() => undefined);
  };
  return { steps, verdict, run };
}

const ICONS = {
  waiting: CircleDashed,
  running: LoaderCircle,
  good: CircleCheck,
  bad: CircleX,
  skipped: CircleDashed,
} as const;

/** What is being checked, what was found, and what it means. */
export const CheckSteps = ({
  steps,
  verdict,
}: {
  readonly steps: readonly CheckStep[];
  readonly verdict: Verdict;
}): ReactNode => (
  <div className="stack" aria-live="polite">
    <ol className="steps" aria-label="Steps of the check">
      {steps.map(({ title, state, words: found, progress }) => {
        const Icon = ICONS[state];
        return (
          <li key={title} className={`step step-${state}`}>
            <Icon aria-hidden className={state === 'running' ? 'spin' : ''} />
            <div className="stack-tight">
              <strong>
                {title} <span className="unseen">{words(state)}</span>
              </strong>
              {progress !== null && state === 'running' ? (
                <span className="soft figures">
                  {count(progress.done)} of {count(progress.of)}
                </span>
              ) : null}
              {found === '' ? null : <span className="soft wrap-anywhere">{found}</span>}
            </div>
          </li>
        );
      })}
    </ol>
    {verdict === 'good' ? (
      <Note icon={<ShieldCheck aria-hidden />}>
        <strong>Everything that was checked holds.</strong> It was computed in this browser, from
        the key, the signature and the proofs. Against a manager that shows you another log than
        others, compare the root with what a node or an auditor kept.
      </Note>
    ) : null}
    {verdict === 'bad' ? <Broken steps={steps} /> : null}
  </div>
);

const Broken = ({ steps }: { readonly steps: readonly CheckStep[] }): ReactNode => {
  const [isForgotten, setForgotten] = useState(false);
  const isOfKept = steps[0]?.state === 'bad' || steps[2]?.state === 'bad';
  return (
    <Note tone="warn">
      <div className="stack-tight">
        <strong>The log could not be verified.</strong>
        <span>
          When proofs do not fit, keep the export and the checkpoints that you have, and compare
          them offline with <code>bellwether audit verify</code>. A manager that was set back to a
          backup looks the same.
        </span>
        {isOfKept ? (
          <div className="row">
            <Button
              isDisabled={isForgotten}
              onPress={() => {
                forgetKept();
                setForgotten(true);
              }}
            >
              {isForgotten ? 'Forgotten: verify again' : 'Forget what this browser kept'}
            </Button>
          </div>
        ) : null}
      </div>
    </Note>
  );
};
