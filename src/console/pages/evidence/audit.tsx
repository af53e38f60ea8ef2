import { Download, RefreshCw, ShieldAlert, ShieldCheck, ShieldQuestion } from 'lucide-react';
import { useMemo, useState, type ReactNode } from 'react';
import type { Call } from '../../../client/index.js';
import { api, useApi, useList } from '../../app/api.js';
import { useFilters } from '../../app/filters.js';
import { choicesOf, useGroups, useMe } from '../../app/session.js';
import '../../style/evidence.css';
import {
  Bones,
  Button,
  Card,
  Copy,
  counted,
  Dialog,
  Empty,
  Menu,
  Page,
  Problem,
  Select,
  Table,
  Time,
  type Choice,
  type Column,
} from '../../ui/index.js';
import type { AuditEntry } from './audit-check.js';
import { AuditEntryDetails, OutcomeBadge, Target } from './audit-entry.js';
import { CheckSteps, useLogCheck, type Verdict } from './audit-verify.js';
import { LaterField } from './later-field.js';
import { Stamp } from './stamp.js';

const KEYS = ['action', 'outcome', 'kind', 'actor', 'target', 'group', 'since', 'until'] as const;
const ANY = 'any';
const OUTCOMES: readonly Choice[] = [
  { value: ANY, label: 'Any outcome' },
  { value: 'allowed', label: 'Done' },
  { value: 'refused', label: 'Refused' },
  { value: 'failed', label: 'Failed' },
];
const KINDS: readonly Choice[] = [
  { value: ANY, label: 'Anybody' },
  { value: 'user', label: 'People' },
  { value: 'token', label: 'API tokens' },
  { value: 'node', label: 'Nodes' },
  { value: 'system', label: 'The manager unasked' },
  { value: 'anonymous', label: 'Nobody known' },
];
type AuditQuery = NonNullable<Call<'audit.list'>['query']>;

/** A day of the reader's zone as a moment; null when it is none. */
const dayStart = (text: string | undefined, plusDays: number): string | undefined => {
  const date = text === undefined ? null : new Date(`${text}T00:00`);
  if (date === null || Number.isNaN(date.getTime())) return undefined;
  date.setDate(date.getDate() + plusDays);
  return date.toISOString();
};

function useAuditFilters() {
  const filters = useFilters(KEYS);
  const { values } = filters;
  const query = useMemo((): AuditQuery => {
    const given = {
      action: values.action,
      outcome: values.outcome,
      actor_kind: values.kind,
      actor_id: values.actor,
      target_id: values.target,
      group_id: values.group,
      since: dayStart(values.since, 0),
      until: dayStart(values.until, 1),
    };
    const known = Object.entries(given).filter(([, value]) => value !== undefined);
    return Object.fromEntries(known);
  }, [values]);
  return { ...filters, query };
}

export default function Audit(): ReactNode {
  const filters = useAuditFilters();
  const { query, isFiltered, clear } = filters;
  const list = useList('audit.list', { query: { ...query, limit: 100 } });
  const [opened, setOpened] = useState<AuditEntry | null>(null);
  const columns = useColumns(setOpened);
  const exportAs = (format: 'ndjson' | 'json' | 'csv'): void => {
    location.assign(api.addressOf('audit.export', { query: { ...query, format } }).href);
  };
  return (
    <Page
      title="Audit"
      actions={
        <>
          <Button icon={<RefreshCw aria-hidden />} onPress={list.again}>
            Refresh
          </Button>
          <Menu
            label="Export"
            choices={[
              { id: 'ndjson', label: 'NDJSON', run: () => exportAs('ndjson') },
              { id: 'json', label: 'JSON', run: () => exportAs('json') },
              { id: 'csv', label: 'CSV, for spreadsheets', run: () => exportAs('csv') },
            ]}
          >
            <Button icon={<Download aria-hidden />}>Export</Button>
          </Menu>
        </>
      }
    >
      <div className="stack">
        <Proof entries={list.items} />
        <AuditToolbar {...filters} />
        <Table
          label="Audit entries, newest first"
          list={list}
          keyOf={({ id }) => String(id)}
          columns={columns}
          empty={
            <Empty
              icon={<ShieldQuestion aria-hidden />}
              title={
                isFiltered ? 'No entry fits these filters' : 'Nothing is recorded that you may see'
              }
              action={isFiltered ? <Button onPress={clear}>Clear all filters</Button> : null}
            >
              {isFiltered
                ? 'Actions and ids are compared whole. Widen the time or take a filter away.'
                : 'Every change and every refused attempt is an entry here. Admins see those of their groups.'}
            </Empty>
          }
        />
      </div>
      {opened === null ? null : (
        <AuditEntryDetails entry={opened} onClose={() => setOpened(null)} />
      )}
    </Page>
  );
}

