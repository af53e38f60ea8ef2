import { useEffect, useMemo, useRef, useState, type ReactNode } from 'react';
import { useNavigate } from 'react-router';
import { counted, words } from '../../ui/index.js';
import { STATES, type Cells, type CellStore } from './cells.js';
import {
  cellAt,
  drawCells,
  layoutOf,
  readInks,
  type CellLayout,
  type Inks,
} from './cell-drawing.js';
import { CellTip } from './cell-tip.js';
import { useTheme } from '../../app/theme.js';

/**
 * One wave: every node a cell, drawn on a canvas. Only cells that changed are drawn again. A cell is
 * reached by the pointer, or by arrow keys from the picture; Enter or a click leads to its node.
 */
export const CellPicture = ({
  store,
  cells,
  wave,
  name,
  only,
}: {
  readonly store: CellStore;
  readonly cells: Cells;
  readonly wave: number;
  readonly name: string;
  /** A state that alone is in full colour; null: all. */
  readonly only: string | null;
}): ReactNode => {
  const frame = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const width = useWidth(frame);
  const list = cells.ofWave[wave] ?? NONE;
  const layout = useMemo(() => layoutOf(list.length, width), [list, width]);
  useDrawing({ canvas, store, wave, list, layout, only });
  const [at, setAt] = useState<number | null>(null);
  const navigate = useNavigate();
  const place = at === null ? undefined : list[at];
  const id = place === undefined ? undefined : cells.ids[place];
  const open = (): void => {
    if (id !== undefined) void navigate(`/nodes/${id}`);
  };
  const onKeyDown = (event: React.KeyboardEvent): void => {
    const step = stepOf(event.key, layout.perRow);
    if (event.key === 'Enter') open();
    else if (event.key === 'Escape') setAt(null);
    else if (event.key === 'Home') setAt(0);
    else if (event.key === 'End') setAt(list.length - 1);
    else if (step === 0) return;
    else setAt((now) => clamp(now === null ? 0 : now + step, list.length));
    event.preventDefault();
  };
  const onPointerMove = (event: React.PointerEvent): void => {
    const box = event.currentTarget.getBoundingClientRect();
    setAt(cellAt(layout, event.clientX - box.left, event.clientY - box.top, list.length));
  };
  return (
    <div
      ref={frame}
      className="cells"
      role="application"
      aria-roledescription="picture of nodes"
      aria-label={`${name}: ${counted(list.length, 'node')}. Arrow keys go from node to node, Enter opens one.`}
      tabIndex={0}
      style={{ height: layout.height }}
      onKeyDown={onKeyDown}
      onPointerMove={onPointerMove}
      onPointerLeave={() => setAt(null)}
      onBlur={() => setAt(null)}
      onClick={open}
    >
      <canvas ref={canvas} aria-hidden className="cells-canvas" />
      {at === null || place === undefined || id === undefined ? null : (
        <>
          <Mark layout={layout} at={at} />
          <CellTip
            rolloutId={store.id}
            nodeId={id}
            state={STATES[cells.states[place] ?? 0] ?? 'pending'}
            x={(at % layout.perRow) * layout.pitch}
            y={(Math.floor(at / layout.perRow) + 1) * layout.pitch}
            width={width}
          />
        </>
      )}
    </div>
  );
};

const NONE = new Uint32Array();
/** Some milliseconds on a slow machine. */
const CELLS_AT_ONCE = 2_500;
/** Of so few nobody waits, however many waves there are. */
const CELLS_AT_ONCE_NOW = 200;

const clamp = (at: number, length: number): number => Math.max(0, Math.min(length - 1, at));

function stepOf(key: string, perRow: number): number {
  switch (key) {
    case 'ArrowRight':
      return 1;
    case 'ArrowLeft':
      return -1;
    case 'ArrowDown':
      return perRow;
    case 'ArrowUp':
      return -perRow;
    default:
      return 0;
  }
}

