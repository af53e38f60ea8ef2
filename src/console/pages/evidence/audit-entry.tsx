import { ShieldCheck } from 'lucide-react';
import type { ReactNode } from 'react';
import { Link } from 'react-router';
import { useGroups } from '../../app/session.js';
import { Badge, Button, Dialog, exactly, Facts, sentence, words } from '../../ui/index.js';
import type { AuditEntry } from './audit-check.js';
import { CheckSteps, useLogCheck } from './audit-verify.js';
import { Fix } from './event-details.js';
import { JsonText } from './json-text.js';

const TONES = { allowed: 'good', refused: 'warn', failed: 'bad' } as const;
const OUTCOMES = { allowed: 'done', refused: 'refused', failed: 'failed' } as const;

export const OutcomeBadge = ({
  outcome,
}: {
  readonly outcome: AuditEntry['outcome'];
}): ReactNode => <Badge tone={TONES[outcome]}>{OUTCOMES[outcome]}</Badge>;

/** Pages of what entries speak of. */
const PAGES: Readonly<Record<string, string>> = {
  node: '/nodes',
  group: '/groups',
  rollout: '/rollouts',
  release: '/releases',
  sink: '/sinks',
};

/** What an entry speaks of; a link where there is a page for it. */
export const Target = ({ entry }: { readonly entry: AuditEntry }): ReactNode => {
  const page = PAGES[entry.target_kind];
  if (entry.target_id === '') return <span className="soft">–</span>;
  return (
    <>
      <span className="soft">{words(entry.target_kind)}</span>{' '}
      {page === undefined ? (
        <bdi>{entry.target_id}</bdi>
      ) : (
        <Link to={`${page}/${encodeURIComponent(entry.target_id)}`}>
          <bdi>{entry.target_id}</bdi>
        </Link>
      )}
    </>
  );
};

/** One entry with all its fields, and a proof of it. */
export const AuditEntryDetails = ({
  entry,
  onClose,
}: {
  readonly entry: AuditEntry;
  readonly onClose: () => void;
}): ReactNode => {
  const { nameOf } = useGroups();
  const { steps, verdict, run } = useLogCheck();
  const code = entry.details['error_code'];
  return (
    <Dialog title={`Entry ${entry.id}`} isOpen wide onClose={onClose}>
      <div className="row row-wrap">
        <OutcomeBadge outcome={entry.outcome} />
        <strong>{sentence(words(entry.action))}</strong>
        <code className="soft">{entry.action}</code>
      </div>
      {typeof code === 'string' ? <Fix code={code} /> : null}
      <Facts
        items={[
          ['When', exactly(entry.at)],
          [
            'Who',
            <>
              <bdi>{entry.actor_name === '' ? entry.actor_id : entry.actor_name}</bdi>{' '}
              <span className="soft">
                {entry.actor_kind} <code>{entry.actor_id}</code>
              </span>
            </>,
          ],
          ['On what', <Target key="target" entry={entry} />],
          [
            'Group',
            entry.group_id === null ? (
              <span className="soft">none: only super admins see this entry</span>
            ) : (
              <bdi>{nameOf(entry.group_id)}</bdi>
            ),
          ],
          ['Request', <code key="request">{entry.request_id}</code>],
          ['From', <code key="ip">{entry.ip === '' ? 'the manager itself' : entry.ip}</code>],
          [
            'Program',
            <bdi key="agent">{entry.user_agent === '' ? 'not told' : entry.user_agent}</bdi>,
          ],
        ]}
      />
      <h3>Details</h3>
      {Object.keys(entry.details).length === 0 ? (
        <p className="soft">This entry has none.</p>
      ) : (
        <JsonText label="Details of the entry" value={entry.details} />
      )}
      {steps.length > 0 ? <CheckSteps steps={steps} verdict={verdict} /> : null}
      <div className="row row-end">
        <Button
          icon={<ShieldCheck aria-hidden />}
          isBusy={verdict === 'running'}
          onPress={() => run([entry], false)}
        >
          Verify this entry
        </Button>
      </div>
    </Dialog>
  );
};
