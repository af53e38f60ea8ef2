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

/** Of the largest artifact: that much a node downloads at most. An image alone has none that is known here. */
export const largestOf = (artifacts: readonly { readonly size: number }[]): string =>
  artifacts.length === 0 ? 'an image' : bytes(Math.max(...artifacts.map(({ size }) => size)));

interface ImageRow {
  readonly for: string;
  readonly name: string;
}

const imagesOf = ({ image, images = [] }: Manifest): readonly ImageRow[] => [
  ...images.map(({ variant, arch, reference, digest }) => ({
    for: [variant, arch ?? 'every architecture'].join(', '),
    name: `${reference}@${digest}`,
  })),
  ...(image === undefined
    ? []
    : [
        {
          for: images.length === 0 ? 'all' : 'all others',
          name: `${image.reference}@${image.digest}`,
        },
      ]),
];

const IMAGE_COLUMNS: readonly Column<ImageRow>[] = [
  { id: 'for', title: 'For', width: '210px', cell: (row) => row.for },
  {
    id: 'image',
    title: 'Image',
    width: 'minmax(190px, 1fr)',
    cell: ({ name }) => <code title={name}>{name}</code>,
  },
];

/** What workloads run, by digest. */
const ImagesCard = ({ manifest }: { readonly manifest: Manifest }): ReactNode => {
  const items = imagesOf(manifest);
  return items.length === 0 ? null : (
    <Card title="Images">
      <Table
        label="Images"
        list={{ items }}
        keyOf={(row) => row.for}
        columns={IMAGE_COLUMNS}
        empty={null}
      />
    </Card>
  );
};

/** What a node downloads: the whole, or the way from what it has. */
export const Artifacts = ({
  release,
  manifest,
}: {
  readonly release: ReleaseWhole;
  readonly manifest: Manifest;
}): ReactNode => (
  <>
    <ImagesCard manifest={manifest} />
    <Card title="Artifacts">
      <Table
        label="Artifacts"
        list={{ items: release.artifacts }}
        keyOf={({ file }) => file}
        columns={COLUMNS}
        empty={<Empty title="It has no artifact: it is an image" />}
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
