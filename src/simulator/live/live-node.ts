import { randomBytes } from 'node:crypto';
import { seededRandom, type Random } from '../../core/kernel/index.js';
import type { OutboxEvent } from '../../core/update/index.js';
import {
  Command,
  PROTOCOL_VERSION,
  type Hello,
  type ManagerMessage,
  type NodeMessage,
} from '../../protocol/node/index.js';
import type { Crowd } from './crowd.js';
import { keyOf } from './keys.js';
import { LiveLink, localAddressFor } from './live-link.js';
import { LiveService, type Home } from './live-service.js';
import type { LiveMemory } from './live-memory.js';
import { LiveSpool } from './live-spool.js';
import type { NodeSeed } from './orders.js';
import { toSpoolEvent } from './parts.js';
import type { Fault, Scenario } from './scenario.js';
import type { Counter, Moment, NodeFact, NodeState } from './tally.js';
import type { Slot, Wheel } from './wheel.js';

const BEAT_MS = 15_000;
/** A batch that was not acknowledged for so long is sent again. */
const EVENTS_ANSWER_MS_MAX = 15_000;

/** One machine of the simulated fleet: real identity, real socket, real update machine; nothing on a disk. */
export class LiveNode implements Home {
  readonly seed: NodeSeed;
  readonly wheel: Wheel;
  readonly work: Scenario['work'];
  readonly services: readonly LiveService[];
  readonly facts = new Set<NodeFact>();
  readonly #crowd: Crowd;
  readonly #link: LiveLink;
  readonly #spool: LiveSpool;
  readonly #random: Random;
  readonly #skewMs: number;
  readonly memory: LiveMemory | null;
  bootedAt = performance.now();
  #boots = 1;
  #isWelcome = false;
  #session: string | null = null;
  #inFlight = 0;
  #beatEveryMs = BEAT_MS;
  #beat: Slot | null = null;
  #unanswered: Slot | null = null;
  #trouble: Slot | null = null;
  #held = false;
  #isCalm = false;

