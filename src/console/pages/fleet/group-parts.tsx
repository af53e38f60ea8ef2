import { Ban, CircleCheck, CirclePause } from 'lucide-react';
import type { ReactNode } from 'react';
import type { Answer } from '../../../client/index.js';
import { Badge } from '../../ui/index.js';

export type Numbers = Answer<'fleet.groups'>['items'][number];
export type Mode = Answer<'groups.switch'>['mode'];

const LOOKS = {
  enabled: { tone: 'good', icon: CircleCheck },
  suspended: { tone: 'warn', icon: CirclePause },
  disabled: { tone: 'bad', icon: Ban },
} as const;

/** Whether upgrades may start. */
export const ModeBadge = ({ mode }: { readonly mode: Mode }): ReactNode => (
  <Badge tone={LOOKS[mode].tone} icon={LOOKS[mode].icon}>
    {mode}
  </Badge>
);

export const MODE_WORDS: Readonly<Record<Mode, string>> = {
  enabled: 'Upgrades start as rollouts say.',
  suspended: 'Nothing new starts; what is under way is finished.',
  disabled: 'Nothing starts, and new rollouts are refused.',
};
