import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { durationInWords } from '../core/kernel/index.js';
import type { Answer } from '../protocol/api/index.js';
import { Api } from './api.js';
import { Canvas, paint, waves, type Targets } from './picture.js';
import { writeService } from './service.js';
import { command, Stage } from './stage.js';

const NODES = 12;
const PRODUCT = 'edge';
const SETTLE_SECONDS = 3;
/** Agents are enrolled in small groups: two dozen programs that start at once slow each other. */
const AT_ONCE = 4;
const ROLLOUT_LIMIT_MS = 150_000;

type Rollout = Answer<'rollouts.show'>;
interface Machine {
  readonly nodeId: string;
  readonly name: string;
  readonly port: number;
}

const say = (text: string): void => void process.stdout.write(`${text}\n`);
const title = (text: string): void => {
  say(`\n${paint(text, 1)}`);
};

/** What was seen. The demo has shown its point only when all of it is true. */
class Observations {
  readonly #all: { what: string; isTrue: boolean }[] = [];

  note(what: string, isTrue: boolean): void {
    this.#all.push({ what, isTrue });
    say(`  ${isTrue ? paint('✓', 32) : paint('✗', 31)} ${what}`);
  }

  get areAllTrue(): boolean {
    return this.#all.length > 0 && this.#all.every(({ isTrue }) => isTrue);
  }
}

/** One showing, from an empty folder to a fleet that has been through good and bad. */
class Demo {
  readonly #stage: Stage;
  readonly #seen: Observations;
  #url = '';
  #api = new Api('', null);
  #token = '';
  #group = '';
  #sequence = 0;
  #machines: Machine[] = [];

  constructor(stage: Stage, seen: Observations) {
    this.#stage = stage;
    this.#seen = seen;
  }

  get url(): string {
    return this.#url;
  }

  get token(): string {
    return this.#token;
  }

  async play(): Promise<void> {
    await this.#startManager();
    const signer = await this.#makeKey('pipeline');
    await this.#startAgents(signer.publicKey);
    await this.#install(signer.keyFile);
    await this.#upgrade(signer.keyFile);
    await this.#turnBack(signer.keyFile);
    await this.#refuse();
    await this.#showRecords();
  }

