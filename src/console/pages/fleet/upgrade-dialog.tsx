import { ArrowRight, ArrowUpCircle, PackageCheck } from 'lucide-react';
import { useState, type ReactNode } from 'react';
import { useNavigate } from 'react-router';
import type { Answer } from '../../../client/index.js';
import { useApi, useCall } from '../../app/api.js';
import {
  Badge,
  Bones,
  Button,
  bytes,
  Checkbox,
  Dialog,
  Empty,
  Loaded,
  Note,
  Problem,
  Select,
  Time,
} from '../../ui/index.js';
import type { FleetNode } from './node-rows.js';

type Service = Answer<'nodes.upgrades'>['items'][number];
type Offer = Service['upgrades'][number];
const OFFERS_MAX = 10;

/** Which release a node should run: those that it can reach, what each brings, and then the rollout of one. */
export const UpgradeDialog = ({
  node,
  onClose,
}: {
  readonly node: FleetNode;
  readonly onClose: () => void;
}): ReactNode => {
  const query = useApi('nodes.upgrades', { params: { id: node.id }, query: { limit: OFFERS_MAX } });
  return (
    <Dialog title={`Upgrade ${node.name}`} isOpen onClose={onClose} wide>
      <Loaded query={query} lines={5}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty icon={<PackageCheck aria-hidden />} title="It has not told what it runs">
              Once the agent has connected, the releases that it can take are here.
            </Empty>
          ) : (
            <Offers node={node} services={items} onClose={onClose} />
          )
        }
      </Loaded>
    </Dialog>
  );
};

const Offers = ({
  node,
  services,
  onClose,
}: {
  readonly node: FleetNode;
  readonly services: readonly Service[];
  readonly onClose: () => void;
}): ReactNode => {
  const [name, setName] = useState(services[0]?.service ?? '');
  const service = services.find((one) => one.service === name) ?? services[0];
  const [chosen, setChosen] = useState<string | null>(null);
  if (service === undefined) return null;
  const all = [...service.upgrades, ...service.downgrades];
  const offer = all.find(({ release_id: id }) => id === chosen) ?? null;
  return (
    <div className="stack">
      {services.length > 1 ? (
        <Select
          label="Service"
          value={service.service}
          onChange={(next) => {
            setName(next);
            setChosen(null);
          }}
          choices={services.map((one) => ({
            value: one.service,
            label: `${one.service}: ${one.product} ${one.version ?? 'nothing yet'}`,
          }))}
        />
      ) : null}
      <div className="upgrade-columns">
        <div className="stack">
          <OfferList title="Newer" offers={service.upgrades} chosen={chosen} onChoose={setChosen}>
            Nothing newer that this node could take. A release for its system and channel would be
            here.
          </OfferList>
          {service.downgrades.length === 0 ? null : (
            <OfferList
              title="Older"
              offers={service.downgrades}
              chosen={chosen}
              onChoose={setChosen}
            />
          )}
        </div>
        <Chosen
          service={service}
          offer={offer}
          isOlder={offer !== null && service.downgrades.includes(offer)}
        />
      </div>
      <Start node={node} service={service} offer={offer} onClose={onClose} />
    </div>
  );
};

const OfferList = ({
  title,
  offers,
  chosen,
  onChoose,
  children,
}: {
  readonly title: string;
  readonly offers: readonly Offer[];
  readonly chosen: string | null;
  readonly onChoose: (id: string) => void;
  readonly children?: ReactNode;
}): ReactNode => (
  <section className="stack-tight" aria-label={`${title} releases`}>
    <h3>{title}</h3>
    {offers.length === 0 ? <p className="soft">{children}</p> : null}
    {offers.map((offer) => (
      <button
        key={offer.release_id}
        type="button"
        className="offer"
        aria-pressed={offer.release_id === chosen}
        disabled={!offer.direct}
        onClick={() => onChoose(offer.release_id)}
      >
        <span className="row row-between">
          <strong className="cut">{offer.version}</strong>
          <span className="soft small figures nowrap">{bytes(offer.bytes)}</span>
        </span>
        <span className="row row-wrap soft small">
          <Badge>{offer.channel}</Badge>
          <Time at={offer.published_at} />
        </span>
        {offer.direct ? null : (
          <span className="small">
            Not at once: {offer.requires === null ? 'another release' : offer.requires} has to come
            first.
          </span>
        )}
      </button>
    ))}
  </section>
);

