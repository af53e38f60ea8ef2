import { Ban, Rocket } from 'lucide-react';
import { useMemo, useState, type ReactNode } from 'react';
import { Link, useParams } from 'react-router';
import type { Manifest } from '../../../core/release/index.js';
import { useApi, useCall } from '../../app/api.js';
import { useCan } from '../../app/session.js';
import {
  Button,
  ButtonLink,
  Card,
  Confirm,
  counted,
  Dialog,
  Facts,
  Loaded,
  Note,
  Page,
  say,
  StateBadge,
  TextField,
  Time,
} from '../../ui/index.js';
import '../../style/change.css';
import { Artifacts, largestOf } from './release-artifacts.js';
import type { ReleaseWhole } from './release-files.js';
import { Promote } from './release-promote.js';
import { Signatures } from './release-signatures.js';
import { useRunning } from './releases.js';

const CRUMBS = [{ to: '/releases', label: 'Releases' }];

export default function ReleasePage(): ReactNode {
  const { id = '' } = useParams();
  const query = useApi('releases.show', { params: { id } });
  const release = query.data?.id === id ? query.data : undefined;
  if (release === undefined)
    return (
      <Page title="Release" crumbs={CRUMBS}>
        <Loaded query={{ ...query, data: release }} lines={10}>
          {() => null}
        </Loaded>
      </Page>
    );
  return <Whole key={id} release={release} />;
}

const Whole = ({ release }: { readonly release: ReleaseWhole }): ReactNode => {
  const can = useCan();
  const [isYanking, setYanking] = useState(false);
  // It was checked by its schema when it came.
  const manifest = useMemo(() => JSON.parse(release.manifest) as Manifest, [release.manifest]);
  const { product, version, channel, state } = release;
  const rollOut = `/rollouts/new?product=${product}&version=${encodeURIComponent(version)}&channel=${channel}`;
  return (
    <Page
      title={`${product} ${version}`}
      beside={<StateBadge state={state} />}
      crumbs={CRUMBS}
      actions={
        <>
          {state === 'published' && can('group.upgrade') ? (
            <ButtonLink to={rollOut} kind="primary" icon={<Rocket aria-hidden />}>
              Roll out…
            </ButtonLink>
          ) : null}
          {state !== 'yanked' && can('release.publish') ? (
            <Button icon={<Ban aria-hidden />} onPress={() => setYanking(true)}>
              Yank…
            </Button>
          ) : null}
        </>
      }
    >
      <div className="stack">
        <Standing release={release} />
        <div className="columns">
          <div className="stack">
            <Signatures release={release} />
            <Artifacts release={release} manifest={manifest} />
          </div>
          <div className="stack">
            <About release={release} manifest={manifest} />
            <Promote release={release} />
            {manifest.notes === undefined ? null : (
              <Card title="Notes">
                <p className="notes">{manifest.notes}</p>
              </Card>
            )}
          </div>
        </div>
      </div>
      {isYanking ? <Yank release={release} onClose={() => setYanking(false)} /> : null}
    </Page>
  );
};

const Standing = ({ release }: { readonly release: ReleaseWhole }): ReactNode => {
  const { state, yanked } = release;
  if (yanked !== null)
    return (
      <Note tone="warn">
        Taken back <Time at={yanked.at} />: <bdi className="wrap-anywhere">{yanked.reason}</bdi>.
        Nothing new installs it; nodes that run it go on running it.
      </Note>
    );
  if (state === 'draft')
    return (
      <Note>
        A draft: stored for others to look at and sign. No node sees it. Publish it with its
        signatures to take its place.
      </Note>
    );
  return null;
};

const About = ({
  release,
  manifest,
}: {
  readonly release: ReleaseWhole;
  readonly manifest: Manifest;
}): ReactNode => {
  const running = useRunning();
  const { product, version } = release;
  const nodes = running(product, version);
  const { compatibility } = manifest;
  const hops = compatibility?.major_hops_max ?? 1;
  const schema = compatibility?.state_schema;
  return (
    <Card title="About">
      <Facts
        items={[
          [
            'Runs on',
            nodes === null ? (
              <span key="runs" className="soft">
                not shown to you
              </span>
            ) : (
              <Link
                key="runs"
                to={`/nodes?product=${product}&version=${encodeURIComponent(version)}`}
              >
                {counted(nodes, 'node')}
              </Link>
            ),
          ],
          ['Channel', release.channel],
          ['Sequence', release.sequence],
          ['Released', <Time key="released" at={manifest.released_at} />],
          ['Published', <Time key="published" at={release.published_at} />],
          ['Expires', <Time key="expires" at={manifest.expires_at ?? null} never="never" />],
          [
            'Comes from',
            `${compatibility?.min_from === undefined ? 'any version' : `${compatibility.min_from} or newer`}, across ${counted(hops, 'major version')} at most`,
          ],
          ...(schema === undefined
            ? []
            : [['State on disk', `reads formats ${schema.min} to ${schema.max}`] as const]),
          ['Size', largestOf(release.artifacts)],
        ]}
      />
    </Card>
  );
};

const REASON_MAX = 500;

const Yank = ({
  release,
  onClose,
}: {
  readonly release: ReleaseWhole;
  readonly onClose: () => void;
}): ReactNode => {
  const [reason, setReason] = useState('');
  const [isSure, setSure] = useState(false);
  const yank = useCall('releases.yank', { stale: ['rollouts', 'fleet'] });
  const { product, version } = release;
  const name = `${product} ${version}`;
  if (isSure)
    return (
      <Confirm
        title={`Take ${name} back?`}
        verb="Yank release"
        danger
        word={version}
        consequences={[
          `${name} is taken back on every channel, for good. There is no way to undo it.`,
          'New rollouts of it are refused. Running ones offer it to no other node and grant no permit; cancel or revert them.',
          'Nodes cannot fetch it any more, and no node goes back to it. Those that run it go on running it.',
          <>
            Everybody who asks is told: <bdi>“{reason.trim()}”</bdi>
          </>,
        ]}
        run={async () => {
          await yank.run({ params: { id: release.id }, body: { reason: reason.trim() } });
          say(`${name} was taken back.`);
        }}
        onClose={onClose}
      />
    );
  return (
    <AskReason
      name={name}
      reason={reason}
      setReason={setReason}
      onNext={() => setSure(true)}
      onClose={onClose}
    />
  );
};

const AskReason = ({
  name,
  reason,
  setReason,
  onNext,
  onClose,
}: {
  readonly name: string;
  readonly reason: string;
  readonly setReason: (reason: string) => void;
  readonly onNext: () => void;
  readonly onClose: () => void;
}): ReactNode => (
  <Dialog title={`Why is ${name} taken back?`} isOpen onClose={onClose}>
    <TextField
      label="Reason"
      hint="Everybody who meets this release from now on reads it."
      value={reason}
      onChange={setReason}
      maxLength={REASON_MAX}
      autoFocus
    />
    <div className="row row-end">
      <Button onPress={onClose}>Go back</Button>
      <Button kind="primary" isDisabled={reason.trim() === ''} onPress={onNext}>
        Next
      </Button>
    </div>
  </Dialog>
);
