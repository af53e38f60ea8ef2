import { claimsOf, differencesOf, manifestJsonSchema } from '../../core/release/index.js';
import type { Command } from '../command.js';
import { connect, MANAGER_OPTIONS, OUTPUT_OPTION, show } from '../connection.js';
import { type Column, facts, table } from '../output/index.js';
import { findRelease, REFERENCE_NOTE, type Found } from './reference.js';

const stateOf = ({ known }: Found): [string, string][] => {
  if (known === null) return [];
  const { id, state, published_at: at, yanked } = known;
  const words = yanked === null ? state : `${state} at ${yanked.at}: ${yanked.reason}`;
  return [
    ['id', id],
    ['state', words],
    ['published', at],
  ];
};

export const showRelease: Command = {
  name: 'release show',
  summary: 'one release, claim by claim',
  operands: ['REF'],
  options: { ...MANAGER_OPTIONS, ...OUTPUT_OPTION },
  notes: [REFERENCE_NOTE],
  run: async (given, terminal) => {
    const found = await findRelease(given.operand(0), () => connect(given, terminal));
    const result = {
      ...(found.known === null ? {} : { state: found.known.state, yanked: found.known.yanked }),
      signatures: found.signatures,
      manifest: found.manifest,
    };
    show(given, terminal, result, () =>
      facts([
        ...stateOf(found),
        ['signatures', found.signatures],
        ...[...claimsOf(found.manifest)].map(([claim, value]): [string, string] => [claim, value]),
      ]),
    );
  },
};

type Difference = ReturnType<typeof differencesOf>[number];

const COLUMNS: readonly Column<Difference>[] = [
  ['claim', ({ claim }) => claim],
  ['from', ({ from }) => from],
  ['to', ({ to }) => to],
];

export const diffReleases: Command = {
  name: 'release diff',
  summary: 'in what two releases differ',
  operands: ['REF', 'REF'],
  options: { ...MANAGER_OPTIONS, ...OUTPUT_OPTION },
  notes: [REFERENCE_NOTE],
  run: async (given, terminal) => {
    const connected = () => connect(given, terminal);
    const from = await findRelease(given.operand(0), connected);
    const to = await findRelease(given.operand(1), connected);
    const differences = differencesOf(from.manifest, to.manifest);
    show(given, terminal, { items: differences }, () =>
      table(differences, COLUMNS, 'both say the same'),
    );
  },
};

export const schema: Command = {
  name: 'release schema',
  summary: 'JSON Schema of the manifest',
  operands: [],
  options: {},
  run: async (_given, terminal) => {
    terminal.out(`${JSON.stringify(manifestJsonSchema(), null, 2)}\n`);
  },
};
