import { useState, type ReactNode } from 'react';
import type { Answer } from '../../../client/index.js';
import { useApi } from '../../app/api.js';
import { Card, Copy, count, Note, Select, TextField } from '../../ui/index.js';
import { readSignature } from '../change/signature-text.js';
import {
  AGENT_FILE,
  agentLines,
  draftPolicy,
  envIn,
  rootOf,
  WATCH_SECS,
  type KnownSigner,
  type WantedService,
} from './node-files.js';

type Release = Answer<'releases.list'>['items'][number];

/** As the manager takes names of products. */
const PRODUCT = /^[a-z][a-z0-9-]{0,62}$/;
const RELEASES_LOOKED_AT = 100;
const WATCH_SECS_MAX = 86_400;

/** Each product with its newest release that can be rolled out. */
function useProducts(): ReadonlyMap<string, Release> {
  const { data } = useApi('releases.list', {
    query: { state: 'published', limit: RELEASES_LOOKED_AT },
  });
  const newest = new Map<string, Release>();
  for (const release of data?.items ?? []) {
    const known = newest.get(release.product);
    if (known === undefined || release.sequence > known.sequence)
      newest.set(release.product, release);
  }
  return newest;
}

/** Each signer of a release once. */
function signersOf(signatures: readonly string[]): readonly KnownSigner[] {
  const found = new Map<string, KnownSigner>();
  for (const text of signatures) {
    const { by, signer } = readSignature(text);
    if (signer.kind !== 'unknown') found.set(by, signer);
  }
  return [...found.values()];
}

/** What the machine has to be told by its owner: which service is there, and whose signatures count. */
export const NodeFiles = (): ReactNode => {
  const products = useProducts();
  const [chosen, setChosen] = useState<string | null>(null);
  const product = chosen ?? [...products.keys()][0] ?? '';
  const release = products.get(product);
  const whole = useApi(
    'releases.show',
    { params: { id: release?.id ?? '' } },
    { enabled: release !== undefined, keep: false },
  );
  const signers = signersOf(whole.data?.signatures ?? []);
  const [typed, setTyped] = useState<Partial<WantedService>>({});
  const wanted: WantedService = {
    ...{ product, root: rootOf(product), driver: 'child', exec: `bin/${product}`, env: '' },
    ...{ healthUrl: '', ...typed },
  };
  return (
    <Card title="4. Say what it runs, and whose signatures count">
      <div className="stack">
        <p className="soft">
          Two files on the machine say so, and nobody else: no message of the manager can change
          them. Until they are there the node is seen, and refuses every upgrade.
        </p>
        <Service
          wanted={wanted}
          change={(part) => setTyped((before) => ({ ...before, ...part }))}
          products={[...products.keys()]}
          onProduct={(next) => {
            setChosen(next);
            // What was typed for another product is not of this one.
            setTyped((before) =>
              Object.fromEntries(
                Object.entries(before).filter(([name]) => name !== 'root' && name !== 'exec'),
              ),
            );
          }}
          isGood={PRODUCT.test(product)}
        />
        {PRODUCT.test(product) ? (
          <Policy
            key={product}
            product={product}
            root={wanted.root}
            channel={release?.channel ?? 'stable'}
            signers={signers}
          />
        ) : null}
        <div className="stack-tight">
          <span className="field-label">Then, on the machine</span>
          <Copy
            text={'bellwether-agent policy check && systemctl restart bellwether-agent'}
            label="the check"
          />
          <span className="soft small">
            It says what the agent made of both files. Where no systemd is, start the agent anew by
            hand.
          </span>
        </div>
      </div>
    </Card>
  );
};

