import type { ManagerMessage, NodeMessage } from '../../../protocol/node/index.js';
import type { Job } from '../../../core/update/index.js';
import type { Appointment } from '../agenda.js';
import { Backoff } from '../parts.js';
import type { SimNode } from './sim-node.js';
import { Wire, type Network, type NodeEnd } from './wire.js';

const ANSWER_MS = 10_000;
const UNANSWERED_MS = 60_000;
const STALLED_MS = 5_000;
const BEAT_MS = 15_000;
/** While nothing happens a node beats less often: a beat that says the same changes nothing. */
const BEAT_MS_MAX = 1_200_000;

export interface NodeLinkOptions extends Network {
  readonly node: SimNode;
  /** Lets the node's socket in; false when no manager answers. */
  readonly connect: (link: NodeLink, wire: Wire) => boolean;
  /** Told of everything that is sent, so that a lying node has something to repeat. */
  readonly onSent: (node: SimNode, message: NodeMessage) => void;
}

/** The agent's side of the link: connects, says hello, repeats what was not acknowledged. */
export class NodeLink implements NodeEnd {
  readonly node: SimNode;
  readonly #options: NodeLinkOptions;
  readonly #backoff: Backoff;
  #wire: Wire | null = null;
  #session: string | null = null;
  #isWelcome = false;
  #welcomedAt = 0;
  #inFlight = 0;
  #through = 0;
  #helloFirstSeq = 0;
  #beatMs = BEAT_MS;
  #awayUntil = 0;
  readonly #timers = new Map<string, Appointment>();

  constructor(options: NodeLinkOptions) {
    this.#options = options;
    this.node = options.node;
    this.#backoff = new Backoff({ random: options.chance.next });
    this.node.onSpooled = () => {
      this.#beatSoon();
      this.#pump();
    };
    this.node.onAsk = (job, ask) => {
      this.#ask(job, ask);
    };
    this.node.onCrash = () => {
      this.#drop();
    };
    this.node.onBoot = () => {
      this.#later('connect', this.#backoff.soon(), () => this.#connect());
    };
  }

  get isWelcome(): boolean {
    return this.#isWelcome;
  }

  start(ms: number): void {
    this.#later('connect', ms, () => this.#connect());
  }

