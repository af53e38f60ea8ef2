import { PackageCheck, Rocket } from 'lucide-react';
import type { ReactNode } from 'react';
import type { Answer } from '../../../client/index.js';
import { useApi } from '../../app/api.js';
import { useCan, type Group } from '../../app/session.js';
import {
  Badge,
  ButtonLink,
  Card,
  counted,
  Empty,
  Loaded,
  SERIES_COLOURS,
  Time,
} from '../../ui/index.js';

type Product = Answer<'groups.upgrades'>['items'][number];
const OFFERS_SHOWN = 5;

/** What runs in a group and below, and what it could be brought to. */
export const VersionsCard = ({ group }: { readonly group: Group }): ReactNode => {
  const query = useApi(
    'groups.upgrades',
    { params: { id: group.id }, query: { limit: OFFERS_SHOWN } },
    { everyMs: 30_000 },
  );
  return (
    <Card title="Versions running">
      <Loaded query={query} lines={5}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty icon={<PackageCheck aria-hidden />} title="Nothing runs here yet">
              Once a node of this group has connected, its services and the releases for them are
              here.
            </Empty>
          ) : (
            <div className="stack">
              {items.map((product) => (
                <ProductVersions key={product.product} group={group} product={product} />
              ))}
            </div>
          )
        }
      </Loaded>
    </Card>
  );
};

const ProductVersions = ({
  group,
  product,
}: {
  readonly group: Group;
  readonly product: Product;
}): ReactNode => {
  const can = useCan();
  const newest = product.upgrades[0];
  return (
    <section className="service" aria-label={product.product}>
      <div className="row row-between row-wrap">
        <h3>
          {product.product} <span className="soft">on {counted(product.nodes, 'node')}</span>
        </h3>
        {newest !== undefined && can('group.upgrade', group.id) ? (
          <ButtonLink
            kind="primary"
            icon={<Rocket aria-hidden />}
            to={rolloutOf(group, product, newest)}
          >
            Upgrade group
          </ButtonLink>
        ) : null}
      </div>
      <Running product={product} />
      <div className="divider" />
      {product.upgrades.length === 0 ? (
        <p className="soft small">No newer release that these nodes could take.</p>
      ) : (
        <ul className="lines" aria-label="Newer releases">
          {product.upgrades.map((offer) => (
            <li key={offer.release_id} className="line row-wrap">
              <span className="row row-wrap grow">
                <strong className="figures">{offer.version}</strong>
                <Badge>{offer.channel}</Badge>
                <span className="soft small">
                  {counted(offer.direct, 'node')} at once
                  {offer.detour === 0
                    ? ''
                    : `, ${counted(offer.detour, 'node')} after another release`}
                  , published <Time at={offer.published_at} />
                </span>
              </span>
              {can('group.upgrade', group.id) ? (
                <ButtonLink kind="quiet" to={rolloutOf(group, product, offer)}>
                  Roll out {offer.version}
                </ButtonLink>
              ) : null}
            </li>
          ))}
        </ul>
      )}
    </section>
  );
};

const rolloutOf = (group: Group, product: Product, offer: Product['upgrades'][number]): string =>
  `/rollouts/new?${new URLSearchParams({
    group: group.id,
    product: product.product,
    version: offer.version,
    channel: offer.channel,
  }).toString()}`;

const Running = ({ product }: { readonly product: Product }): ReactNode => {
  const whole = Math.max(1, product.nodes);
  return (
    <ul className="running">
      {product.running.map(({ version, nodes }, i) => (
        <li key={version ?? 'none'} className="running-line">
          <span className="cut figures">{version ?? 'none yet'}</span>
          <span className="bar" aria-hidden>
            <span
              style={{
                width: `${(nodes / whole) * 100}%`,
                background: SERIES_COLOURS[i % SERIES_COLOURS.length],
              }}
            />
          </span>
          <span className="soft small figures nowrap">{counted(nodes, 'node')}</span>
        </li>
      ))}
    </ul>
  );
};