  async #startManager(): Promise<void> {
    title('A manager starts, and its first admin is made with the one-time token');
    const { url, setupToken } = await this.#stage.startManager();
    this.#url = url;
    const body = { setup_token: setupToken, name: 'demo admin' };
    const { secret } = await new Api(url, null).call('setup.finish', { body });
    this.#token = secret;
    this.#api = new Api(url, secret);
    const { id } = await this.#api.call('groups.create', { body: { name: 'demo fleet' } });
    this.#group = id;
    say(`  ${url}, data in ${this.#stage.path('manager')}`);
  }

  async #makeKey(name: string): Promise<{ keyFile: string; publicKey: string }> {
    await command('cli', ['release', 'keygen', '--out', this.#stage.path('keys'), '--name', name]);
    const text = readFileSync(this.#stage.path('keys', `${name}.pub`), 'utf8');
    return {
      keyFile: this.#stage.path('keys', `${name}.key`),
      publicKey: text.trim().split('\n')[1] ?? '',
    };
  }

  async #startAgents(publicKey: string): Promise<void> {
    title(`${NODES} agents enroll, each a process of its own that trusts one signer`);
    const startedAt = Date.now();
    const canvas = new Canvas();
    const names = Array.from({ length: NODES }, (_, i) => `edge-${String(i + 1).padStart(2, '0')}`);
    for (let start = 0; start < NODES; start += AT_ONCE) {
      const group = names.slice(start, start + AT_ONCE);
      this.#machines.push(
        ...(await Promise.all(group.map((name) => this.#startAgent(name, publicKey)))),
      );
      canvas.draw([`  ${'■'.repeat(this.#machines.length).padEnd(NODES, '□')} enrolled`]);
    }
    const online = async (): Promise<number> => {
      const { items } = await this.#api.call('nodes.list', { query: { status: 'online' } });
      return items.length;
    };
    for (let tries = 0; (await online()) < NODES && tries < 200; tries += 1) await sleep(150);
    const took = durationInWords(Date.now() - startedAt);
    this.#seen.note(`${NODES} nodes are linked after ${took}`, (await online()) === NODES);
  }

  async #startAgent(name: string, publicKey: string): Promise<Machine> {
    const { secret } = await this.#api.call('enrollment.create', {
      body: { group_id: this.#group },
    });
    const agent = { name, manager: this.#url, token: secret, publicKey };
    return { name, ...(await this.#stage.startAgent(agent)) };
  }

  async #install(keyFile: string): Promise<void> {
    title('Release 1.0.0 is published and installed everywhere at once');
    await this.#publish('1.0.0', { keyFile, healthy: true });
    const rollout = await this.#lead('1.0.0', 'immediate');
    this.#seen.note(
      '1.0.0 runs on every node',
      rollout.status === 'complete' && (await this.#all('1.0.0')),
    );
  }

  async #upgrade(keyFile: string): Promise<void> {
    title('Release 1.1.0 goes out in three waves: 10 %, 50 %, 100 %');
    await this.#publish('1.1.0', { keyFile, healthy: true });
    const rollout = await this.#lead('1.1.0', 'staged');
    const sizes = rollout.waves.map((wave) => wave.size).join(' + ');
    this.#seen.note(`three waves (${sizes} nodes) passed their gates`, rollout.waves.length === 3);
    this.#seen.note(
      '1.1.0 runs on every node',
      rollout.status === 'complete' && (await this.#all('1.1.0')),
    );
  }

  async #turnBack(keyFile: string): Promise<void> {
    title('Release 1.2.0 starts, and then fails its health check');
    await this.#publish('1.2.0', { keyFile, healthy: false });
    const rollout = await this.#lead('1.2.0', 'staged');
    const targets = await this.#targets(rollout.id);
    const canaries = targets.filter((target) => target.wave === 0);
    this.#seen.note('the rollout paused by itself in its first wave', rollout.status === 'paused');
    this.#seen.note(
      `the watchdog of the canary turned it back (${canaries[0]?.error_code ?? 'no error code'})`,
      canaries.some((target) => target.state === 'rolled_back'),
    );
    this.#seen.note(
      'no node of a later wave was touched',
      targets.every((target) => target.wave === 0 || target.state === 'pending'),
    );
    await this.#api.call('rollouts.cancel', { params: { id: rollout.id } });
    // A canary that was on probation when the rollout stopped ends on its own evidence.
    for (let tries = 0; !(await this.#all('1.1.0')) && tries < 60; tries += 1) await sleep(250);
    this.#seen.note('1.1.0 runs on every node again', await this.#all('1.1.0'));
  }

  async #refuse(): Promise<void> {
    title('Release 1.3.0 is signed by somebody whom no node trusts');
    const stranger = await this.#makeKey('stranger');
    await this.#publish('1.3.0', { keyFile: stranger.keyFile, healthy: true });
    const node = this.#machines[0];
    if (node === undefined) return;
    const { id } = await this.#api.call('nodes.upgrade', {
      params: { id: node.nodeId },
      body: { version: '1.3.0' },
    });
    await this.#follow(id);
    const [target] = await this.#targets(id);
    const isRefused = target?.error_code === 'upgrade_identity_not_allowed';
    this.#seen.note(
      `${node.name} refused it itself (${target?.error_code ?? 'accepted'})`,
      isRefused,
    );
    this.#seen.note('1.1.0 still runs on every node', await this.#all('1.1.0'));
  }

  async #showRecords(): Promise<void> {
    title('Who did what (audit), newest last');
    const { items } = await this.#api.call('audit.list', { query: { limit: 500 } });
    const told = items
      .filter((entry) => /upgrade|rollout|release|setup/.test(entry.action))
      .reverse();
    for (const entry of told) {
      const { version, wave, failure_count, completed_count, node_count } = entry.details;
      const facts = { version, wave, failure_count, completed_count, node_count };
      const details = Object.entries(facts)
        .filter(([, value]) => value !== undefined)
        .map(([key, value]) => `${key}=${String(value)}`);
      const time = entry.at.slice(11, 19);
      say(
        `  ${time}  ${entry.action.padEnd(24)} ${entry.actor_name.padEnd(22)} ${details.join(' ')}`,
      );
    }
    const actions = new Set(items.map((entry) => entry.action));
    const wanted = [
      'node.upgrade.request',
      'group.upgrade.schedule',
      'group.upgrade.paused',
      'group.upgrade.complete',
    ];
    this.#seen.note(
      'the four upgrade actions are in the audit log',
      wanted.every((one) => actions.has(one)),
    );
    const events: number[] = [];
    for (let after = 0; ;) {
      const page = await this.#api.call('events.list', { query: { after, limit: 1000 } });
      events.push(...page.items.map((event) => event.id));
      if (page.next_after === after) break;
      after = page.next_after;
    }
    const isGapless = events.every((id, index) => id === index + 1);
    this.#seen.note(`${events.length} events in one sequence without a gap`, isGapless);
  }

  /** As a release pipeline does it, with the command line. */
  async #publish(version: string, release: { keyFile: string; healthy: boolean }): Promise<void> {
    const { keyFile, healthy } = release;
    const source = writeService(this.#stage.path('source'), version, healthy);
    const out = this.#stage.path('releases', version);
    this.#sequence += 1;
    await command('cli', [
      ...['release', 'pack', '--product', PRODUCT, '--version', version, '--channel', 'stable'],
      ...['--sequence', String(this.#sequence), '--out', out],
      ...['--artifact', `linux/x64=${source}`, '--artifact', `linux/arm64=${source}`],
    ]);
    await command('cli', ['release', 'sign', '--key', keyFile, out]);
    await command('cli', ['release', 'publish', '--manager', this.#url, out], {
      BELLWETHER_TOKEN: this.#token,
    });
    say(`  packed, signed and published ${PRODUCT} ${version}`);
  }

  async #lead(version: string, strategy: 'staged' | 'immediate'): Promise<Rollout> {
    const { id } = await this.#api.call('groups.upgrade', {
      params: { id: this.#group },
      body: { version, product: PRODUCT, strategy, settle_seconds: SETTLE_SECONDS },
    });
    return this.#follow(id);
  }

  /** Draws the rollout until it stops moving. */
  async #follow(id: string): Promise<Rollout> {
    const canvas = new Canvas();
    const startedAt = Date.now();
    for (;;) {
      const rollout = await this.#api.call('rollouts.show', { params: { id } });
      const targets = await this.#targets(id);
      const head = `  ${rollout.product} ${rollout.version}: ${rollout.status} (${rollout.reason})`;
      canvas.draw([head, ...waves(rollout, targets, Date.now())]);
      if (rollout.status !== 'in_progress') return rollout;
      if (Date.now() - startedAt > ROLLOUT_LIMIT_MS) {
        throw new Error(`rollout ${id} did not end within ${durationInWords(ROLLOUT_LIMIT_MS)}`);
      }
      await sleep(250);
    }
  }

  async #targets(id: string): Promise<Targets> {
    const query = { limit: 500 };
    return (await this.#api.call('rollouts.targets', { params: { id }, query })).items;
  }

  /** Asks every service itself what it is. */
  async #all(version: string): Promise<boolean> {
    const answers = await Promise.all(
      this.#machines.map(({ port }) =>
        fetch(`http://127.0.0.1:${port}/`).then(
          async (response) => (await response.text()).trim(),
          () => 'down',
        ),
      ),
    );
    return answers.every((answer) => answer === version);
  }
}