const AuditToolbar = ({
  values,
  set,
  clear,
  isFiltered,
}: ReturnType<typeof useAuditFilters>): ReactNode => {
  const { groups } = useGroups();
  const pick = (key: (typeof KEYS)[number]) => (value: string) =>
    set({ [key]: value === ANY ? null : value });
  return (
    <div className="toolbar filters" role="search" aria-label="Filter entries">
      <LaterField
        label="Action"
        value={values.action ?? ''}
        onChange={pick('action')}
        placeholder="node.revoke"
      />
      <Select
        label="Outcome"
        value={values.outcome ?? ANY}
        onChange={pick('outcome')}
        choices={OUTCOMES}
      />
      <Select label="Who" value={values.kind ?? ANY} onChange={pick('kind')} choices={KINDS} />
      <LaterField
        label="Who, by id"
        value={values.actor ?? ''}
        onChange={pick('actor')}
        placeholder="usr_…"
      />
      <LaterField
        label="On what, by id"
        value={values.target ?? ''}
        onChange={pick('target')}
        placeholder="nod_…"
      />
      <Select
        label="Group"
        value={values.group ?? ANY}
        onChange={pick('group')}
        choices={[{ value: ANY, label: 'Any group' }, ...choicesOf(groups)]}
      />
      <LaterField label="From" type="date" value={values.since ?? ''} onChange={pick('since')} />
      <LaterField label="Through" type="date" value={values.until ?? ''} onChange={pick('until')} />
      {isFiltered ? (
        <Button kind="quiet" onPress={clear}>
          Clear all
        </Button>
      ) : null}
    </div>
  );
};

const PROOF_ICONS = {
  none: ShieldQuestion,
  running: ShieldQuestion,
  good: ShieldCheck,
  bad: ShieldAlert,
};
const PROOF_WORDS: Readonly<Record<Verdict, string>> = {
  none: 'Every entry is sealed in a signed tree',
  running: 'Being verified in this browser',
  good: 'Verified in this browser',
  bad: 'Could not be verified',
};

