import type { ReactNode } from 'react';
import { Link } from 'react-router';
import { useApi } from '../../app/api.js';
import { Card, Copy, StateBadge } from '../../ui/index.js';
import type { ReleaseWhole } from './release-files.js';

/** From the widest audience to the narrowest. */
const CHANNELS = ['stable', 'beta', 'dev'] as const;
const SEEN_BY: Readonly<Record<(typeof CHANNELS)[number], string>> = {
  stable: 'seen by every node',
  beta: 'seen by nodes that follow beta or dev',
  dev: 'seen by nodes that follow dev',
};

/** On which channels the version is, and how it comes to a wider one. */
export const Promote = ({ release }: { readonly release: ReleaseWhole }): ReactNode => {
  const { product, version } = release;
  const { data } = useApi('releases.list', { query: { product, version, limit: 10 } });
  const here = data?.items ?? [release];
  const { data: newest } = useApi('releases.list', { query: { product, limit: 100 } });
  const next = Math.max(release.sequence, ...(newest?.items ?? []).map((one) => one.sequence)) + 1;
  const places = here.map(({ channel }) => CHANNELS.indexOf(channel));
  const wider = CHANNELS.slice(0, Math.max(0, Math.min(...places)));
  const target = wider.at(-1);
  return (
    <Card title="Channels">
      <div className="stack">
        <ul className="stack-tight channels">
          {CHANNELS.map((channel) => {
            const on = here.find((one) => one.channel === channel);
            return (
              <li key={channel} className="row">
                <strong>{channel}</strong>
                {on === undefined ? (
                  <span className="soft">not there · {SEEN_BY[channel]}</span>
                ) : (
                  <>
                    <StateBadge state={on.state} />
                    {on.id === release.id ? (
                      <span className="soft">{SEEN_BY[channel]}</span>
                    ) : (
                      <Link to={`/releases/${on.id}`}>sequence {on.sequence}</Link>
                    )}
                  </>
                )}
              </li>
            );
          })}
        </ul>
        {target === undefined || release.state !== 'published' ? null : (
          <div className="stack-tight">
            <h3>Promote</h3>
            <p className="soft small">
              A signature is for one channel, so a wider one wants a new manifest and new
              signatures. That happens where your key is; nobody can promote without it, the manager
              least of all.
            </p>
            {[target].map((channel) => (
              <Copy
                key={channel}
                label="commands"
                text={`bellwether release promote ${product}@${version} --channel ${channel} --sequence ${next} --out ripe/\nbellwether release sign --key release.key ripe/\nbellwether release publish ripe/`}
              />
            ))}
          </div>
        )}
      </div>
    </Card>
  );
};