  send(message: NodeMessage | string): void {
    if (this.#wire === null || (typeof message !== 'string' && !this.#isWelcome)) return;
    if (typeof message !== 'string') this.#options.onSent(this.node, message);
    this.#wire.toManager(message);
  }

  /** Out of reach for so long; nobody is told. */
  goAway(ms: number): void {
    this.#awayUntil = this.#options.agenda.now + ms;
    this.#wire?.cut();
  }

  /** The program hangs: messages wait, pings are not answered. */
  hang(ms: number): void {
    this.node.hungUntil = this.#options.agenda.now + ms;
    this.#wire?.goQuiet();
  }

  recover(): void {
    this.#awayUntil = 0;
    if (this.#wire === null && this.node.isUp) this.start(this.#backoff.soon());
  }

  lost(): void {
    const { agenda } = this.#options;
    if (this.#isWelcome) this.#backoff.sessionLasted(agenda.now - this.#welcomedAt);
    this.#forget();
    if (this.node.isUp) this.#later('connect', this.#backoff.next(), () => this.#connect());
  }

  received(message: ManagerMessage, sentAt: number): void {
    if (!this.node.isUp) return;
    if (this.node.isHung) {
      this.#options.agenda.at(this.node.hungUntil, () => {
        this.received(message, sentAt);
      });
      return;
    }
    if (!this.#isWelcome && message.type !== 'welcome') return;
    switch (message.type) {
      case 'welcome':
        if (!this.#isWelcome) this.#welcomed(message);
        break;
      case 'command': {
        this.node.say(`hears ${message.command.action} ${message.command.command_id}`);
        this.#obey(message.command);
        break;
      }
      case 'permit':
        this.#permitted(message, sentAt);
        break;
      case 'permit_denied': {
        const { command_id, ask, retry_after_ms: retry_ms } = message;
        if (this.node.knows(command_id)) {
          this.node.attempt(() =>
            this.node.take({ type: 'permit_denied', command_id, ask, retry_ms }),
          );
        }
        break;
      }
      case 'events_ack':
        if (message.spool_id === this.node.disk.spool.id) this.#acked(message.through);
        break;
      case 'reconnect':
      case 'error':
      // Nodes here have no channel indexes.
      case 'index_news':
        break;
    }
  }

  #connect(): void {
    const { agenda, faults, connect } = this.#options;
    if (this.#wire !== null || !this.node.isUp) return;
    const isAway = this.#awayUntil > agenda.now || this.node.isHung;
    const wire = new Wire(this.#options, this);
    if (isAway || faults.hit('connect_refused') || !connect(this, wire)) {
      const waitMs = isAway ? Math.max(this.#awayUntil, this.node.hungUntil) - agenda.now : 0;
      this.#later('connect', Math.max(waitMs, this.#backoff.next()), () => this.#connect());
      return;
    }
    this.#wire = wire;
    const hello = this.node.hello(this.#session);
    this.#helloFirstSeq = hello.spool.first_seq;
    wire.toManager(hello);
    this.#later('answer', ANSWER_MS, () => this.#giveUp());
  }

  #welcomed(welcome: Extract<ManagerMessage, { type: 'welcome' }>): void {
    const { chance, agenda } = this.#options;
    this.#isWelcome = true;
    this.#session = welcome.session_id;
    this.#welcomedAt = agenda.now;
    this.#backoff.welcomed();
    this.#cancel('answer');
    this.node.say('is connected');
    this.#beatMs = BEAT_MS;
    this.#later('beat', BEAT_MS * chance.next(), () => this.#beat());
    for (const command of welcome.commands) this.#obey(command);
    const { spool } = this.node.disk;
    this.#through = welcome.events_through;
    spool.acknowledge(this.#through);
    this.#inFlight = 0;
    this.#pump();
  }

  #obey(command: Extract<ManagerMessage, { type: 'command' }>['command']): void {
    const answer = this.node.obey(command);
    if (answer !== null && this.node.isUp) this.send(answer);
  }

  #permitted(message: Extract<ManagerMessage, { type: 'permit' }>, sentAt: number): void {
    const { node } = this;
    const { command_id, ask, lease_ms } = message;
    if (!node.knows(command_id)) return;
    node.permit = { commandId: command_id, sentAt };
    node.attempt(() => node.take({ type: 'permit_granted', command_id, ask, lease_ms }));
  }

  #ask(job: Job, ask: number): void {
    const { command_id, version } = job;
    this.send({ type: 'permit_request', command_id, ask, service: 'edge', version });
  }

  #pump(): void {
    if (!this.#isWelcome || this.#inFlight > 0) return;
    const { spool } = this.node.disk;
    const { events, isGap } = spool.read(this.#through);
    if (isGap) {
      // Said already in this session: saying it again would change nothing.
      if (spool.firstSeq > this.#helloFirstSeq) this.#giveUp();
      return;
    }
    const last = events.at(-1);
    if (last === undefined) return;
    this.#inFlight = last.seq;
    this.send({ type: 'events', spool_id: spool.id, events });
    this.#later('events', UNANSWERED_MS, () => this.#resend());
  }

  #resend(): void {
    this.#inFlight = 0;
    this.#pump();
  }

  #acked(through: number): void {
    if (this.#inFlight === 0 || through > this.#inFlight) return;
    this.#inFlight = 0;
    if (through <= this.#through) {
      this.#later('events', STALLED_MS, () => this.#resend());
      return;
    }
    this.#through = through;
    this.node.disk.spool.acknowledge(through);
    this.#cancel('events');
    this.#pump();
  }

  #beat(): void {
    const { chance } = this.#options;
    if (!this.#isWelcome) return;
    if (!this.node.isHung) {
      const spool_backlog = this.node.disk.spool.backlog;
      const services = [this.node.report()];
      this.send({ type: 'health', services, disk_free_bytes: 1, spool_backlog });
    }
    this.#later('beat', this.#beatMs * (0.9 + 0.2 * chance.next()), () => this.#beat());
    this.#beatMs = Math.min(BEAT_MS_MAX, this.#beatMs * 2);
  }

  #beatSoon(): void {
    this.#beatMs = BEAT_MS;
    if (this.#isWelcome)
      this.#later('beat', BEAT_MS * this.#options.chance.next(), () => this.#beat());
  }

  /** Closes the link itself; the next try comes soon. */
  #giveUp(): void {
    this.#drop();
    if (this.node.isUp) this.#later('connect', this.#backoff.next(), () => this.#connect());
  }

  #drop(): void {
    this.#wire?.drop();
    this.#forget();
  }

  #forget(): void {
    this.#wire = null;
    this.#isWelcome = false;
    this.#inFlight = 0;
    for (const name of [...this.#timers.keys()]) this.#cancel(name);
  }

  #later(name: string, ms: number, work: () => void): void {
    this.#cancel(name);
    const made = this.#options.agenda.in(ms, () => {
      this.#timers.delete(name);
      work();
    });
    this.#timers.set(name, made);
  }

  #cancel(name: string): void {
    const timer = this.#timers.get(name);
    if (timer !== undefined) timer.isOff = true;
    this.#timers.delete(name);
  }
}
