import { it } from 'vitest';
import { PASSWORD, startStage } from './stage.js';

it('stands until it is stopped', async () => {
  const stage = await startStage();
  process.stdout.write(`\n${stage.url}  login ann (or kim, vera, omar), password: ${PASSWORD}\n`);
  process.stdout.write(`admin token: ${stage.admin}\n`);
  await new Promise((resolve) => process.once('SIGINT', resolve));
  await stage.stop();
});