  constructor(seed: NodeSeed, crowd: Crowd) {
    this.seed = seed;
    this.#crowd = crowd;
    this.wheel = crowd.wheel;
    this.work = crowd.work;
    this.#random = seededRandom(`${crowd.seed}/${seed.index}`);
    this.#skewMs = this.fault('clock_skew')?.ms ?? 0;
    this.memory = crowd.memoryOf(seed.id);
    this.services = seed.services.map((one) => new LiveService(one, this));
    const spoolId = `spl_${randomBytes(10).toString('hex')}`;
    this.#spool = new LiveSpool(spoolId, this.memory?.kept?.spool);
    this.#boots += this.memory?.kept?.boots ?? 0;
    const { urls, origin, caPem, wheel } = crowd;
    this.#link = new LiveLink({
      ...{ urls, first: seed.index, origin, caPem, wheel },
      localAddress: localAddressFor(urls[0] ?? '', seed.index),
      nodeId: seed.id,
      key: keyOf(seed.key),
      luck: () => this.luck(),
      nowMs: () => this.nowMs(),
      delayMs: this.fault('slow_link')?.delay_ms ?? 0,
      newJti: () => randomBytes(16).toString('hex'),
      on: {
        open: () => {
          this.count('opened');
          this.#say(this.#hello());
        },
        message: (message) => {
          this.#hear(message);
        },
        ended: (reason, wasOpen) => {
          this.#ended(reason, wasOpen);
        },
      },
    });
  }

  // -- what its services need ----------------------------------------------------------------

  luck(): number {
    return this.#random.next();
  }
  nowMs(): number {
    return Date.now() + this.#skewMs;
  }
  fault<K extends Fault['kind']>(kind: K): Extract<Fault, { kind: K }> | null {
    if (this.#isCalm && kind !== 'bad_release') return null;
    const found = this.seed.faults.find((one) => one.kind === kind);
    return found === undefined ? null : (found as Extract<Fault, { kind: K }>);
  }
  count(counter: Counter): void {
    this.#crowd.numbers[counter] += 1;
  }
  mark(moment: Moment): void {
    this.#crowd.numbers[moment] = Date.now();
  }
  ended(result: 'succeeded' | 'failed' | 'rolled_back' | 'withdrawn', code: string | null): void {
    this.count(result);
    if (result === 'succeeded') this.facts.add('upgraded');
    else if (result !== 'withdrawn') this.facts.add(result);
    if (code !== null) this.#crowd.error(code);
  }
  spool(service: string, events: readonly OutboxEvent[]): void {
    for (const event of events) {
      const fitted = toSpoolEvent(service, event);
      if (fitted === null) continue;
      const made = this.#spool.append(fitted);
      this.memory?.made(made);
      this.count('events_made');
    }
    this.#pumpSoon();
  }
  remember(): void {
    this.memory?.write(this.#boots, this.#spool.kept, this.services);
  }
  send(message: NodeMessage): boolean {
    return this.#isWelcome && this.#say(message);
  }

  // -- what the worker asks ------------------------------------------------------------------

  get state(): NodeState {
    if (this.#isWelcome) return 'connected';
    if (this.#link.isOpen || this.#link.isConnecting) return 'connecting';
    return this.#crowd.numbers.opened === 0 ? 'idle' : 'waiting';
  }
  get backlog(): number {
    return this.#spool.backlog;
  }

  connect(inMs: number): void {
    if (this.memory !== null && this.memory.kept !== null) {
      for (const service of this.services) service.boot();
    }
    this.#link.start(inMs);
    this.#begin(
      'flapping',
      (fault) => fault.every_ms,
      () => this.#link.cut('flapping'),
    );
    this.#begin(
      'reboot_loop',
      (fault) => fault.every_ms,
      () => {
        this.#reboot();
      },
    );
    const open = this.fault('half_open');
    this.#begin(
      'half_open',
      (fault) => fault.after_ms + fault.for_ms,
      () => {
        this.#hold(open?.for_ms ?? 0);
      },
    );
  }

  disconnect(): void {
    this.#link.cut('storm');
  }

  calm(): void {
    this.#isCalm = true;
    this.wheel.cancel(this.#trouble);
    this.#hold(0);
  }

  stop(): void {
    this.calm();
    this.#quiet();
    for (const service of this.services) service.halt();
    this.#link.stop();
  }

  /** For a flood: the same message again, whatever it says. */
  repeat(text: string): void {
    if (!this.#isWelcome || !this.#link.send(text)) return;
    this.count('messages_out');
  }
  get spoolId(): string {
    return this.#spool.id;
  }
  healthText(): string {
    return JSON.stringify(this.#health());
  }

  // -- faults --------------------------------------------------------------------------------

  #begin<K extends 'flapping' | 'reboot_loop' | 'half_open'>(
    kind: K,
    everyMs: (fault: Extract<Fault, { kind: K }>) => number,
    befall: () => void,
  ): void {
    const fault = this.fault(kind);
    if (fault === null) return;
    let left = (fault as { times: number }).times;
    const next = (): void => {
      this.#trouble = this.wheel.in(everyMs(fault) * (0.75 + this.luck() / 2), () => {
        if (this.#isCalm) return;
        this.count('faults');
        befall();
        left -= 1;
        if (left > 0) next();
      });
    };
    next();
  }

  /** Neither reads nor writes for a while; then the old socket is given up. */
  #hold(ms: number): void {
    if (ms === 0) {
      if (this.#held) this.#link.cut('half_open');
      this.#held = false;
      return;
    }
    this.#held = true;
    this.#link.hold(true);
    this.wheel.in(ms, () => {
      this.#hold(0);
    });
  }

  #reboot(): void {
    const downMs = this.fault('reboot_loop')?.down_ms ?? 0;
    for (const service of this.services) service.halt();
    this.#quiet();
    this.#isWelcome = false;
    this.#link.stop();
    this.wheel.in(downMs, () => {
      this.#boots += 1;
      this.bootedAt = performance.now();
      for (const service of this.services) service.boot();
      this.#link.start(this.luck() * 1_000);
    });
  }

  // -- the link ------------------------------------------------------------------------------

  #say(message: NodeMessage): boolean {
    if (this.#held || !this.#link.send(JSON.stringify(message))) return false;
    this.count('messages_out');
    return true;
  }

  #hello(): Hello {
    const { name, os, arch, labels } = this.seed;
    const { id, firstSeq, nextSeq } = this.#spool;
    return {
      type: 'hello',
      protocol: PROTOCOL_VERSION,
      agent_version: this.#crowd.agentVersion,
      boot_id: `boot-${this.#boots}`,
      last_session: this.#session,
      spool: { id, first_seq: firstSeq, next_seq: nextSeq },
      host: { os, arch, hostname: name, kernel: 'simulated', memory_bytes: 1024 ** 3, labels },
      services: this.services.map((service) => service.report()),
      capabilities: ['upgrade'],
      policy_digest: '',
      generation: Math.max(0, ...this.services.map(({ machine }) => machine.state.generation)),
    };
  }

  #health(): NodeMessage {
    const services = this.services.map((service) => service.report());
    return {
      type: 'health',
      services,
      disk_free_bytes: 2 ** 33,
      spool_backlog: this.#spool.backlog,
    };
  }

  #hear(message: ManagerMessage): void {
    if (this.#held) return;
    this.count('messages_in');
    if (!this.#isWelcome && message.type !== 'welcome') return;
    switch (message.type) {
      case 'welcome':
        this.#welcomed(message);
        break;
      case 'command':
        this.mark('last_command_at');
        this.#obey(message.command);
        break;
      case 'permit':
        this.count('permits');
        this.#serviceOf(message.command_id)?.take({ ...message, type: 'permit_granted' });
        break;
      case 'permit_denied': {
        this.count('permits_denied');
        const { command_id, ask, retry_after_ms: retry_ms } = message;
        this.#serviceOf(command_id)?.take({ type: 'permit_denied', command_id, ask, retry_ms });
        break;
      }
      case 'events_ack':
        if (message.spool_id === this.#spool.id) this.#acked(message.through);
        break;
      case 'reconnect':
        this.#link.comeBackIn(message.after_ms);
        break;
      case 'error':
        this.#crowd.reason(`told_${message.error_code}`);
        break;
      case 'index_news':
        break;
    }
  }

  #serviceOf(commandId: string): LiveService | null {
    return this.services.find((service) => service.knows(commandId)) ?? null;
  }

  #welcomed(welcome: Extract<ManagerMessage, { type: 'welcome' }>): void {
    if (this.#session !== null) this.facts.add('came_back');
    this.#session = welcome.session_id;
    this.#isWelcome = true;
    this.#beatEveryMs = welcome.heartbeat_interval_ms;
    this.#link.welcomed();
    this.count('welcomed');
    this.mark('last_welcome_at');
    this.#beatIn(this.#beatEveryMs * this.luck());
    for (const command of welcome.commands) this.#obey(command);
    this.#inFlight = 0;
    this.#taken(welcome.events_through);
    for (const service of this.services) service.take({ type: 'linked' });
    this.#pump();
  }

  #obey(envelope: { readonly command_id: string }): void {
    const { command_id } = envelope;
    const parsed = Command.safeParse(envelope);
    if (!parsed.success) {
      this.send({ type: 'reject', command_id, error_code: 'command_invalid', message: 'unusable' });
      return;
    }
    const command = parsed.data;
    const service =
      command.action === 'withdraw'
        ? (this.#serviceOf(command.withdraws) ?? this.services[0])
        : this.services.find(({ seed }) => seed.name === command.service);
    if (service === undefined) {
      const message = 'this node has no such service';
      this.send({ type: 'reject', command_id, error_code: 'command_invalid', message });
      return;
    }
    this.count(service.knows(command_id) ? 'commands_again' : 'commands');
    this.send(service.obey(command));
  }

  #beatIn(ms: number): void {
    this.wheel.cancel(this.#beat);
    this.#beat = this.wheel.in(ms, () => {
      if (this.send(this.#health())) this.count('beats');
      this.#beatIn(this.#beatEveryMs * (0.9 + 0.2 * this.luck()));
    });
  }

  /** Events of one turn go in one batch. */
  #pumpSoon(): void {
    if (this.#inFlight > 0 || !this.#isWelcome) return;
    queueMicrotask(() => {
      this.#pump();
    });
  }

  #pump(): void {
    if (!this.#isWelcome || this.#inFlight > 0) return;
    const events = this.#spool.batch();
    const last = events.at(-1);
    if (
      last === undefined ||
      !this.#say({ type: 'events', spool_id: this.#spool.id, events: [...events] })
    )
      return;
    this.#inFlight = last.seq;
    this.#unanswered = this.wheel.in(EVENTS_ANSWER_MS_MAX, () => {
      this.#inFlight = 0;
      this.#pump();
    });
  }

  #acked(through: number): void {
    this.wheel.cancel(this.#unanswered);
    this.#inFlight = 0;
    this.mark('last_ack_at');
    this.#taken(through);
    this.#pump();
  }

  #taken(through: number): void {
    this.#crowd.numbers.events_acked += this.#spool.acknowledge(through);
  }

  #quiet(): void {
    this.wheel.cancel(this.#beat);
    this.wheel.cancel(this.#unanswered);
    this.#inFlight = 0;
  }

  #ended(reason: string, wasOpen: boolean): void {
    this.#quiet();
    this.#isWelcome = false;
    this.count(wasOpen ? 'lost' : 'refused');
    if (!wasOpen) this.facts.add('refused');
    this.#crowd.reason(reason);
  }
}
