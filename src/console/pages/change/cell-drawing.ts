import { STATES } from './cells.js';

/** Where cells are: rows of squares, smaller the more there are. Sizes in CSS pixels. */
export interface CellLayout {
  readonly size: number;
  readonly gap: number;
  readonly pitch: number;
  readonly perRow: number;
  readonly width: number;
  readonly height: number;
}

/** From so many cells on they are so large; 50 000 fit in about a screen. */
const SIZES = [
  { from: 12_001, size: 3, gap: 1 },
  { from: 3_001, size: 5, gap: 1 },
  { from: 601, size: 9, gap: 2 },
  { from: 61, size: 14, gap: 3 },
  { from: 0, size: 20, gap: 4 },
] as const;

export function layoutOf(cells: number, width: number): CellLayout {
  const { size, gap } = SIZES.find(({ from }) => cells >= from) ?? SIZES[4];
  const pitch = size + gap;
  const perRow = width === 0 ? 0 : Math.max(1, Math.floor((width + gap) / pitch));
  const rows = perRow === 0 ? 1 : Math.max(1, Math.ceil(cells / perRow));
  return { size, gap, pitch, perRow, width, height: rows * pitch - gap };
}

/** The cell under a point; null beside all of them. */
export function cellAt(
  { pitch, perRow }: CellLayout,
  x: number,
  y: number,
  cells: number,
): number | null {
  const column = Math.floor(x / pitch);
  const row = Math.floor(y / pitch);
  const at = row * perRow + column;
  return column < 0 || column >= perRow || row < 0 || at >= cells ? null : at;
}

/** Colours of the states, as the browser has them now. */
export interface Inks {
  readonly ofState: readonly string[];
  readonly sign: string;
}

/** A state besides its colour: whoever sees few colours sees the sign. */
const SIGNS: Readonly<Record<string, 'cross' | 'slash' | 'dot' | 'hollow'>> = {
  failed: 'cross',
  rolled_back: 'slash',
  silent: 'dot',
  probation: 'dot',
  skipped: 'hollow',
  cancelled: 'hollow',
};
/** Signs in smaller cells would be dirt. */
const SIGN_FROM_PX = 9;
const FADED = 0.12;

/** Reads the colours from the classes of the legend: one list for both. */
export function readInks(near: HTMLElement): Inks {
  const probe = document.createElement('span');
  near.parentElement?.append(probe);
  const ofState = STATES.map((state) => {
    probe.className = `cell-swatch cell-${state}`;
    return getComputedStyle(probe).backgroundColor;
  });
  probe.className = 'cell-sign';
  const sign = getComputedStyle(probe).color;
  probe.remove();
  return { ofState, sign };
}

interface Drawing {
  readonly context: CanvasRenderingContext2D;
  readonly inks: Inks;
  readonly layout: CellLayout;
  /** Which cell stands at which position. */
  readonly list: Uint32Array;
  readonly only: string | null;
}

/** Draws the cells at some positions, colour by colour: to change the colour costs more than a square. */
export function drawCells(
  { context, inks, layout, list, only }: Drawing,
  states: Uint8Array,
  positions: Iterable<number>,
): void {
  const byState = STATES.map((): number[] => []);
  for (const position of positions) {
    byState[states[list[position] ?? 0] ?? 0]?.push(position);
  }
  const { size, pitch, perRow } = layout;
  const hasSigns = size >= SIGN_FROM_PX;
  for (const [index, here] of byState.entries()) {
    const state = STATES[index] ?? '';
    context.fillStyle = inks.ofState[index] ?? '';
    const isFaded = only !== null && only !== state;
    for (const position of here) {
      const x = (position % perRow) * pitch;
      const y = Math.floor(position / perRow) * pitch;
      context.clearRect(x, y, size, size);
      context.globalAlpha = isFaded ? FADED : 1;
      if (hasSigns) {
        context.beginPath();
        context.roundRect(x, y, size, size, size / 5);
        context.fill();
      } else context.fillRect(x, y, size, size);
    }
    const sign = SIGNS[state];
    if (hasSigns && sign !== undefined) drawSigns({ context, inks, layout }, sign, here);
  }
  context.globalAlpha = 1;
}

function drawSigns(
  { context, inks, layout }: Pick<Drawing, 'context' | 'inks' | 'layout'>,
  sign: 'cross' | 'slash' | 'dot' | 'hollow',
  positions: readonly number[],
): void {
  const { size, pitch, perRow } = layout;
  const inset = size * 0.3;
  context.strokeStyle = inks.sign;
  context.fillStyle = inks.sign;
  context.lineWidth = Math.max(1.5, size / 9);
  context.beginPath();
  for (const position of positions) {
    const x = (position % perRow) * pitch;
    const y = Math.floor(position / perRow) * pitch;
    if (sign === 'hollow') {
      context.rect(x + inset, y + inset, size - 2 * inset, size - 2 * inset);
      continue;
    }
    if (sign === 'dot') {
      context.moveTo(x + size / 2 + inset / 2, y + size / 2);
      context.arc(x + size / 2, y + size / 2, inset / 2, 0, 7);
      continue;
    }
    context.moveTo(x + inset, y + size - inset);
    context.lineTo(x + size - inset, y + inset);
    if (sign === 'cross') {
      context.moveTo(x + inset, y + inset);
      context.lineTo(x + size - inset, y + size - inset);
    }
  }
  context.stroke();
}
