import { Users } from 'lucide-react';
import type { ReactNode } from 'react';
import { Button } from './button.js';
import { Facts, Note } from './page.js';
import { Time } from './time.js';
import type { Difference } from '../app/words.js';

/** Somebody else changed what is in this form: what, and how to go on. Nothing is saved until that is said. */
export const Conflict = ({
  by,
  at,
  differences,
  onTakeOver,
  onBeginAgain,
}: {
  readonly by: string;
  readonly at: string;
  readonly differences: readonly Difference[];
  readonly onTakeOver: () => void;
  readonly onBeginAgain: () => void;
}): ReactNode => (
  <div role="alert">
    <Note tone="warn" icon={<Users aria-hidden />}>
      <div className="stack">
        <strong>
          <bdi>{by}</bdi> changed this <Time at={at} />, while it was open here. Nothing of yours is
          saved yet.
        </strong>
        <Facts
          items={differences.map(({ label, was, is }) => [
            label,
            <span key={label}>
              <del>{was}</del> → <ins>{is}</ins>
            </span>,
          ])}
        />
        <div className="row row-wrap">
          <Button onPress={onTakeOver}>Take it over, keep mine</Button>
          <Button onPress={onBeginAgain}>Begin again with it</Button>
        </div>
      </div>
    </Note>
  </div>
);
