import { Package, Upload as UploadIcon } from 'lucide-react';
import { useMemo, useState, type ReactNode } from 'react';
import { Link } from 'react-router';
import type { Answer } from '../../../client/index.js';
import { useApi, useList } from '../../app/api.js';
import { useFilters } from '../../app/filters.js';
import { useCan } from '../../app/session.js';
import {
  Button,
  counted,
  Empty,
  Page,
  Select,
  StateBadge,
  Table,
  TextField,
  Time,
  type Column,
} from '../../ui/index.js';
import '../../style/change.css';
import { largestOf } from './release-artifacts.js';
import { UploadDialog } from './upload-dialog.js';

type Release = Answer<'releases.list'>['items'][number];
const CHANNELS = ['stable', 'beta', 'dev'] as const;
const STATES = ['draft', 'published', 'yanked'] as const;
/** As the manager takes it. */
const PRODUCT = /^[a-z][a-z0-9-]{0,62}$/;

/** Every release, newest first. */
export default function Releases(): ReactNode {
  const can = useCan();
  const { values, set, clear, isFiltered } = useFilters(['product', 'version', 'channel', 'state']);
  const [isUploading, setUploading] = useState(false);
  const channel = CHANNELS.find((one) => one === values.channel);
  const state = STATES.find((one) => one === values.state);
  const isProduct = values.product === undefined || PRODUCT.test(values.product);
  const list = useList('releases.list', {
    query: {
      limit: 50,
      ...(channel === undefined ? {} : { channel }),
      ...(state === undefined ? {} : { state }),
      ...(values.product === undefined || !isProduct ? {} : { product: values.product }),
      ...(values.version === undefined ? {} : { version: values.version }),
    },
  });
  const running = useRunning();
  const upload = can('release.publish') ? (
    <Button kind="primary" icon={<UploadIcon aria-hidden />} onPress={() => setUploading(true)}>
      Upload a release
    </Button>
  ) : undefined;
  return (
    <Page title="Releases" actions={upload}>
      <div className="toolbar">
        <TextField
          label="Product"
          placeholder="Any"
          value={values.product ?? ''}
          onChange={(product) => set({ product })}
          error={isProduct ? null : 'lower-case letters, digits, dashes'}
        />
        <TextField
          label="Version"
          placeholder="Any"
          value={values.version ?? ''}
          onChange={(version) => set({ version })}
        />
        <Select
          label="Channel"
          value={values.channel ?? ''}
          onChange={(next) => set({ channel: next })}
          choices={any(CHANNELS)}
        />
        <Select
          label="State"
          value={values.state ?? ''}
          onChange={(next) => set({ state: next })}
          choices={any(STATES)}
        />
        {isFiltered ? (
          <Button kind="quiet" onPress={clear}>
            Clear filters
          </Button>
        ) : null}
      </div>
      <Table
        label="Releases"
        list={list}
        keyOf={({ id }) => id}
        columns={columnsOf(running)}
        empty={
          isFiltered ? (
            <Empty
              icon={<Package aria-hidden />}
              title="No release fits the filters"
              action={<Button onPress={clear}>Clear filters</Button>}
            >
              A version is asked for whole, such as 1.4.2.
            </Empty>
          ) : (
            <Empty icon={<Package aria-hidden />} title="Nothing was released yet" action={upload}>
              Pack and sign a release in your pipeline with <code>bellwether release pack</code> and{' '}
              <code>sign</code>, then publish it from there or upload it here.
            </Empty>
          )
        }
      />
      {isUploading ? <UploadDialog onClose={() => setUploading(false)} /> : null}
    </Page>
  );
}

const any = (choices: readonly string[]): { value: string; label: string }[] => [
  { value: '', label: 'Any' },
  ...choices.map((one) => ({ value: one, label: one })),
];

/** How many nodes run which version, where one may see them. */
export function useRunning(): (product: string, version: string) => number | null {
  const can = useCan();
  const { data } = useApi('fleet.summary', { query: {} }, { enabled: can('node.view') });
  return useMemo(() => {
    const nodes = new Map<string, number>();
    for (const { product, versions } of data?.products ?? []) {
      for (const one of versions) nodes.set(`${product} ${one.version ?? ''}`, one.nodes);
    }
    return (product, version) =>
      data === undefined ? null : (nodes.get(`${product} ${version}`) ?? 0);
  }, [data]);
}

const columnsOf = (
  running: (product: string, version: string) => number | null,
): readonly Column<Release>[] => [
  {
    id: 'what',
    title: 'Release',
    width: 'minmax(170px, 1.4fr)',
    cell: ({ id, product, version }) => (
      <Link to={`/releases/${id}`}>
        <strong>
          {product} {version}
        </strong>
      </Link>
    ),
  },
  { id: 'channel', title: 'Channel', width: '90px', cell: ({ channel }) => channel },
  {
    id: 'state',
    title: 'State',
    width: '138px',
    cell: ({ state, yanked }) => (
      <StateBadge state={state} {...(yanked === null ? {} : { title: yanked.reason })} />
    ),
  },
  {
    id: 'nodes',
    title: 'Runs on',
    width: 'minmax(110px, 1fr)',
    end: true,
    cell: ({ product, version }) => {
      const n = running(product, version);
      if (n === null || n === 0) return <span className="soft">{n === null ? '' : 'no node'}</span>;
      return (
        <Link to={`/nodes?product=${product}&version=${encodeURIComponent(version)}`}>
          {counted(n, 'node')}
        </Link>
      );
    },
  },
  {
    id: 'platforms',
    title: 'Platforms',
    width: 'minmax(140px, 1.2fr)',
    cell: ({ artifacts }) => {
      const hosts = artifacts.map(({ os, arch }) => `${os} ${arch}`);
      const names = hosts.length === 0 ? 'an image' : [...new Set(hosts)].join(', ');
      return <span title={names}>{names}</span>;
    },
  },
  {
    id: 'size',
    title: 'Size',
    width: '90px',
    end: true,
    cell: ({ artifacts }) => largestOf(artifacts),
  },
  {
    id: 'sequence',
    title: 'Sequence',
    width: '110px',
    end: true,
    cell: ({ sequence }) => sequence,
  },
  {
    id: 'when',
    title: 'Published',
    width: '140px',
    cell: ({ published_at: at }) => <Time at={at} />,
  },
];
