import { BadgeCheck, CircleDot } from 'lucide-react';
import type { ReactNode } from 'react';
import { bytes, Card, Copy, counted, Empty } from '../../ui/index.js';
import type { ReleaseWhole } from './release-files.js';
import { readSignature } from './signature-text.js';

/** What a node asks of a release before it runs a byte of it, by its own policy. */
const NODE_CHECKS: readonly string[] = [
  'That enough signers of its own policy file signed exactly these bytes; each key or workflow counts once.',
  'That the product, the channel and the lowest version are allowed there, and that it has not expired.',
  'That its sequence is not below what the node has seen: nobody can bring an old release as a new one.',
  'That what was downloaded has the size and the SHA-256 of this manifest, before anything is unpacked.',
];

/** Who signed what, and what is made of it. */
export const Signatures = ({ release }: { readonly release: ReleaseWhole }): ReactNode => {
  const { signatures, manifest_sha256: digest } = release;
  const size = new TextEncoder().encode(release.manifest).length;
  return (
    <Card title="Signatures">
      <div className="stack">
        {signatures.length === 0 ? (
          <Empty title="Nobody has signed it yet">
            A draft may be without signatures; it cannot be published like that.
          </Empty>
        ) : (
          signatures.map((text, index) => <Signature key={index} text={text} />)
        )}
        <div className="stack-tight">
          <span className="small soft">
            Over these {bytes(size)} of the manifest, byte for byte, with the SHA-256
          </span>
          <Copy text={digest} label="digest of the manifest" />
        </div>
        <div>
          <h3>What each node checks for itself</h3>
          <ul className="claims">
            {NODE_CHECKS.map((check) => (
              <li key={check}>
                <CircleDot data-open aria-hidden />
                <span>{check}</span>
              </li>
            ))}
          </ul>
          <p className="soft small">
            The manager cannot answer for this page: it keeps the signatures and does not decide
            what may run. Check them where your policy is, rule by rule:
          </p>
        </div>
        <Copy text="bellwether release verify FOLDER --policy policy.toml" label="command" />
      </div>
    </Card>
  );
};

const Signature = ({ text }: { readonly text: string }): ReactNode => {
  const { kind, by, lines } = readSignature(text);
  return (
    <div className="part">
      <h3 className="row">
        <BadgeCheck size={17} aria-hidden />
        <bdi className="wrap-anywhere">Signed by {by}</bdi>
      </h3>
      {kind === 'unknown' ? (
        <p>A kind of signature that this page does not know ({counted(text.length, 'letter')}).</p>
      ) : (
        <dl className="facts">
          {lines.map(([what, says]) => (
            <div key={what} style={{ display: 'contents' }}>
              <dt>{what}</dt>
              <dd>
                <bdi>{says}</bdi>
              </dd>
            </div>
          ))}
        </dl>
      )}
    </div>
  );
};
