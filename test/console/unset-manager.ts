import {
  asTestManager,
  enrollTestNode,
  startUnsetTestManager,
  type TestManager,
  type TestNode,
} from '../support/manager.js';
import { CONSOLE_DIR } from './stage.js';

/** A manager that nobody has set up yet, with a console. */
export interface UnsetManager {
  readonly url: string;
  readonly setupToken: string;
  /** Trades an enrollment token as an agent does; resolves with what the node knows then. */
  enroll(token: string, name: string): Promise<TestNode>;
  /** The same manager for specs, once `secret` is that of an admin. */
  as(secret: string): TestManager;
  stop(): Promise<void>;
}

export async function startUnsetManager(
  env: Readonly<Record<string, string>> = {},
): Promise<UnsetManager> {
  const running = await startUnsetTestManager(env, { consoleDir: CONSOLE_DIR });
  return {
    url: running.url,
    setupToken: running.manager.setupToken ?? '',
    enroll: (token, name) => enrollTestNode(running, token, name),
    as: (secret) => asTestManager(running, secret),
    stop: () => running.stop(),
  };
}