/** How the log is sealed, and the button that checks it here. */
const Proof = ({ entries }: { readonly entries: readonly AuditEntry[] }): ReactNode => {
  const query = useApi('audit.checkpoints', { query: { limit: 1 } }, { everyMs: 60_000 });
  const { steps, verdict, run } = useLogCheck();
  const [isShown, setShown] = useState(false);
  const me = useMe();
  const seesAll = me.grants.some(({ role }) => role === 'super_admin');
  const Icon = PROOF_ICONS[verdict];
  const newest = query.data?.items[0];
  return (
    <Card>
      <div className="proof" data-state={verdict}>
        <Icon aria-hidden />
        <div className="stack-tight">
          <strong>{PROOF_WORDS[verdict]}</strong>
          {query.error !== null && query.data === undefined ? (
            <Problem error={query.error} />
          ) : query.data === undefined ? (
            <Bones lines={1} />
          ) : newest === undefined ? (
            <span className="soft">
              No checkpoint yet: one is signed every minute, and when you verify.
            </span>
          ) : (
            <span className="soft">
              Newest checkpoint: {counted(newest.size, 'entry', 'entries')}, root{' '}
              <code title={newest.root}>{newest.root.slice(0, 12)}…</code>, signed{' '}
              <Time at={newest.made_at} />
            </span>
          )}
        </div>
        <div className="row row-wrap">
          <Button kind="quiet" onPress={() => setShown(true)} isDisabled={newest === undefined}>
            Checkpoint and key
          </Button>
          <Button
            kind="primary"
            icon={<ShieldCheck aria-hidden />}
            isBusy={verdict === 'running'}
            onPress={() => run(entries.slice(0, SHOWN_CHECKED_MAX), seesAll)}
          >
            Verify here
          </Button>
        </div>
      </div>
      {steps.length === 0 ? null : (
        <div style={{ marginTop: 16 }}>
          <CheckSteps steps={steps} verdict={verdict} />
        </div>
      )}
      {isShown && newest !== undefined ? (
        <CheckpointDialog note={newest.note} onClose={() => setShown(false)} />
      ) : null}
    </Card>
  );
};

/** One question to the manager for each. */
const SHOWN_CHECKED_MAX = 100;

const CheckpointDialog = ({
  note,
  onClose,
}: {
  readonly note: string;
  readonly onClose: () => void;
}): ReactNode => {
  const key = useApi('audit.key', {});
  return (
    <Dialog title="Checkpoint and key" isOpen wide onClose={onClose}>
      <p>
        Keep both outside of the manager. Whoever has an older checkpoint finds any later change of
        what came before it.
      </p>
      <h3>Checkpoint, as it was signed</h3>
      <Copy text={note} label="the checkpoint" />
      <h3>Key that signs</h3>
      {key.data === undefined ? (
        <Bones lines={1} />
      ) : (
        <Copy text={key.data.verifier_key} label="the key" />
      )}
      <h3>Verify everything offline</h3>
      <Copy
        label="the commands"
        text={
          'bellwether audit export log.ndjson --checkpoint log.checkpoint\n' +
          'bellwether audit verify log.ndjson --checkpoint log.checkpoint --public-key audit.key'
        }
      />
    </Dialog>
  );
};

function useColumns(open: (entry: AuditEntry) => void): readonly Column<AuditEntry>[] {
  const { nameOf } = useGroups();
  return useMemo(
    () => [
      { id: 'at', title: 'When', width: '192px', cell: ({ at }) => <Stamp at={at} /> },
      {
        id: 'outcome',
        title: 'Outcome',
        width: '100px',
        cell: ({ outcome }) => <OutcomeBadge outcome={outcome} />,
      },
      {
        id: 'action',
        title: 'Action',
        width: 'minmax(205px, 1.3fr)',
        cell: (entry) => (
          <button type="button" className="cell-button cut" onClick={() => open(entry)}>
            {entry.action}
          </button>
        ),
      },
      {
        id: 'who',
        title: 'Who',
        width: 'minmax(150px, 1fr)',
        cell: (entry) => (
          <span title={entry.actor_id}>
            <span className="soft">{entry.actor_kind}</span>{' '}
            <bdi>{entry.actor_name === '' ? entry.actor_id : entry.actor_name}</bdi>
          </span>
        ),
      },
      {
        id: 'target',
        title: 'On what',
        width: 'minmax(200px, 1.4fr)',
        cell: (entry) => <Target entry={entry} />,
      },
      {
        id: 'group',
        title: 'Group',
        width: 'minmax(100px, 0.8fr)',
        cell: ({ group_id: id }) =>
          id === null ? <span className="soft">none</span> : <bdi>{nameOf(id)}</bdi>,
      },
      { id: 'ip', title: 'From', width: '130px', cell: ({ ip }) => <code>{ip}</code> },
    ],
    [open, nameOf],
  );
}
