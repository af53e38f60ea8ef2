import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CLOSE, HEARTBEATS_MISSED_MAX } from '../../protocol/node/index.js';
import { aCommand, anEvent, textsOf, until, LinkBench } from '../../../test/support/link-bench.js';

let bench: LinkBench;
beforeEach(async () => {
  bench = new LinkBench();
  await bench.open();
});
afterEach(async () => {
  await bench.remove();
});

describe('the link of a node', () => {
  it('says hello first, takes welcome, and answers the open commands', async () => {
    bench.link.start();
    const peer = await bench.manager.peer();
    const hello = await peer.welcome({
      commands: [aCommand('cmd_000001'), aCommand('cmd_000002')],
    });
    expect(hello.spool).toEqual({ id: bench.spool.id, first_seq: 1, next_seq: 1 });
    expect(hello.last_session).toBeNull();
    await peer.heard('ack', 2);
    expect(peer.messages.map((message) => message.type)).toEqual(['hello', 'ack', 'ack']);
    expect(bench.commands.map((command) => command.command_id)).toEqual([
      'cmd_000001',
      'cmd_000002',
    ]);
  });

  it('sends nothing but hello before welcome, and gives up waiting for it', async () => {
    bench.link.start();
    await bench.report('a');
    expect(
      bench.link.askPermit({ command_id: 'cmd_000001', ask: 1, service: 'edge', version: '1.0.0' }),
    ).toBe(false);
    const first = await bench.manager.peer();
    first.say({ type: 'command', command: aCommand('cmd_000001') });
    first.say({ type: 'permit', command_id: 'cmd_000001', ask: 1, lease_ms: 1_000 });
    const second = await bench.manager.peer(2);
    expect(first.messages.map((message) => message.type)).toEqual(['hello']);
    expect([bench.commands, bench.permits]).toEqual([[], []]);
    await second.welcome();
    expect(textsOf(await second.heard('events'))).toEqual(['a']);
  });

  it('makes a new token for every try and tells the session before it', async () => {
    bench.link.start();
    const first = await bench.manager.peer();
    await first.welcome();
    first.socket.close(1001);
    const second = await bench.manager.peer(2);
    expect((await second.welcome()).last_session).toBe('ses_000000000001');
    expect(new Set(bench.manager.tokens).size).toBe(2);
  });

  it('sends events in order, one batch in flight, and goes on when they are acknowledged', async () => {
    bench.link.start();
    const peer = await bench.manager.peer();
    await peer.welcome();
    await bench.report('a', 'b');
    expect((await peer.heard('events')).events.map((event) => event.seq)).toEqual([1, 2]);
    await bench.report('c');
    await sleep(50);
    expect(peer.messages.filter((message) => message.type === 'events')).toHaveLength(1);
    peer.say(bench.ack(2));
    expect(textsOf(await peer.heard('events', 2))).toEqual(['c']);
    peer.say(bench.ack(3));
    await until(() => bench.spool.backlog === 0);
  });

  it('splits a backlog into batches of at most a hundred events and 64 KiB', async () => {
    await bench.spool.append(Array.from({ length: 60 }, (_, i) => anEvent(`s${i}`)));
    await bench.spool.append(
      Array.from({ length: 30 }, (_, i) => anEvent(`l${i}`, '\u0001'.repeat(100))),
    );
    bench.link.start();
    const peer = await bench.manager.peer();
    await peer.welcome();
    const seqs: number[] = [];
    for (let n = 1; seqs.length < 90; n += 1) {
      const batch = await peer.heard('events', n);
      expect(batch.events.length).toBeLessThanOrEqual(100);
      seqs.push(...batch.events.map((event) => event.seq));
      peer.say(bench.ack(seqs.length));
    }
    expect(seqs).toEqual(Array.from({ length: 90 }, (_, i) => i + 1));
  });

  it('sends again, under the same numbers, what was received but never acknowledged', async () => {
    bench.link.start();
    const first = await bench.manager.peer();
    await first.welcome();
    await bench.report('a', 'b');
    const before = await first.heard('events');
    first.socket.terminate();
    const second = await bench.manager.peer(2);
    await second.welcome({ events_through: 0 });
    expect(await second.heard('events')).toEqual(before);
  });

  it('does not send again what welcome says is stored', async () => {
    await bench.spool.append([anEvent('a'), anEvent('b'), anEvent('c')]);
    bench.link.start();
    const peer = await bench.manager.peer();
    await peer.welcome({ events_through: 2 });
    expect(textsOf(await peer.heard('events'))).toEqual(['c']);
    expect(bench.spool.firstSeq).toBe(3);
  });

  it('ignores acknowledgements of another spool and of events that it never sent', async () => {
    bench.link.start();
    const peer = await bench.manager.peer();
    await peer.welcome();
    await bench.report('a');
    await peer.heard('events');
    peer.say({ type: 'events_ack', spool_id: 'spl_somebodyelse', through: 1 });
    peer.say(bench.ack(9));
    await until(() => bench.said.some(({ message }) => message.includes('never sent')));
    expect(bench.spool.backlog).toBe(1);
    peer.say(bench.ack(1));
    await until(() => bench.spool.backlog === 0);
  });

  it('says hello again with a higher first_seq when the next event is gone', async () => {
    await bench.spool.close();
    rmSync(join(bench.folder, 'spool'), { recursive: true });
    await bench.openSpool({ bytesMax: 6_000, segmentBytesMax: 1_000 });
    bench.link = bench.makeLink();
    await bench.spool.append([
      { ...anEvent('first'), event: { ...anEvent('first').event, severity: 'critical' } },
    ]);
    for (let i = 0; i < 60; i += 1) await bench.spool.append([anEvent(`e${i}`)]);
    expect(bench.spool.dropped).toBeGreaterThan(0);
    bench.link.start();
    const first = await bench.manager.peer();
    expect((await first.welcome()).spool.first_seq).toBe(1);
    expect(textsOf(await first.heard('events'))).toEqual(['first']);
    first.say(bench.ack(1));
    await first.heard('goodbye');
    const second = await bench.manager.peer(2);
    const { first_seq } = (await second.welcome({ events_through: bench.spool.firstSeq - 1 }))
      .spool;
    expect(first_seq).toBe(bench.spool.firstSeq);
    expect(first_seq).toBeGreaterThan(2);
    expect((await second.heard('events')).events[0]?.seq).toBe(first_seq);
  });

  it('begins its spool anew when the manager holds numbers that it never gave', async () => {
    const { id } = bench.spool;
    let toldTimes = 0;
    bench.link = bench.makeLink({ onSetBack: () => Promise.resolve(void (toldTimes += 1)) });
    await bench.report('a');
    bench.link.start();
    await (await bench.manager.peer()).welcome({ events_through: 7 });
    const second = await bench.manager.peer(2);
    const hello = await second.welcome();
    expect(hello.spool.id).not.toBe(id);
    expect(textsOf(await second.heard('events'))).toEqual(['a']);
    expect(toldTimes).toBe(1);
  });

  it('gives a repeated command to the updater again and sends its answer', async () => {
    bench.answer = ({ command_id }) =>
      Promise.resolve({
        type: 'ack',
        command_id,
        result: bench.commands.length > 1 ? 'duplicate' : 'accepted',
      });
    bench.link.start();
    const peer = await bench.manager.peer();
    await peer.welcome();
    peer.say({ type: 'command', command: aCommand('cmd_000001') });
    peer.say({ type: 'command', command: aCommand('cmd_000001') });
    expect((await peer.heard('ack')).result).toBe('accepted');
    expect((await peer.heard('ack', 2)).result).toBe('duplicate');
  });

  it('does not answer a command that failed, and lives on', async () => {
    bench.answer = () => Promise.reject(new Error('disk full'));
    bench.link.start();
    const peer = await bench.manager.peer();
    await peer.welcome({ commands: [aCommand('cmd_000001')] });
    await until(() => bench.said.some(({ message }) => message === 'a command failed'));
    bench.answer = ({ command_id }) =>
      Promise.resolve({
        type: 'reject',
        command_id,
        error_code: 'command_unknown_service',
        message: '',
      });
    peer.say({ type: 'command', command: aCommand('cmd_000002') });
    expect((await peer.heard('reject')).command_id).toBe('cmd_000002');
  });

  it('asks for permits and hands the answers on', async () => {
    bench.link.start();
    const peer = await bench.manager.peer();
    await peer.welcome();
    await until(() =>
      bench.link.askPermit({ command_id: 'cmd_000001', ask: 1, service: 'edge', version: '1.0.0' }),
    );
    expect((await peer.heard('permit_request')).version).toBe('1.0.0');
    peer.say({ type: 'permit', command_id: 'cmd_000001', ask: 1, lease_ms: 900 });
    peer.say({
      type: 'permit_denied',
      command_id: 'cmd_000001',
      ask: 2,
      reason: 'paused',
      retry_after_ms: 700,
    });
    await until(() => bench.permits.length === 2);
    expect(bench.permits).toEqual(['cmd_000001 1 900', 'cmd_000001 2 700 paused']);
  });

  it('tells its health at the interval that the manager chose', async () => {
    bench.link.start();
    const peer = await bench.manager.peer();
    await peer.welcome({ heartbeat_interval_ms: 100 });
    expect((await peer.heard('health', 3)).spool_backlog).toBe(0);
  });

  it('tells it besides when something changed, and goes on as before', async () => {
    await bench.link.tellHealth();
    bench.link.start();
    const peer = await bench.manager.peer();
    await peer.welcome({ heartbeat_interval_ms: 60_000 });
    // Until the welcome is there nothing is told.
    const timer = setInterval(() => void bench.link.tellHealth(), 20);
    try {
      await peer.heard('health', 3);
    } finally {
      clearInterval(timer);
    }
  });

  it('takes a manager that answers nothing for gone, and connects anew', async () => {
    bench.link.start();
    const first = await bench.manager.peer();
    // Half open: the bytes are taken, nothing comes back, not even a pong.
    await first.welcome({ heartbeat_interval_ms: 100 });
    (first.socket as unknown as { _socket: { pause(): void } })._socket.pause();
    await bench.manager.peer(2);
    const lost = bench.said.find(({ fields }) => fields['error_code'] === 'heartbeat_lost');
    expect(lost?.message).toContain('three');
    expect(HEARTBEATS_MISSED_MAX).toBe(3);
  });

  it('stays connected to a manager that only answers pings', async () => {
    bench.link.start();
    const first = await bench.manager.peer();
    await first.welcome({ heartbeat_interval_ms: 100 });
    await first.heard('health', 8);
    expect(bench.manager.peers).toHaveLength(1);
  });

  it('comes back when it was told to, and no earlier', async () => {
    bench.link.start();
    const first = await bench.manager.peer();
    await first.welcome();
    first.say({ type: 'reconnect', after_ms: 150, reason: 'drain' });
    expect((await first.heard('goodbye')).reason).toBe('restart');
    await bench.manager.peer(2);
    const closed = bench.said.find(({ message }) => message === 'the link is closed');
    expect(closed?.fields['next_try_ms']).toBe(150);
  });

  it('says goodbye when it stops, and does not come back', async () => {
    bench.link.start();
    const peer = await bench.manager.peer();
    await peer.welcome();
    await until(() =>
      bench.link.askPermit({ command_id: 'cmd_000001', ask: 1, service: 'edge', version: '1.0.0' }),
    );
    await bench.link.stop('shutdown');
    expect((await peer.heard('goodbye')).reason).toBe('shutdown');
    await sleep(50);
    expect(bench.manager.peers).toHaveLength(1);
  });

  it('logs why an upgrade was refused and waits as long as it was asked to', async () => {
    const body = JSON.stringify({ code: 'jwt_expired', detail: 'node token is expired' });
    bench.manager.refusal =
      'HTTP/1.1 401 Unauthorized\r\nRetry-After: 1\r\nConnection: close\r\n' +
      `Content-Length: ${body.length}\r\n\r\n${body}`;
    bench.link.start();
    await until(() => bench.said.some(({ message }) => message === 'the link is closed'));
    expect(bench.said[0]?.fields).toEqual({
      status: 401,
      error_code: 'jwt_expired',
      detail: 'node token is expired',
    });
    expect(bench.said[1]?.fields['next_try_ms']).toBe(1_000);
  });

  for (const [reason, code] of Object.entries(CLOSE)) {
    const isRevoked = reason === 'revoked';
    it(`${isRevoked ? 'waits an hour' : 'comes back'} after the close code ${reason}`, async () => {
      bench.link.start();
      const first = await bench.manager.peer();
      await first.welcome();
      await sleep(5);
      first.socket.close(code, reason);
      await until(() => bench.said.some(({ message }) => message === 'the link is closed'));
      const closed = bench.said.find(({ message }) => message === 'the link is closed');
      expect(closed?.fields['code']).toBe(code);
      if (isRevoked) expect(closed?.fields['next_try_ms']).toBeGreaterThanOrEqual(3_600_000);
      else await bench.manager.peer(2);
    });
  }
});
