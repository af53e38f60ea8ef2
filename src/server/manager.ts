import 'reflect-metadata';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import type { Logger } from 'pino';
import { Setup } from './access/index.js';
import { AppModule } from './app.module.js';
import { LinkAdapter, Links } from './gateway/index.js';
import { choosePort, listenProblem } from './listening.js';
import {
  consoleMiddleware,
  docsMiddleware,
  firstMiddleware,
  ManagerHttpAdapter,
  nestLogger,
  openDatabase,
  openSecrets,
  prepareDataDir,
  readPages,
  TlsFiles,
  TrustedProxies,
  withPort,
  type Clock,
  type Config,
  type Platform,
} from './platform/index.js';

/** Answers under way and closing handshakes get this long, after nodes were sent away; then their sockets are cut. */
const STOP_GRACE_MS = 5_000;

/** Where the build puts the console: `dist/console`. There may be none. */
const CONSOLE_DIR = fileURLToPath(new URL('../../console', import.meta.url));

/** Where the build puts the documentation: `dist/docs`. */
const DOCS_DIR = fileURLToPath(new URL('../../docs', import.meta.url));

/** A running manager. */
export interface Manager {
  /** As it came out: with the real port, and an absolute data directory. */
  readonly config: Config;
  readonly app: NestExpressApplication;
  /** Set when there is no admin yet. Show it to the one who started the manager, nobody else. */
  readonly setupToken: string | null;
  readonly setupFile: string;
  /** Stops taking requests, closes links, lets answers finish, closes the database. Idempotent. */
  stop(): Promise<void>;
}

/**
 * Starts a manager: finds its port, opens and migrates the database, serves. Throws FleetError
 * `config_invalid` when the world does not fit the configuration; then nothing stays open.
 */
export async function startManager(options: {
  readonly config: Config;
  readonly log: Logger;
  readonly clock: Clock;
  /** The files of the console; left out, those of this build. */
  readonly consoleDir?: string;
}): Promise<Manager> {
  const { log, clock } = options;
  const dataDir = prepareDataDir(options.config.dataDir);
  const port = await choosePort(options.config);
  const config = Object.freeze({ ...withPort(options.config, port), dataDir: resolve(dataDir) });
  const database = await openDatabase({
    url: config.databaseUrl,
    passwordFile: config.databasePasswordFile,
    caFile: config.databaseCaFile,
    dataDir,
    log,
  });
  let app: NestExpressApplication | null = null;
  try {
    const secrets = await openSecrets({ config, database, clock, log });
    const consoleDir = options.consoleDir ?? CONSOLE_DIR;
    app = await makeApp({ config, database, secrets, clock, log }, consoleDir);
    await app.listen(config.port, config.host);
    const setup = app.get(Setup);
    const setupToken = await setup.offer();
    const stop = stopper(app, config, () => database.close());
    return { config, app, setupToken, setupFile: setup.file, stop };
  } catch (error) {
    await app?.close();
    await database.close();
    throw listenProblem(error, config) ?? error;
  }
}

async function makeApp(platform: Platform, consoleDir: string): Promise<NestExpressApplication> {
  const { tls } = platform.config;
  const http = new ManagerHttpAdapter(tls === null ? null : new TlsFiles(tls, platform.log));
  const app = await NestFactory.create<NestExpressApplication>(AppModule.on(platform), http, {
    logger: nestLogger(platform.log),
    abortOnError: false,
    // Bodies are read after the guard, by `@Given()`, and uploads stay streams.
    bodyParser: false,
  });
  app.disable('x-powered-by');
  // Some routes have ETags, and they make their own.
  app.set('etag', false);
  app.use(
    firstMiddleware({
      log: platform.log,
      https: platform.config.publicOrigin.startsWith('https:'),
      proxies: new TrustedProxies(platform.config.trustedProxies),
      now: () => platform.clock.now(),
    }),
  );
  const docs = readPages(DOCS_DIR);
  if (docs.has('/index.html')) app.use(docsMiddleware(docs));
  const pages = readPages(consoleDir);
  if (pages.size > 0) app.use(consoleMiddleware(pages));
  app.useWebSocketAdapter(new LinkAdapter(app, app.getHttpServer()));
  return app;
}

function stopper(
  app: NestExpressApplication,
  { drainMs }: Config,
  closeDatabase: () => Promise<void>,
) {
  let stopping: Promise<void> | null = null;
  const stop = async (): Promise<void> => {
    const cut = new AbortController();
    const others = await app
      .get(Links)
      .elsewhere.others()
      .catch(() => 0);
    const graceMs = STOP_GRACE_MS + (others > 0 ? drainMs : 0);
    const late = sleep(graceMs, undefined, { signal: cut.signal }).then(
      () => {
        app.getHttpServer().closeAllConnections();
      },
      () => undefined,
    );
    await app.close();
    cut.abort();
    await late;
    await closeDatabase();
  };
  return (): Promise<void> => (stopping ??= stop());
}
