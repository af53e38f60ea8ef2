import type { ReactNode } from 'react';
import type { Manifest } from '../../../core/release/index.js';
import { bytes, Card, Empty, Table, type Column } from '../../ui/index.js';
import type { ReleaseWhole } from './release-files.js';

type Artifact = Manifest['artifacts'][number];
type Delta = NonNullable<Manifest['deltas']>[number];

const platform = ({ os, arch, variant }: Pick<Artifact, 'os' | 'arch' | 'variant'>): string =>
  variant === 'default' ? `${os} ${arch}` : `${os} ${arch}, ${variant}`;

const COLUMNS: readonly Column<Artifact>[] = [
  { id: 'platform', title: 'For', width: 'minmax(110px, 1fr)', cell: platform },
  {
    id: 'file',
    title: 'File',
    width: '210px',
    cell: ({ file }) => <bdi title={file}>{file}</bdi>,
  },
  { id: 'size', title: 'Size', width: '92px', end: true, cell: ({ size }) => bytes(size) },
  {
    id: 'digest',
    title: 'SHA-256',
    width: '190px',
    cell: ({ sha256 }) => <code title={sha256}>{sha256}</code>,
  },
];
const DELTA_COLUMNS: readonly Column<Delta>[] = [
  { id: 'from', title: 'From', width: '110px', cell: ({ from_version: from }) => from },
  { id: 'platform', title: 'For', width: 'minmax(110px, 1fr)', cell: platform },
  { id: 'size', title: 'Size', width: '92px', end: true, cell: ({ size }) => bytes(size) },
  {
    id: 'digest',
    title: 'SHA-256',
    width: '190px',
    cell: ({ sha256 }) => <code title={sha256}>{sha256}</code>,
  },
];

/** What a node downloads: the whole, or the way from what it has. */
export const Artifacts = ({
  release,
  manifest,
}: {
  readonly release: ReleaseWhole;
  readonly manifest: Manifest;
}): ReactNode => (
  <>
    <Card title="Artifacts">
      <Table
        label="Artifacts"
        list={{ items: release.artifacts }}
        keyOf={({ file }) => file}
        columns={COLUMNS}
        empty={<Empty title="It has no artifact" />}
      />
    </Card>
    {manifest.deltas === undefined || manifest.deltas.length === 0 ? null : (
      <Card title="Deltas">
        <div className="stack">
          <p className="soft">
            Nodes that kept the archive of these versions fetch less; the result is checked all the
            same.
          </p>
          <Table
            label="Deltas"
            list={{ items: manifest.deltas }}
            keyOf={({ file }) => file}
            columns={DELTA_COLUMNS}
            empty={null}
          />
        </div>
      </Card>
    )}
  </>
);
