import type { Channel } from './names.js';

/** From the narrowest audience to the widest. */
const BY_WIDTH: readonly Channel[] = ['dev', 'beta', 'stable'];

export const isWider = (channel: Channel, than: Channel): boolean =>
  BY_WIDTH.indexOf(channel) > BY_WIDTH.indexOf(than);

/** What a channel sees: itself and every wider one (DESIGN 2), the widest first. */
export const seenOn = (channel: Channel): readonly Channel[] =>
  BY_WIDTH.slice(BY_WIDTH.indexOf(channel)).reverse();

/** The widest of some channels; null of none. */
export const widestOf = (channels: Iterable<Channel>): Channel | null => {
  let widest: Channel | null = null;
  for (const channel of channels) {
    if (widest === null || isWider(channel, widest)) widest = channel;
  }
  return widest;
};
