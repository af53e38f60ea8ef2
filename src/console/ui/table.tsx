import { useVirtualizer } from '@tanstack/react-virtual';
import { ArrowDown, ArrowUp, Check } from 'lucide-react';
import { memo, useCallback, useEffect, useRef, type CSSProperties, type ReactNode } from 'react';
import { Checkbox } from './field.js';
import { Bones } from './page.js';
import { Problem } from './problem.js';
import { counted } from '../app/words.js';

export interface Column<Row> {
  readonly id: string;
  readonly title: string;
  /** As CSS takes it for a track: `120px`, `minmax(140px, 2fr)`. */
  readonly width: string;
  readonly cell: (row: Row) => ReactNode;
  /** Numbers stand at the end. */
  readonly end?: boolean;
  /** The name that the manager sorts by; left out: not sorted by it. */
  readonly sort?: string;
}

export interface Sorting {
  readonly by: string;
  readonly descending: boolean;
}

/** Rows as far as they are here. What `useList` gives is one; of rows that are all here, `items` is enough. */
interface RowList<Row> {
  readonly items: readonly Row[];
  readonly isLoading?: boolean;
  readonly error?: Error | null;
  readonly again?: () => void;
  /** More rows than are here: `more` brings them when the reader comes near the end. */
  readonly hasMore?: boolean;
  readonly more?: () => void;
}

interface TableProps<Row> {
  /** What is in it, for who cannot see it. */
  readonly label: string;
  readonly list: RowList<Row>;
  readonly keyOf: (row: Row) => string;
  readonly columns: readonly Column<Row>[];
  /** Shown when there is no row. */
  readonly empty: ReactNode;
  /** Of all rows that fit, when that is known. */
  readonly total?: number | null;
  readonly sorting?: Sorting;
  readonly onSort?: (sorting: Sorting) => void;
  readonly selected?: ReadonlySet<string>;
  readonly onSelect?: (selected: ReadonlySet<string>) => void;
  /** Height of the frame, as CSS takes it; by default as high as the window leaves room. */
  readonly height?: string;
}

const ROW_PX = 44;
/** Below this the rows are all drawn, and the page scrolls. */
const SHORT = 60;
const NEAR_END_ROWS = 15;
/** Above and below what is in view: as many as a turn of the wheel passes. */
const OVERSCAN_ROWS = 6;

/**
 * A table of any length: only rows in view are drawn. A grid by its roles, so that who cannot see it is told
 * which row of how many it is.
 */
export function Table<Row>(props: TableProps<Row>): ReactNode {
  const { columns, empty, selected } = props;
  const { items: rows, isLoading = false, error = null, again, hasMore = false, more } = props.list;
  const frame = useRef<HTMLDivElement>(null);
  const isShort = rows.length <= SHORT && props.height === undefined;
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => frame.current,
    estimateSize: () => ROW_PX,
    overscan: OVERSCAN_ROWS,
  });
  const shown = isShort
    ? rows.map((_, index) => ({ index, start: 0, end: 0 }))
    : virtual.getVirtualItems();
  const last = shown.at(-1);
  const onPick = usePick(props);
  const isNearEnd = last !== undefined && last.index >= rows.length - NEAR_END_ROWS;
  useEffect(() => {
    if (hasMore && isNearEnd) more?.();
  }, [hasMore, isNearEnd, more, rows.length]);

  if (error !== null && rows.length === 0)
    return <Problem error={error} {...(again === undefined ? {} : { again })} />;
  if (isLoading && rows.length === 0) return <Bones lines={6} />;
  if (rows.length === 0) return <>{empty}</>;

  const tracks = [
    ...(selected === undefined ? [] : ['44px']),
    ...columns.map(({ width }) => width),
  ].join(' ');
  const before = isShort ? 0 : (shown[0]?.start ?? 0);
  const after = isShort ? 0 : virtual.getTotalSize() - (last?.end ?? 0);
  return (
    <div className="stack-tight">
      <div
        ref={frame}
        className="table-frame"
        style={isShort ? {} : { height: props.height ?? 'max(320px, calc(100dvh - 300px))' }}
        // What scrolls must be reachable by keyboard.
        tabIndex={0}
        role="region"
        aria-label={props.label}
      >
        <div
          className="table"
          role="table"
          aria-label={props.label}
          aria-rowcount={hasMore ? -1 : rows.length + 1}
          style={{ '--columns': tracks } as CSSProperties}
        >
          <Head {...props} />
          <div role="rowgroup" style={{ paddingTop: before, paddingBottom: after }}>
            {shown.map(({ index }) => {
              const row = rows[index];
              if (row === undefined) return null;
              const key = props.keyOf(row);
              const isSelected = selected?.has(key) ?? null;
              return (
                <Line key={key} rowKey={key} {...{ row, index, columns, isSelected, onPick }} />
              );
            })}
          </div>
        </div>
      </div>
      <p className="soft small figures" aria-live="polite">
        {footOf(rows.length, props.total ?? null, hasMore)}
      </p>
    </div>
  );
}

