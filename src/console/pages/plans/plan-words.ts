import type { Answer } from '../../../client/index.js';
import { counted } from '../../app/words.js';
import { STRATEGIES } from '../change/reasons.js';

export type Plan = Answer<'plans.show'>;
export type Schedule = Answer<'schedules.show'>;

/** What a plan does, in a few words. */
export function howInWords({ terms }: Plan): string {
  const label = STRATEGIES.find(({ value }) => value === terms.strategy)?.label ?? terms.strategy;
  const more = ownInWords(terms);
  return more === '' ? label : `${label}: ${more}`;
}

function ownInWords(terms: Plan['terms']): string {
  switch (terms.strategy) {
    case 'staged':
      return terms.wave_percents.map((percent) => `${percent} %`).join(', ');
    case 'rolling':
      return `${terms.step_percent} % a step`;
    case 'canary':
      return `${terms.canary_percent} % first`;
    case 'immediate':
      return '';
    case 'scheduled':
      return counted(terms.rings.length, 'ring');
    case 'custom':
      return counted(terms.waves.length, 'wave');
  }
}

export function windowInWords(window: Schedule['window']): string {
  if (window === null) return 'at any time';
  const { days, start, duration_minutes: minutes, time_zone: zone } = window;
  const when = days.length === 7 ? 'daily' : days.join(', ');
  const long = minutes % 60 === 0 ? `${minutes / 60} h` : `${minutes} min`;
  return `${when} at ${start} for ${long}, ${zone}`;
}
