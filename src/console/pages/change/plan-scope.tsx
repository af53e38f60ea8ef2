import type { ReactNode } from 'react';
import { useApi } from '../../app/api.js';
import { choicesOf } from '../../app/session.js';
import { Checkbox, counted, Note, problemAt, Select, TextField } from '../../ui/index.js';
import { labelsIn, type Channel, type Drafting } from './plan-draft.js';
import { useRunning } from './releases.js';

const DATE = new Intl.DateTimeFormat('en', { dateStyle: 'medium' });
/** So many versions are offered; older ones are rolled out by the command line. */
const VERSIONS_MAX = 100;

/** What is rolled out: a product, and one of its published releases. */
export const ReleaseFields = ({ draft, change, error }: Drafting): ReactNode => {
  const running = useRunning();
  const all = useApi('releases.list', { query: { state: 'published', limit: 500 } });
  const products = [...new Set((all.data?.items ?? []).map(({ product }) => product))].sort();
  const ofProduct = useApi(
    'releases.list',
    { query: { product: draft.product, state: 'published', limit: VERSIONS_MAX } },
    { enabled: draft.product !== '' },
  );
  const releases = (draft.product === '' ? undefined : ofProduct.data)?.items ?? [];
  const chosen = `${draft.version} ${draft.channel}`;
  const isKnown = releases.some(({ version, channel }) => `${version} ${channel}` === chosen);
  const choose = (value: string): void => {
    const [version = '', channel = 'stable'] = value.split(' ');
    change({ version, channel: channel as Channel });
  };
  if (all.data !== undefined && products.length === 0) {
    return (
      <Note>Nothing was published yet. Publish a release first; then it can be rolled out.</Note>
    );
  }
  return (
    <div className="fields">
      <Select
        label="Product"
        placeholder="Choose a product"
        value={draft.product === '' ? null : draft.product}
        onChange={(product) => change({ product, version: '', channel: 'stable' })}
        choices={withOwn(products, draft.product).map((one) => ({ value: one, label: one }))}
        error={problemAt(error, 'product')}
      />
      <Select
        label="Release"
        placeholder={draft.product === '' ? 'Choose a product first' : 'Choose a release'}
        isDisabled={draft.product === ''}
        value={draft.version === '' ? null : chosen}
        onChange={choose}
        choices={[
          ...releases.map((one) => ({
            value: `${one.version} ${one.channel}`,
            label: `${one.version} · ${one.channel}`,
            hint: `published ${DATE.format(new Date(one.published_at))}, runs on ${counted(running(one.product, one.version) ?? 0, 'node')}`,
          })),
          ...(draft.version === '' || isKnown
            ? []
            : [{ value: chosen, label: `${draft.version} · ${draft.channel}` }]),
        ]}
        error={problemAt(error, 'version') ?? problemAt(error, 'channel')}
      />
    </div>
  );
};

const withOwn = (known: readonly string[], own: string): readonly string[] =>
  own === '' || known.includes(own) ? known : [...known, own];

/** Who gets it. */
export const ScopeFields = ({
  draft,
  change,
  error,
  groups,
}: Drafting & {
  readonly groups: readonly { readonly id: string; readonly name: string }[];
}): ReactNode => {
  const at = (path: string): string | null => problemAt(error, `scope.${path}`);
  const isNarrow = draft.labels !== '' || draft.nodes.trim() !== '' || draft.exclude !== '';
  return (
    <div className="stack">
      <div className="fields">
        <Select
          label="Group"
          value={draft.groupId}
          onChange={(groupId) => change({ groupId, planId: '' })}
          choices={choicesOf(groups)}
          error={at('group_id')}
        />
      </div>
      <Checkbox isSelected={draft.subgroups} onChange={(subgroups) => change({ subgroups })}>
        Groups below it, too
      </Checkbox>
      <Breakdown product={draft.product} groupId={draft.groupId} version={draft.version} />
      <details className="folded" open={isNarrow || undefined}>
        <summary>Narrow it down: labels, single nodes, exceptions</summary>
        <div className="fields">
          <TextField
            label="Only with these labels"
            hint="key=value, several apart by commas; all must fit"
            placeholder="site=fra"
            value={draft.labels}
            onChange={(labels) => change({ labels })}
            error={at('labels') ?? labelProblem(draft.labels)}
          />
          <TextField
            label="Only these nodes"
            hint="ids, one a line"
            rows={3}
            mono
            value={draft.nodes}
            onChange={(nodes) => change({ nodes })}
            error={at('node_ids') ?? firstAt(error, 'scope.node_ids.')}
          />
          <TextField
            label="Not these nodes"
            hint="ids, one a line"
            rows={3}
            mono
            value={draft.exclude}
            onChange={(exclude) => change({ exclude })}
            error={at('exclude_node_ids') ?? firstAt(error, 'scope.exclude_node_ids.')}
          />
        </div>
      </details>
    </div>
  );
};

const labelProblem = (text: string): string | null =>
  Object.keys(labelsIn(text)).includes('') ? 'a label needs a key before its =' : null;

const ITEMS_LOOKED_AT = 20;
/** The first problem of an item of a list, such as `scope.node_ids.3`. */
export const firstAt = (error: Error | null, prefix: string): string | null => {
  for (let i = 0; i < ITEMS_LOOKED_AT; i += 1) {
    const problem = problemAt(error, `${prefix}${i}`);
    if (problem !== null) return `${i + 1}: ${problem}`;
  }
  return null;
};

/** What runs in the scope now. */
const Breakdown = ({
  product,
  groupId,
  version,
}: {
  readonly product: string;
  readonly groupId: string;
  readonly version: string;
}): ReactNode => {
  const { data } = useApi(
    'fleet.summary',
    { query: { group_id: groupId, product } },
    { enabled: product !== '' && groupId !== '' },
  );
  const found = data?.products.find((one) => one.product === product);
  if (product === '' || data === undefined) return null;
  if (found === undefined || found.nodes === 0) {
    return <p className="soft">No node of this group has {product}.</p>;
  }
  const running = found.versions.map(
    (one) =>
      `${counted(one.nodes, 'node')} on ${one.version ?? 'nothing yet'}${one.version === version ? ' (there already)' : ''}`,
  );
  return (
    <p>
      <strong>{counted(found.nodes, 'node')}</strong> with {product} in this group and below:{' '}
      {running.slice(0, 6).join(', ')}
      {running.length > 6 ? ` and ${counted(running.length - 6, 'more version')}` : ''}.
    </p>
  );
};
