/** A part of a terminal that is drawn again in place. */
export interface Canvas {
  /** Draws when the text is another one than before. Lines beyond the height of the screen are counted. */
  draw(text: string): void;
  /** Wipes what was drawn: the end is told otherwise. */
  clear(): void;
}

/**
 * Draws with nothing but "up", "to the end of the screen": it works wherever a shell works, leaves what
 * stood above alone, and hides no cursor that somebody would have to bring back.
 */
export function makeCanvas(write: (text: string) => void, rows: () => number): Canvas {
  let drawn = '';
  let height = 0;
  const wipe = (): string => (height === 0 ? '' : `\u001b[${height}A\r\u001b[J`);
  return {
    draw: (text) => {
      if (text === drawn) return;
      const lines = text.replace(/\n$/, '').split('\n');
      const room = Math.max(3, rows() - 1);
      const shown =
        lines.length <= room
          ? lines
          : [...lines.slice(0, room - 1), `(${lines.length - room + 1} more lines)`];
      write(`${wipe()}${shown.join('\n')}\n`);
      [drawn, height] = [text, shown.length];
    },
    clear: () => {
      write(wipe());
      [drawn, height] = ['', 0];
    },
  };
}
