import { mkdirSync, writeSync } from 'node:fs';
import { expect, it } from 'vitest';
import { buildPrograms } from '../support/built.js';
import { soak } from './soak.js';

/** `npm run soak` sets these; see run-soak.mjs. */
const MINUTES = Number(process.env['SOAK_MINUTES'] ?? 2);
const STORE = process.env['SOAK_STORE'] === 'postgres' ? 'postgres' : 'sqlite';
const NODES = Number(process.env['SOAK_NODES'] ?? 40);

it(
  'holds no more after hours than after minutes',
  async () => {
    const folder = process.env['SOAK_OUT'] ?? '';
    mkdirSync(folder, { recursive: true });
    const programs = buildPrograms();
    try {
      const { violations } = await soak({
        ...{ programs: programs.path, store: STORE, managers: STORE === 'postgres' ? 2 : 1 },
        ...{ nodes: NODES, minutes: MINUTES, folder },
        say: (line) => void writeSync(2, `${line}\n`),
      });
      expect(violations).toEqual([]);
    } finally {
      programs.remove();
    }
  },
  MINUTES * 60_000 + 600_000,
);
