import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { giveBack, mappingsIn } from './give-back.js';

const DROP = 4;
const OFFER = 21;

const mapping = (head: string, writtenKb: number): string =>
  `${head}\nSize:  8 kB\nRss:  8 kB\nAnonymous:      ${writtenKb} kB\nVmFlags: rd mr mw me`;

const adviceOf = (text: string) => mappingsIn(text).map(({ advice }) => advice);

describe('what is given back of the memory of the agent', () => {
  it('drops code that is as its file, and only offers what can be, or was, written', () => {
    const code = '01a40000-06836000 r-xp 01838000 fe:00 4522001      /opt/a/bellwether-agent';
    expect(mappingsIn(mapping(code, 0))).toEqual([
      { at: 0x01a40000n, bytes: 0x04df6000n, advice: DROP },
    ]);
    const data = '06852000-06ef5000 rw-p 06649000 fe:00 4522001      /opt/a/bellwether-agent';
    const relocated = '06836000-06852000 r--p 06649000 fe:00 4522001 /opt/a/bellwether-agent';
    expect(adviceOf([mapping(data, 0), mapping(data, 4)].join('\n'))).toEqual([OFFER, OFFER]);
    expect(adviceOf([mapping(relocated, 12), mapping(code, 4)].join('\n'))).toEqual([OFFER, OFFER]);
  });

  it('leaves alone what is no private mapping of a file', () => {
    for (const head of [
      '54aa9200000-54ae9200000 rw-p 00000000 00:00 0 ',
      '54aa9200000-54ae9200000 rwxp 00000000 00:00 0 ',
      '7ffd1b5e0000-7ffd1b602000 rw-p 00000000 00:00 0       [stack]',
      '7f2a00000000-7f2a00001000 r--s 00000000 fe:00 4522001 /var/lib/x',
      '7f2a00000000-7f2a00001000 rw-s 00000000 00:01 1024    /memfd:x (deleted)',
    ]) {
      expect(mappingsIn(mapping(head, 0)), head).toEqual([]);
    }
    expect(mappingsIn('')).toEqual([]);
  });

  it.skipIf(process.platform !== 'linux')('everything goes on as before', async () => {
    const isShipped = 'Bun' in globalThis;
    const before = createHash('sha256').update(readFileSync('/proc/self/exe')).digest('hex');
    expect(await giveBack()).toBe(isShipped);
    expect(await giveBack()).toBe(isShipped);
    expect(createHash('sha256').update(readFileSync('/proc/self/exe')).digest('hex')).toBe(before);
  });
});
