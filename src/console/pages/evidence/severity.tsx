import { Info, OctagonAlert, TriangleAlert, type LucideIcon } from 'lucide-react';
import type { ReactNode } from 'react';
import { Badge, type Tone } from '../../ui/index.js';

const LOOKS: Readonly<Record<string, { readonly tone: Tone; readonly icon: LucideIcon }>> = {
  info: { tone: 'idle', icon: Info },
  warning: { tone: 'warn', icon: TriangleAlert },
  critical: { tone: 'bad', icon: OctagonAlert },
};

export const SeverityBadge = ({ severity }: { readonly severity: string }): ReactNode => {
  const { tone, icon } = LOOKS[severity] ?? { tone: 'idle', icon: Info };
  return (
    <Badge tone={tone} icon={icon}>
      {severity}
    </Badge>
  );
};
