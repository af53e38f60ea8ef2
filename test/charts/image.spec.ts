import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { makeTempDir } from '../support/databases.js';
import { ROOT } from '../walls/tree.js';
import { CASES, manifestsOf } from './cases.js';

interface Stage {
  readonly from: string;
  readonly name: string;
  readonly steps: readonly { readonly verb: string; readonly rest: string }[];
}

const textOf = (file: string): string => readFileSync(join(ROOT, file), 'utf8');

/** The stages of deploy/Dockerfile, lines that go on joined. */
const stages: Stage[] = textOf('deploy/Dockerfile')
  .replaceAll(/^\s*#.*\n/gm, '')
  .replaceAll(/\\\n\s*/g, ' ')
  .split(/^(?=FROM )/m)
  .filter((text) => text.startsWith('FROM '))
  .map((text, index) => {
    const [head = '', ...lines] = text.trim().split('\n');
    const [, from = '', name = String(index)] = /^FROM (\S+)(?: AS (\S+))?$/.exec(head) ?? [];
    const steps = lines
      .filter((line) => line.trim() !== '')
      .map((line) => {
        const [, verb = '', rest = ''] = /^([A-Z]+) (.*)$/.exec(line.trim()) ?? [];
        return { verb, rest };
      });
    return { from, name, steps };
  });
const stageOf = (name: string): Stage => {
  const found = stages.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no stage ${name}`);
  return found;
};
const copiesOf = ({ steps }: Stage): { from: string | null; sources: string[]; to: string }[] =>
  steps
    .filter(({ verb }) => verb === 'COPY')
    .map(({ rest }) => {
      const words = rest.split(/\s+/);
      const from = words[0]?.startsWith('--from=') === true ? words.shift()!.slice(7) : null;
      return { from, sources: words.slice(0, -1), to: words.at(-1) ?? '' };
    });

describe('deploy/Dockerfile', () => {
  const dir = makeTempDir();
  afterAll(() => dir.remove());

  it('is made of known words, each in its form', () => {
    const words =
      'ARG CMD COPY ENTRYPOINT ENV EXPOSE HEALTHCHECK LABEL RUN STOPSIGNAL USER VOLUME WORKDIR';
    for (const { name, steps } of stages) {
      for (const { verb } of steps)
        expect([name, words.split(' ').includes(verb)]).toEqual([name, true]);
      for (const { verb, rest } of steps.filter(({ verb: one }) => one === 'CMD')) {
        expect([verb, JSON.parse(rest)]).toEqual([verb, expect.any(Array)]);
      }
    }
  });

  it('builds on images by name and version, and on stages before', () => {
    stages.forEach(({ from }, index) => {
      const isStage = stages.slice(0, index).some(({ name }) => name === from);
      expect([from, isStage || /^node:24-bookworm-slim$/.test(from)]).toEqual([from, true]);
    });
    // As `npm start` does it.
    const { scripts } = JSON.parse(textOf('package.json')) as { scripts: Record<string, string> };
    const start = scripts['start'] ?? '';
    const words = start.slice(start.lastIndexOf('node ')).split(' ');
    expect(stages.at(-1)?.steps.at(-1)?.rest).toBe(JSON.stringify(words).replaceAll(',', ', '));
  });

  it('copies what is there, is let through to the builder, and comes from stages before', () => {
    const ignore = textOf('.dockerignore').split('\n');
    stages.forEach((stage, index) => {
      for (const { from, sources } of copiesOf(stage)) {
        if (from !== null) {
          expect(stages.slice(0, index).map(({ name }) => name)).toContain(from);
          continue;
        }
        for (const source of sources) {
          expect([source, existsSync(join(ROOT, source))]).toEqual([source, true]);
          expect(ignore).toContain(`!${source}`);
        }
      }
    });
  });

  it('ends each image with a user that is not root', () => {
    const ends = stages.filter(({ steps }) => steps.some(({ verb }) => verb === 'CMD'));
    expect(ends).toHaveLength(2);
    for (const { steps } of ends) {
      const users = steps.filter(({ verb }) => verb === 'USER').map(({ rest }) => rest);
      expect(['node', '1000:1000']).toContain(users.at(-1));
    }
  });

  it('makes the programs of the operator out of what it copies, and they run', () => {
    const work = join(dir.path, 'build');
    const programs = join(dir.path, 'programs');
    mkdirSync(work);
    for (const { sources, to } of [
      ...copiesOf(stageOf('build')),
      ...copiesOf(stageOf('programs')),
    ]) {
      for (const source of sources) {
        const isFolderOfMany = to.endsWith('/') && to !== './';
        const target = isFolderOfMany
          ? join(work, to, source.slice(source.lastIndexOf('/') + 1))
          : join(work, to === './' ? source : to);
        mkdirSync(dirname(target), { recursive: true });
        cpSync(join(ROOT, source), target, { recursive: true });
      }
    }
    // What `npm ci` brings there.
    symlinkSync(join(ROOT, 'node_modules'), join(work, 'node_modules'));
    const [run] = stageOf('programs').steps.filter(({ verb }) => verb === 'RUN');
    const command = run!.rest
      .replaceAll('/programs/', `${programs}/`)
      .replaceAll('node scripts', `"${process.execPath}" --preserve-symlinks scripts`);
    // The licence of the project is looked for where the executables are made only.
    const done = spawnSync('sh', ['-c', command], { cwd: work, encoding: 'utf8' });
    expect(done.status, done.stderr).toBe(0);

    const app = join(dir.path, 'app');
    mkdirSync(app);
    for (const { from, sources, to } of copiesOf(stageOf('operator'))) {
      if (from !== 'programs') continue;
      const [source = ''] = sources;
      const name = to === './' ? source.slice(source.lastIndexOf('/') + 1) : to;
      cpSync(source.replace('/programs/', `${programs}/`), join(app, name));
    }
    const start = (file: string, ...args: string[]) =>
      spawnSync(process.execPath, [join(app, file), ...args], { encoding: 'utf8', env: {} });
    expect(start('bellwether-agent.mjs', 'version').status).toBe(0);
    expect(start('bellwether-operator.mjs').status).toBe(78);

    // And the chart starts what lies there.
    const text = JSON.stringify(CASES.map((one) => manifestsOf(one)));
    const started = new Set([...text.matchAll(/\/app\/([\w.-]+)/g)].map(([, name]) => name));
    expect([...started].sort()).toEqual(['bellwether-agent.mjs', 'bellwether-operator.mjs']);
  }, 120_000);
});
