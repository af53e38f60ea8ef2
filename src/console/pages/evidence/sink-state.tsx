import { CircleCheck, CirclePause, CircleX, Clock, type LucideIcon } from 'lucide-react';
import type { ReactNode } from 'react';
import { Badge, count, counted, spell, type Tone } from '../../ui/index.js';
import type { Sink } from './sink-kinds.js';

const LOOKS: Readonly<
  Record<Sink['state'], { readonly tone: Tone; readonly icon: LucideIcon; readonly word: string }>
> = {
  delivering: { tone: 'good', icon: CircleCheck, word: 'delivering' },
  waiting: { tone: 'warn', icon: Clock, word: 'trying again' },
  failing: { tone: 'bad', icon: CircleX, word: 'failing' },
  paused: { tone: 'warn', icon: CirclePause, word: 'paused' },
};
const CIRCUITS = { closed: 'closed', open: 'open', half_open: 'half open' } as const;

export const SinkBadge = ({ sink }: { readonly sink: Sink }): ReactNode => {
  const { tone, icon, word } = LOOKS[sink.state];
  return (
    <Badge tone={tone} icon={icon} title={sink.health}>
      {word}
    </Badge>
  );
};

export const circuitInWords = ({ circuit }: Sink): string =>
  circuit.failures === 0
    ? CIRCUITS[circuit.state]
    : `${CIRCUITS[circuit.state]}, ${counted(circuit.failures, 'failure')}`;

/** How far behind, for people: `up to date`, `1,204 events, 3 min`. */
export const lagInWords = ({ lag }: Sink): string =>
  lag.events === 0 ? 'up to date' : `${counted(lag.events, 'event')}, ${spell(lag.seconds)} behind`;

/** Where it delivers to. */
export function destinationOf({ config }: Sink): string {
  const { url, host, port, path } = config as Readonly<Record<string, string | number | undefined>>;
  if (url !== undefined) return String(url);
  if (host !== undefined) return `${host}:${port ?? ''}`;
  return String(path ?? '');
}

export const deliveredInWords = ({ delivered, missed }: Sink): string =>
  missed === 0
    ? counted(delivered, 'event')
    : `${counted(delivered, 'event')}; ${count(missed)} taken away by retention first`;