/** What the chosen release brings. */
const Chosen = ({
  service,
  offer,
  isOlder,
}: {
  readonly service: Service;
  readonly offer: Offer | null;
  readonly isOlder: boolean;
}): ReactNode => {
  const release = useApi(
    'releases.show',
    { params: { id: offer?.release_id ?? '' } },
    { enabled: offer !== null, keep: false },
  );
  if (offer === null)
    return <p className="soft">Choose a release to read its notes and what would be downloaded.</p>;
  return (
    <section className="stack" aria-label="The chosen release" aria-live="polite">
      <div className="row row-wrap version-step">
        <span>{service.product}</span>
        <strong>{service.version ?? 'nothing'}</strong>
        <ArrowRight aria-label="to" size={18} />
        <strong>{offer.version}</strong>
      </div>
      {isOlder ? (
        <Note tone="warn">
          Going back: the node takes it only within its own grace, or with a signed downgrade
          permit. Otherwise it refuses, and nothing changes.
        </Note>
      ) : null}
      <p className="soft small">
        {bytes(offer.bytes)} to download, sequence {offer.sequence}. The node checks the signatures
        itself, and goes back by itself when the new version is not healthy.
      </p>
      <h3>Notes</h3>
      {release.data === undefined ? (
        release.error === null ? (
          <Bones lines={3} />
        ) : (
          <Problem error={release.error} />
        )
      ) : (
        <p className="notes">
          {notesOf(release.data.manifest) ?? 'This release came without notes.'}
        </p>
      )}
    </section>
  );
};

function notesOf(manifest: string): string | null {
  try {
    const { notes } = JSON.parse(manifest) as { notes?: unknown };
    return typeof notes === 'string' && notes.trim() !== '' ? notes : null;
  } catch {
    return null;
  }
}

const Start = ({
  node,
  service,
  offer,
  onClose,
}: {
  readonly node: FleetNode;
  readonly service: Service;
  readonly offer: Offer | null;
  readonly onClose: () => void;
}): ReactNode => {
  const navigate = useNavigate();
  const upgrade = useCall('nodes.upgrade', { stale: ['rollouts', 'fleet'] });
  const [isOnlineOnly, setOnlineOnly] = useState(false);
  const start = async (to: Offer): Promise<void> => {
    const body = {
      product: service.product,
      version: to.version,
      channel: to.channel,
      only_online: isOnlineOnly,
      // Somebody may have been faster than whoever reads this.
      ...(service.version === null ? {} : { expected_version: service.version }),
    };
    const rollout = await upgrade.run({ params: { id: node.id }, body }).catch(() => null);
    if (rollout === null) return;
    onClose();
    void navigate(`/rollouts/${rollout.id}`);
  };
  return (
    <>
      <Checkbox isSelected={isOnlineOnly} onChange={setOnlineOnly}>
        Only if it is online now; otherwise it waits for up to a day
      </Checkbox>
      {upgrade.error === null ? null : <Problem error={upgrade.error} />}
      <div className="row row-end row-wrap">
        <Button onPress={onClose} isDisabled={upgrade.isRunning}>
          Go back
        </Button>
        <Button
          kind="primary"
          icon={<ArrowUpCircle aria-hidden />}
          isBusy={upgrade.isRunning}
          isDisabled={offer === null}
          onPress={() => {
            if (offer !== null) void start(offer);
          }}
        >
          {offer === null ? 'Upgrade' : `Upgrade to ${offer.version}`}
        </Button>
      </div>
    </>
  );
};
