import { usageError } from '../command.js';
import type { Block, ColumnKind, Facts, Grid } from './blocks.js';
import { colourOf, painted, type Look } from './look.js';
import { cut, isolated, plain, width } from './text.js';
import { distance, isMoment } from './times.js';

/** Columns are not cut below this: less says nothing. */
const COLUMN_CELLS_MIN = 8;
const GAP = '  ';

const isTime = (kind: ColumnKind | undefined): boolean => kind === 'time' || kind === 'wide-time';
const isWideOnly = (kind: ColumnKind | undefined): boolean =>
  kind === 'wide' || kind === 'wide-time';

/** Blocks as text: tables and facts are set apart by an empty line. */
export function render(blocks: Block | readonly Block[], look: Look): string {
  const list = (Array.isArray(blocks) ? blocks : [blocks]) as readonly Block[];
  let text = '';
  for (const block of list) {
    if (text !== '' && typeof block === 'object') text += '\n';
    text += rendered(block, look);
  }
  return text;
}

function rendered(block: Block, look: Look): string {
  if (typeof block === 'string') return block;
  return block.type === 'grid' ? gridText(block, look) : factsText(block, look);
}

/** Which columns are shown, by their place. Throws `cli_usage` for a heading that there is not. */
function chosen({ headings }: Grid, look: Look): number[] {
  if (look.columns === null) {
    const all = headings.map((_, index) => index);
    return all.filter((index) => look.isWide || !isWideOnly(headings[index]?.kind));
  }
  return look.columns.map((wanted) => placeOf(headings, wanted));
}

/** Where a column stands; headings of several words may be written with dashes. */
export function placeOf(headings: readonly { readonly text: string }[], wanted: string): number {
  const said = wanted.trim().toLowerCase().replaceAll('-', ' ');
  const index = headings.findIndex(({ text }) => text === said);
  if (index >= 0) return index;
  const known = headings.map(({ text }) => text.replaceAll(' ', '-')).filter((text) => text !== '');
  throw usageError(`there is no column ${plain(wanted)}`, `Take some of ${known.join(', ')}.`);
}

function cellText(value: string | number | null, kind: ColumnKind | undefined, look: Look): string {
  const text = plain(String(value ?? '-')) || '-';
  return isTime(kind) && !look.isWide ? distance(text, look.now) : text;
}

function gridText(grid: Grid, look: Look): string {
  const places = chosen(grid, look);
  if (grid.rows.length === 0) return `${grid.whenEmpty}\n`;
  const kinds = places.map((place) => grid.headings[place]?.kind);
  const headings = places.map((place) => (grid.headings[place]?.text ?? '').toUpperCase());
  const rows = grid.rows.map((row) =>
    places.map((place, at) => cellText(row[place] ?? null, kinds[at], look)),
  );
  const lines = look.hasHeadings ? [headings, ...rows] : rows;
  const widths = fitted(
    headings.map((_, at) => Math.max(...lines.map((line) => width(line[at] ?? '')))),
    kinds,
    look,
  );
  return lines
    .map((line, index) =>
      lineText(line, { widths, kinds, isHead: line === headings && index === 0 }, look),
    )
    .join('');
}

interface LineForm {
  readonly widths: readonly number[];
  readonly kinds: readonly (ColumnKind | undefined)[];
  readonly isHead: boolean;
}

function lineText(line: readonly string[], form: LineForm, look: Look): string {
  const last = line.length - 1;
  const cells = line.map((whole, at) => {
    const cells = form.widths[at] ?? 0;
    const cell = cut(whole, cells);
    const pad = at === last ? '' : ' '.repeat(Math.max(0, cells - width(cell)));
    return styled(cell, form.isHead ? 'head' : form.kinds[at], look) + pad;
  });
  return `${cells.join(GAP).trimEnd()}\n`;
}

function styled(cell: string, kind: ColumnKind | 'head' | undefined, look: Look): string {
  if (kind === 'head') return painted(cell, 'bold', look);
  const text = look.cells === null ? cell : isolated(cell);
  return kind === 'state' ? painted(text, colourOf(cell), look) : text;
}

/**
 * Widths that fit into the terminal: the widest give way first, down to where they are as narrow as the
 * next. Ids and the first column are copied by people and stay whole; what cannot be helped runs over.
 */
function fitted(
  widths: readonly number[],
  kinds: readonly (ColumnKind | undefined)[],
  look: Look,
): readonly number[] {
  if (look.cells === null || look.isWide) return widths;
  const fit = [...widths];
  const mayShrink = (at: number): boolean =>
    at > 0 && kinds[at] !== 'id' && (fit[at] ?? 0) > COLUMN_CELLS_MIN;
  let over =
    fit.reduce((sum, cells) => sum + cells, 0) + GAP.length * (fit.length - 1) - look.cells;
  while (over > 0) {
    const open = fit.map((_, at) => at).filter(mayShrink);
    if (open.length === 0) break;
    const widest = open.reduce((best, at) => ((fit[at] ?? 0) > (fit[best] ?? 0) ? at : best));
    fit[widest] = (fit[widest] ?? 0) - 1;
    over -= 1;
  }
  return fit;
}

function factsText({ pairs }: Facts, look: Look): string {
  const longest = Math.max(...pairs.map(([name]) => width(name)));
  return pairs
    .map(([name, value]) => {
      const text = plain(String(value ?? '-'));
      const near = isMoment(text) ? ` (${distance(text, look.now)})` : '';
      const label = painted(`${name}:`, 'dim', look) + ' '.repeat(longest - width(name) + 1);
      const shown = painted(text, FACT_STATES.has(name) ? colourOf(text) : null, look);
      return `${label}${shown}${painted(near, 'dim', look)}\n`;
    })
    .join('');
}

/** Facts whose value is a state, by their name. */
const FACT_STATES: ReadonlySet<string> = new Set([
  'status',
  'state',
  'verdict',
  'health',
  'upgrades',
]);
