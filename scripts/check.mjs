// `npm run check`: formatting, types and rules. The linter takes one processor for about as long as all the others
// together, so it runs beside them. What each says is shown whole when it has ended; all are run, whichever fails.
import { spawn } from 'node:child_process';

/** Those of one line run one after another. */
const LINES = [
  [['npm', 'run', '--silent', 'lint']],
  [
    ['tsc', '-p', 'test/tsconfig.json'],
    ['prettier', '--check', '.'],
    ['tsc', '-p', 'src/console'],
  ],
];

const run = ([command, ...args]) =>
  new Promise((resolve) => {
    const startedAt = Date.now();
    const said = [];
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (part) => said.push(part));
    const end = (code) => {
      const seconds = ((Date.now() - startedAt) / 1000).toFixed(0);
      process.stdout.write(Buffer.concat(said));
      console.log(`check: ${[command, ...args].join(' ')}: ${code} after ${seconds} s`);
      resolve(code);
    };
    child.once('error', (error) => {
      said.push(Buffer.from(`${error.message}\n`));
      end(127);
    });
    child.once('close', (code) => end(code ?? 1));
  });

const codes = await Promise.all(
  LINES.map(async (line) => {
    let worst = 0;
    for (const command of line) worst = Math.max(worst, await run(command));
    return worst;
  }),
);
process.exit(Math.max(...codes));