const Mark = ({ layout, at }: { readonly layout: CellLayout; readonly at: number }): ReactNode => (
  <span
    className="cells-mark"
    style={{
      left: (at % layout.perRow) * layout.pitch - 2,
      top: Math.floor(at / layout.perRow) * layout.pitch - 2,
      width: layout.size + 4,
      height: layout.size + 4,
    }}
  />
);

/** How wide the frame is, in whole pixels. */
function useWidth(frame: React.RefObject<HTMLElement | null>): number {
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const element = frame.current;
    if (element === null) return undefined;
    const watch = new ResizeObserver(([entry]) => {
      setWidth(Math.floor(entry?.contentRect.width ?? 0));
    });
    watch.observe(element);
    return () => watch.disconnect();
  }, [frame]);
  return width;
}

/** Draws all when the layout, the filter or the theme changes; afterwards only what the store tells. */
function useDrawing({
  canvas,
  store,
  wave,
  list,
  layout,
  only,
}: {
  readonly canvas: React.RefObject<HTMLCanvasElement | null>;
  readonly store: CellStore;
  readonly wave: number;
  readonly list: Uint32Array;
  readonly layout: CellLayout;
  readonly only: string | null;
}): void {
  const theme = useTheme();
  useEffect(() => {
    const element = canvas.current;
    const context = element?.getContext('2d', { alpha: true });
    if (element == null || context == null || layout.perRow === 0) return undefined;
    const ratio = Math.min(2, globalThis.devicePixelRatio);
    element.width = Math.ceil(layout.width * ratio);
    element.height = Math.ceil(layout.height * ratio);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    let inks: Inks = readInks(element);
    // Drawn in pieces: so many cells at once, then others have their turn.
    let waiting: number[] = [];
    let timer: ReturnType<typeof setTimeout> | null = null;
    const drawSome = (): void => {
      timer = null;
      const now = store.snapshot();
      if (now === null) return;
      const next = waiting.splice(-CELLS_AT_ONCE);
      drawCells({ context, inks, layout, list, only }, now.states, next);
      if (waiting.length > 0) timer = setTimeout(drawSome);
    };
    const drawNow = (): void => {
      if (timer !== null) clearTimeout(timer);
      drawSome();
    };
    const draw = (changed: readonly number[] | null): void => {
      const now = store.snapshot();
      if (now === null) return;
      if (changed === null) waiting = Array.from(list.keys()).toReversed();
      else
        for (const place of changed)
          if (now.waves[place] === wave) waiting.push(now.positions[place] ?? 0);
      if (waiting.length > 0) timer ??= setTimeout(drawSome);
    };
    draw(null);
    // A new size has wiped it: what is quickly drawn is there again before anybody sees that.
    if (list.length <= CELLS_AT_ONCE_NOW) drawNow();
    const scheme = matchMedia('(prefers-color-scheme: dark)');
    const recolour = (): void => {
      inks = readInks(element);
      draw(null);
    };
    scheme.addEventListener('change', recolour);
    const stop = store.onChange(draw);
    return () => {
      if (timer !== null) clearTimeout(timer);
      stop();
      scheme.removeEventListener('change', recolour);
    };
  }, [canvas, store, wave, list, layout, only, theme]);
}

/** What each state looks like, with counts; a press shows only one of them. */
export const CellLegend = ({
  cells,
  only,
  onOnly,
}: {
  readonly cells: Cells;
  readonly only: string | null;
  readonly onOnly: (state: string | null) => void;
}): ReactNode => (
  <div className="cell-legend" role="group" aria-label="Show only nodes that are">
    {STATES.map((state, index) => {
      const n = cells.counts[index] ?? 0;
      if (n === 0 && only !== state) return null;
      const isOnly = only === state;
      return (
        <button
          key={state}
          type="button"
          className="cell-key"
          aria-pressed={isOnly}
          onClick={() => onOnly(isOnly ? null : state)}
        >
          <span className={`cell-swatch cell-${state}`} aria-hidden />
          {words(state)} <strong className="figures">{n.toLocaleString('en')}</strong>
        </button>
      );
    })}
    {only === null ? null : (
      <button type="button" className="cell-key" onClick={() => onOnly(null)}>
        Show all
      </button>
    )}
  </div>
);
