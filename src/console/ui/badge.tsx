import {
  Ban,
  CheckCircle2,
  CircleDashed,
  CircleDot,
  CirclePause,
  Clock,
  HelpCircle,
  LoaderCircle,
  type LucideIcon,
  Undo2,
  WifiOff,
  XCircle,
} from 'lucide-react';
import type { ReactNode } from 'react';
import { Tip } from './tip.js';
import { words } from '../app/words.js';

export type Tone = 'idle' | 'moving' | 'trial' | 'good' | 'warn' | 'bad';

/** A word with a colour, and a sign for those who see no colours. */
export const Badge = ({
  tone = 'idle',
  icon: Icon,
  children,
  title,
}: {
  readonly tone?: Tone;
  readonly icon?: LucideIcon;
  readonly children: ReactNode;
  /** More about it, on hover and focus. */
  readonly title?: ReactNode;
}): ReactNode => {
  const badge = (
    <span className={`badge tone-${tone}`}>
      {Icon === undefined ? null : <Icon aria-hidden />}
      <span className="cut">{children}</span>
    </span>
  );
  return title === undefined ? badge : <Tip text={title}>{badge}</Tip>;
};

interface Look {
  readonly tone: Tone;
  readonly icon: LucideIcon;
  readonly word?: string;
}

/** How each state of anything looks, in one place: the same word has the same colour on all pages. */
const LOOKS: Readonly<Record<string, Look>> = {
  // nodes
  online: { tone: 'good', icon: CheckCircle2 },
  offline: { tone: 'idle', icon: WifiOff },
  revoked: { tone: 'bad', icon: Ban },
  // targets of a rollout
  pending: { tone: 'idle', icon: Clock },
  offered: { tone: 'moving', icon: LoaderCircle },
  accepted: { tone: 'moving', icon: LoaderCircle },
  downloading: { tone: 'moving', icon: LoaderCircle },
  staged: { tone: 'moving', icon: LoaderCircle },
  swapping: { tone: 'trial', icon: LoaderCircle },
  probation: { tone: 'trial', icon: CircleDot },
  succeeded: { tone: 'good', icon: CheckCircle2 },
  failed: { tone: 'bad', icon: XCircle },
  rolled_back: { tone: 'warn', icon: Undo2, word: 'rolled back' },
  silent: { tone: 'warn', icon: HelpCircle },
  skipped: { tone: 'idle', icon: CircleDashed },
  cancelled: { tone: 'idle', icon: Ban },
  // rollouts and waves
  in_progress: { tone: 'moving', icon: LoaderCircle, word: 'in progress' },
  paused: { tone: 'warn', icon: CirclePause },
  complete: { tone: 'good', icon: CheckCircle2 },
  open: { tone: 'moving', icon: LoaderCircle },
  settling: { tone: 'trial', icon: CircleDot },
  passed: { tone: 'good', icon: CheckCircle2 },
  unstarted: { tone: 'idle', icon: Clock },
  canary: { tone: 'trial', icon: CircleDot },
  active: { tone: 'moving', icon: LoaderCircle },
  done: { tone: 'good', icon: CheckCircle2 },
  // verdicts
  good: { tone: 'good', icon: CheckCircle2 },
  bad: { tone: 'bad', icon: XCircle },
  unknown: { tone: 'idle', icon: HelpCircle },
  // a node, as people ask for it
  upgrading: { tone: 'moving', icon: LoaderCircle },
  updated: { tone: 'good', icon: CheckCircle2 },
  upgrade_failed: { tone: 'bad', icon: XCircle, word: 'upgrade failed' },
  // releases
  draft: { tone: 'idle', icon: CircleDashed },
  published: { tone: 'good', icon: CheckCircle2 },
  yanked: { tone: 'bad', icon: Ban },
  // schedules
  idle: { tone: 'good', icon: CheckCircle2 },
  waiting: { tone: 'moving', icon: Clock },
  refused: { tone: 'bad', icon: XCircle },
  // people
  disabled: { tone: 'idle', icon: Ban },
  expired: { tone: 'warn', icon: Clock },
};
const UNKNOWN: Look = { tone: 'idle', icon: HelpCircle };

export const toneOf = (state: string): Tone => (LOOKS[state] ?? UNKNOWN).tone;

/** The state of anything. */
export const StateBadge = ({
  state,
  title,
}: {
  readonly state: string;
  readonly title?: ReactNode;
}): ReactNode => {
  const { tone, icon, word } = LOOKS[state] ?? UNKNOWN;
  return (
    <Badge tone={tone} icon={icon} {...(title === undefined ? {} : { title })}>
      {word ?? words(state)}
    </Badge>
  );
};