/** Waits for Ctrl+C. */
const interrupted = (): Promise<void> =>
  new Promise((resolve) => {
    process.once('SIGINT', resolve);
    process.once('SIGTERM', resolve);
  });

async function main(): Promise<number> {
  const isOnce = process.argv.includes('--once');
  const stage = new Stage();
  const seen = new Observations();
  const demo = new Demo(stage, seen);
  const startedAt = Date.now();
  const stopped = interrupted();
  try {
    const ended = await Promise.race([demo.play().then(() => true), stopped.then(() => false)]);
    if (!ended) return 130;
    const took = durationInWords(Date.now() - startedAt);
    title(
      seen.areAllTrue ? `All of it was observed, in ${took}` : `Not all was observed (${took})`,
    );
    if (!isOnce) {
      say(`  The fleet stays up: ${demo.url} (interface: ${demo.url}/api/v1/openapi.json)`);
      say(`  export BELLWETHER_MANAGER=${demo.url} BELLWETHER_TOKEN=${demo.token}`);
      say('  npx bellwether nodes list     npx bellwether rollouts list');
      say('  Ctrl+C ends it and removes its files.');
      await stopped;
    }
    return seen.areAllTrue ? 0 : 1;
  } catch (error) {
    say(`\n${(error as Error).message}`);
    return 1;
  } finally {
    say('\nstopping ...');
    await stage.clear();
  }
}

process.exitCode = await main();
