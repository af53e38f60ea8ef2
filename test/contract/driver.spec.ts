import { openDriver, ServiceConfig } from '../../src/agent/supervisor/index.js';
import { makeDriverRoot } from '../support/driver-root.js';
import { describeDriver, type DriverBench } from './driver.contract.js';

/** systemd has the same suite in `test/systemd`, where there is one. */
function benchOf(rest: Record<string, unknown>): DriverBench {
  const made = makeDriverRoot();
  const names = { name: 'edge', product: 'edge', root: made.root };
  return {
    ...made,
    open: (stop_timeout_secs) =>
      openDriver(ServiceConfig.parse({ ...names, ...rest, stop_timeout_secs })),
  };
}

const shell = (script: string): string[] => ['sh', '-c', script];

/** A supervisor of four lines, which starts nothing again by itself. */
const COMMANDS = {
  start: shell('setsid ./current/run > /dev/null 2>&1 < /dev/null & echo $! > hooks.pid'),
  stop: shell('kill -TERM "-$(cat hooks.pid)" || true'),
  status: shell('pid=$(cat hooks.pid) && grep -qv "^[0-9]* (.*) Z" "/proc/$pid/stat"'),
  pid: ['cat', 'hooks.pid'],
  timeout_secs: 5,
};

describeDriver('child process', () => benchOf({ driver: 'child', exec: 'run' }));
describeDriver('command hooks', () => benchOf({ driver: 'hooks', commands: COMMANDS }));