/** The same function each time, so that a pick draws one row and not all. */
function usePick<Row>({
  selected,
  onSelect,
}: Pick<TableProps<Row>, 'selected' | 'onSelect'>): (key: string, isIn: boolean) => void {
  const now = useRef({ selected, onSelect });
  useEffect(() => {
    now.current = { selected, onSelect };
  });
  return useCallback((key, isIn) => {
    const next = new Set(now.current.selected);
    if (isIn) next.add(key);
    else next.delete(key);
    now.current.onSelect?.(next);
  }, []);
}

function footOf(here: number, total: number | null, hasMore: boolean): string {
  if (total !== null && total > here)
    return `${counted(total, 'row')}, ${counted(here, 'row')} loaded`;
  return hasMore ? `${counted(here, 'row')} loaded, more when you scroll` : counted(here, 'row');
}

function Head<Row>(props: TableProps<Row>): ReactNode {
  const { columns, keyOf, selected, onSelect } = props;
  const rows = props.list.items;
  const picked = selected?.size ?? 0;
  return (
    <div role="rowgroup" className="table-head">
      <div role="row" className="table-row" aria-rowindex={1}>
        {selected === undefined ? null : (
          <div role="columnheader" className="table-cell">
            <Checkbox
              label="Select all that are loaded"
              isSelected={picked > 0 && picked >= rows.length}
              isIndeterminate={picked > 0 && picked < rows.length}
              onChange={(all) => onSelect?.(new Set(all ? rows.map(keyOf) : []))}
            />
          </div>
        )}
        {columns.map((column) => (
          <HeadCell key={column.id} column={column} {...props} />
        ))}
      </div>
    </div>
  );
}

function HeadCell<Row>({
  column,
  sorting,
  onSort,
}: TableProps<Row> & { readonly column: Column<Row> }): ReactNode {
  const { sort, title, end } = column;
  const isSorted = sort !== undefined && sorting?.by === sort;
  const order = isSorted ? (sorting.descending ? 'descending' : 'ascending') : 'none';
  return (
    <div
      role="columnheader"
      className={end === true ? 'table-cell table-cell-end' : 'table-cell'}
      {...(sort === undefined ? {} : { 'aria-sort': order })}
    >
      {sort === undefined || onSort === undefined ? (
        title
      ) : (
        <button
          type="button"
          className="table-sort"
          onClick={() => onSort({ by: sort, descending: isSorted && !sorting.descending })}
        >
          {title}
          {isSorted ? (
            sorting.descending ? (
              <ArrowDown aria-hidden />
            ) : (
              <ArrowUp aria-hidden />
            )
          ) : null}
        </button>
      )}
    </div>
  );
}

interface LineProps<Row> {
  readonly row: Row;
  readonly rowKey: string;
  readonly index: number;
  readonly columns: readonly Column<Row>[];
  /** Null: rows cannot be picked. */
  readonly isSelected: boolean | null;
  readonly onPick: (key: string, isIn: boolean) => void;
}

function LineOf<Row>(props: LineProps<Row>): ReactNode {
  const { row, rowKey, index, columns, isSelected, onPick } = props;
  return (
    <div
      role="row"
      className="table-row"
      aria-rowindex={index + 2}
      {...(isSelected === null ? {} : { 'aria-selected': isSelected })}
      style={{ minHeight: ROW_PX }}
    >
      {isSelected === null ? null : (
        <div role="cell" className="table-cell">
          <RowCheckbox isSelected={isSelected} onChange={(isIn) => onPick(rowKey, isIn)} />
        </div>
      )}
      {columns.map(({ id, cell, end }) => (
        <div
          key={id}
          role="cell"
          className={end === true ? 'table-cell table-cell-end' : 'table-cell'}
        >
          {cell(row)}
        </div>
      ))}
    </div>
  );
}

/** Drawn again only when its row, its place or the columns changed. */
const Line = memo(LineOf) as typeof LineOf;

/** The browser's own: rows come and go by the dozen while one scrolls, and each has one. */
const RowCheckbox = ({
  isSelected,
  onChange,
}: {
  readonly isSelected: boolean;
  readonly onChange: (isSelected: boolean) => void;
}): ReactNode => (
  <label className="check check-row" {...(isSelected ? { 'data-selected': true } : {})}>
    <input
      type="checkbox"
      aria-label="Select this row"
      checked={isSelected}
      onChange={(event) => onChange(event.currentTarget.checked)}
    />
    <span className="check-box" aria-hidden>
      {isSelected ? <Check size={13} strokeWidth={3} /> : null}
    </span>
  </label>
);