const Service = ({
  wanted,
  change,
  products,
  onProduct,
  isGood,
}: {
  readonly wanted: WantedService;
  readonly change: (part: Partial<WantedService>) => void;
  readonly products: readonly string[];
  readonly onProduct: (product: string) => void;
  readonly isGood: boolean;
}): ReactNode => {
  const { product, root, driver, exec, env, healthUrl } = wanted;
  const isRoot = root.startsWith('/');
  return (
    <>
      <div className="form-grid">
        {products.length === 0 ? (
          <TextField
            label="Product"
            hint="What your releases will be called: small letters, digits, dashes."
            value={product}
            onChange={onProduct}
            error={product === '' || isGood ? null : 'Take small letters, digits and dashes'}
            mono
          />
        ) : (
          <Select
            label="Product"
            value={product}
            onChange={onProduct}
            choices={products.map((value) => ({ value, label: value }))}
          />
        )}
        <Select
          label="Who runs it"
          value={driver}
          onChange={(next) => change({ driver: next })}
          choices={[
            { value: 'child', label: 'The agent', hint: 'a program of the release' },
            { value: 'systemd', label: 'systemd', hint: `the unit bellwether-svc@${product}` },
          ]}
        />
        <TextField
          label="Install root"
          hint="The folder on the machine that its versions lie in."
          value={root}
          onChange={(next) => change({ root: next })}
          error={isRoot ? null : 'Take a whole path, from / on'}
          mono
        />
        <TextField
          label="Asked whether it is well"
          hint="An address on the machine that answers 2xx. Empty: it is well while it runs."
          placeholder="http://127.0.0.1:8080/health"
          value={healthUrl}
          onChange={(next) => change({ healthUrl: next })}
          mono
        />
        {driver === 'child' ? (
          <>
            <TextField
              label="Program"
              hint="In the archive of the release."
              value={exec}
              onChange={(next) => change({ exec: next })}
              mono
            />
            <TextField
              label="Its environment"
              hint="NAME=value, one a line, such as its port. Beside PATH nothing else is given to it."
              placeholder="PORT=8080"
              rows={2}
              value={env}
              onChange={(next) => change({ env: next })}
              error={envIn(env) === null ? 'Take NAME=value, one a line, each name once' : null}
              mono
            />
          </>
        ) : null}
      </div>
      {isGood && isRoot && envIn(env) !== null ? (
        <div className="stack-tight">
          <span className="field-label">
            At the end of <code>{AGENT_FILE}</code>
          </span>
          <Copy text={agentLines(wanted)} label="the lines for agent.toml" />
        </div>
      ) : null}
    </>
  );
};

const Policy = ({
  product,
  root,
  channel,
  signers,
}: {
  readonly product: string;
  readonly root: string;
  readonly channel: string;
  readonly signers: readonly KnownSigner[];
}): ReactNode => {
  const [pasted, setPasted] = useState('');
  const [watch, setWatch] = useState(String(WATCH_SECS));
  const isWatch = /^[1-9]\d{0,4}$/.test(watch.trim()) && Number(watch) <= WATCH_SECS_MAX;
  const watchSecs = isWatch ? Number(watch) : WATCH_SECS;
  const draft = draftPolicy(signers, pasted, { channel, watchSecs });
  const { wantedIds, givenId } = draft;
  const isKeyless = signers.length > 0 && wantedIds.length === 0;
  const isNoKey = pasted.trim() !== '' && givenId === null;
  return (
    <>
      {isKeyless ? null : (
        <TextField
          label="Public key of who signs"
          hint={
            wantedIds.length === 0
              ? 'Of the .pub file that `bellwether release keygen` made. It stays in this page.'
              : `The manager keeps signatures and no keys. Those of ${product} are by ${wantedIds.join(', ')}: paste that .pub file. It stays in this page.`
          }
          value={pasted}
          onChange={setPasted}
          error={isNoKey ? 'This is no public key of minisign' : null}
          mono
        />
      )}
      <TextField
        label="Watched after each upgrade for, in seconds"
        hint="What is not well for so long goes back to the version before."
        value={watch}
        onChange={setWatch}
        inputMode="numeric"
        error={isWatch ? null : `Take a whole number, 1 to ${count(WATCH_SECS_MAX)}`}
      />
      {draft.isStranger ? (
        <Note tone="warn">
          This is the key {givenId}. The newest release of {product} was not signed by it, so a node
          that trusts only this key refuses that release.
        </Note>
      ) : null}
      <div className="stack-tight">
        <span className="field-label">
          The file <code>{root}/policy.toml</code>, which only root may change
        </span>
        <Copy text={draft.text} label="the policy" />
        <span className="soft small">
          Whoever is listed may bring any program onto this machine, as the user that runs it. Take
          keys from where you trust them, not from a page.
        </span>
      </div>
    </>
  );
};
