// How far each row was from its target, commit by commit: one small line a row. 1 is the target; below it is good.
import { TARGETS } from './targets.mjs';
import { worstFor } from './report.mjs';

const WIDTH = 900;
const ROW = 34;
const LEFT = 380;
const RIGHT = 110;
/** Ten times worse than wanted, or ten times better, is at the edge. */
const DECADES = 1;

const escape = (text) => text.replace(/[&<>"]/g, (c) => `&#${c.codePointAt(0)};`);

/** Above 1: worse than wanted. */
function strain(target, rows) {
  const found = worstFor(target, rows);
  if (found === undefined) return null;
  const value = target.by === 'ratio' ? found.ratio : found.measured.value;
  if (target.most === 0) return value > 0 ? 10 : 0.1;
  return target.most === undefined ? target.least / value : value / target.most;
}

export function chartOf(results) {
  // A quick look is no measurement, and would only draw noise.
  const runs = results.filter(({ quick }) => !quick);
  const x = (at) => LEFT + ((WIDTH - LEFT - RIGHT) * (at + 0.5)) / Math.max(1, runs.length);
  const lines = TARGETS.map((target, index) => {
    const top = index * ROW + 30;
    const y = (value) => {
      const log = Math.max(-DECADES, Math.min(DECADES, Math.log10(value)));
      return top + ROW / 2 - (log / DECADES) * (ROW / 2 - 4);
    };
    const points = runs
      .map(({ rows }, at) => [at, strain(target, rows)])
      .filter(([, value]) => value !== null && Number.isFinite(value) && value > 0);
    const last = points.at(-1)?.[1];
    const colour = last === undefined ? '#888' : last <= 1 ? '#1a7f37' : '#b35900';
    return [
      `<text x="${LEFT - 12}" y="${top + ROW / 2 + 4}" text-anchor="end">${escape(target.what.slice(0, 62))}</text>`,
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${top + ROW / 2}" y2="${top + ROW / 2}" stroke="#999" stroke-dasharray="3 3"/>`,
      `<polyline fill="none" stroke="${colour}" stroke-width="2" points="${points.map(([at, v]) => `${x(at)},${y(v)}`).join(' ')}"/>`,
      ...points.map(([at, v]) => `<circle cx="${x(at)}" cy="${y(v)}" r="3" fill="${colour}"/>`),
      `<text x="${WIDTH - RIGHT + 10}" y="${top + ROW / 2 + 4}" fill="${colour}">${last === undefined ? 'no data' : `${last.toFixed(2)} of it`}</text>`,
    ].join('\n');
  });
  const height = TARGETS.length * ROW + 70;
  const names = runs.map(
    ({ commit }, at) =>
      `<text x="${x(at)}" y="${height - 16}" text-anchor="middle" font-size="9">${escape(commit.slice(0, 8))}</text>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="11">
<rect width="100%" height="100%" fill="#fff"/>
<text x="12" y="18">How far from the target, by commit: the dashed line is the target, below it is better (logarithmic)</text>
${lines.join('\n')}
${names.join('\n')}
</svg>
`;
}
