import { Signpost } from 'lucide-react';
import type { ReactNode } from 'react';
import { ButtonLink, Empty, Page } from '../ui/index.js';

export default function NotFound(): ReactNode {
  return (
    <Page title="No such page">
      <Empty
        icon={<Signpost aria-hidden />}
        title="Nothing is at this address"
        action={<ButtonLink to="/">To the overview</ButtonLink>}
      >
        The link may be old, or what it leads to was removed.
      </Empty>
    </Page>
  );
}
