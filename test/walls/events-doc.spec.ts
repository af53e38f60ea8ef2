import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  Event,
  EventsConsumerMessage,
  EventsManagerMessage,
  ROUTES,
} from '../../src/protocol/api/index.js';
import { EVENT_TYPES } from '../../src/protocol/index.js';
import { NodeEventType } from '../../src/protocol/node/index.js';
import { ROOT } from './tree.js';

const PAGE = join(ROOT, 'docs/events.md');
const page = readFileSync(PAGE, 'utf8');
const sectionOf = (title: string): string => {
  const from = page.indexOf(`## ${title}\n`);
  const end = page.indexOf('\n## ', from + 1);
  return page.slice(from, end < 0 ? undefined : end);
};
const firstCells = (text: string, head: string): string[] => {
  const lines = text.split('\n');
  const from = lines.findIndex((line) => line.startsWith(`| ${head} |`));
  const end = lines.findIndex((line, at) => at > from && !line.startsWith('|'));
  return lines
    .slice(from + 2, end < 0 ? undefined : end)
    .map((line) => /^\| `([^`]+)` \|/.exec(line)?.[1] ?? line);
};
const typeRows = Object.entries(EVENT_TYPES).map(
  ([type, { category, severity, version, from, meaning }]) =>
    `| \`${type}\` | ${category} | ${severity} | ${version} | ${from} | ${meaning} |`,
);

describe('docs/events.md', () => {
  // For whoever adds a type: writes the rows as they are, to be read before they are kept.
  it.runIf(process.env['BELLWETHER_WRITE_EVENT_TYPES'] === '1')('is written anew', () => {
    const head = page.slice(0, page.indexOf('|---|---|---|---|---|---|\n'));
    writeFileSync(PAGE, `${head}|---|---|---|---|---|---|\n${typeRows.join('\n')}\n`);
  });

  it('has each type as it is in src/protocol/event-types.ts, and no others', () => {
    const rows = sectionOf('Types')
      .split('\n')
      .filter((line) => line.startsWith('| `'));
    expect(rows).toEqual(typeRows);
  });

  it('has each field of an event, and no others', () => {
    const fields = firstCells(sectionOf('What an event says'), 'field');
    expect(fields).toEqual(Object.keys(Event.shape));
  });

  it('has each filter of a page, and no others', () => {
    const told = firstCells(sectionOf('Reading pages'), 'filter');
    const known = Object.keys(ROUTES['events.export'].query.shape);
    const others = ['after', 'through', 'limit', 'proof'];
    expect(told).toEqual(known.filter((name) => !others.includes(name)));
  });

  it('has each frame of the WebSocket, and no others', () => {
    const frames = firstCells(sectionOf('Live'), 'frame').sort();
    const known = [...EventsConsumerMessage.options, ...EventsManagerMessage.options].map(
      (option) => option.shape.type.value,
    );
    expect(frames).toEqual([...known].sort());
  });
});

describe('the list of event types', () => {
  it('has what a node may report, and marks it so', () => {
    const fromNodes = Object.entries(EVENT_TYPES)
      .filter(([type, { from }]) => from === 'node' && type !== 'unknown')
      .map(([type]) => type);
    expect(fromNodes).toEqual(NodeEventType.options);
  });
});
