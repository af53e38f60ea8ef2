import type { ReactNode } from 'react';
import { useEffect } from 'react';
import { Link } from 'react-router';
import { Problem } from './problem.js';

/** A page: its title (also that of the tab), what can be done here, and its content. */
export const Page = ({
  title,
  beside,
  actions,
  crumbs = [],
  children,
}: {
  readonly title: string;
  /** Next to the title, such as a state. */
  readonly beside?: ReactNode;
  readonly actions?: ReactNode;
  readonly crumbs?: readonly { readonly to: string; readonly label: string }[];
  readonly children: ReactNode;
}): ReactNode => {
  useEffect(() => {
    document.title = `${title} · Bellwether`;
  }, [title]);
  return (
    <div>
      {crumbs.length === 0 ? null : (
        <nav aria-label="Where this is" className="crumbs">
          {crumbs.map(({ to, label }) => (
            <span key={to}>
              <Link to={to}>{label}</Link> /
            </span>
          ))}
        </nav>
      )}
      <div className="page-head">
        <div className="page-title">
          <h1 className="wrap-anywhere">{title}</h1>
          {beside}
        </div>
        {actions === undefined ? null : <div className="row row-wrap">{actions}</div>}
      </div>
      {children}
    </div>
  );
};

export const Card = ({
  title,
  actions,
  children,
  flush = false,
}: {
  readonly title?: ReactNode;
  readonly actions?: ReactNode;
  readonly children: ReactNode;
  /** Content that has edges of its own, such as a table. */
  readonly flush?: boolean;
}): ReactNode => (
  <section className="card">
    {title === undefined ? null : (
      <div className="card-head">
        <h2>{title}</h2>
        {actions}
      </div>
    )}
    {flush ? children : <div className="card-body">{children}</div>}
  </section>
);

/** Nothing to show: what belongs here, and what to do next. */
export const Empty = ({
  icon,
  title,
  children,
  action,
}: {
  readonly icon?: ReactNode;
  readonly title: string;
  readonly children?: ReactNode;
  readonly action?: ReactNode;
}): ReactNode => (
  <div className="empty">
    {icon}
    <h3>{title}</h3>
    {children === undefined ? null : <p>{children}</p>}
    {action}
  </div>
);

/** Names and values, one below the other. */
export const Facts = ({
  items,
}: {
  readonly items: readonly (readonly [label: string, value: ReactNode])[];
}): ReactNode => (
  <dl className="facts">
    {items.map(([label, value]) => (
      <div key={label} style={{ display: 'contents' }}>
        <dt>{label}</dt>
        <dd>{value}</dd>
      </div>
    ))}
  </dl>
);

/** Lines where an answer will be. */
export const Bones = ({ lines = 4 }: { readonly lines?: number }): ReactNode => (
  <div className="stack" aria-busy="true" aria-label="Loading">
    {Array.from({ length: lines }, (_, i) => (
      <span key={i} className="bone" style={{ width: `${90 - ((i * 17) % 45)}%` }} />
    ))}
  </div>
);

interface Asked<T> {
  readonly data: T | undefined;
  readonly error: Error | null;
  readonly refetch: () => unknown;
}

/** What was asked for, once it is there; until then its outline, or why it is not there. */
export function Loaded<T>({
  query,
  children,
  lines,
}: {
  readonly query: Asked<T>;
  readonly children: (data: T) => ReactNode;
  readonly lines?: number;
}): ReactNode {
  if (query.data !== undefined) return children(query.data);
  if (query.error !== null)
    return <Problem error={query.error} again={() => void query.refetch()} />;
  return <Bones {...(lines === undefined ? {} : { lines })} />;
}

export const Note = ({
  icon,
  tone = 'plain',
  children,
}: {
  readonly icon?: ReactNode;
  readonly tone?: 'plain' | 'warn';
  readonly children: ReactNode;
}): ReactNode => (
  <div className={tone === 'warn' ? 'note note-warn' : 'note'}>
    {icon}
    <div className="grow">{children}</div>
  </div>
);
