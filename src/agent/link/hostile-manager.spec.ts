import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CLOSE, MANAGER_FRAME_BYTES_MAX } from '../../protocol/node/index.js';
import { aCommand, until, LinkBench } from '../../../test/support/link-bench.js';

let bench: LinkBench;
beforeEach(async () => {
  bench = new LinkBench();
  await bench.open();
});
afterEach(async () => {
  await bench.remove();
});

describe('a manager that misbehaves', () => {
  const HOSTILE: Record<string, unknown> = {
    'that is not JSON': '{"type":"welcome"',
    'that is empty': '',
    'that is null': 'null',
    'that is an array': [],
    'that is a number': '1e999',
    'of an unknown type': { type: 'reboot' },
    'whose type is an object': { type: { toString: 'x' } },
    'that lacks a field': { type: 'permit', command_id: 'cmd_000001' },
    'with a wrong id': { type: 'permit', command_id: '../../etc', lease_ms: 1_000 },
    'with a lease of a year': {
      type: 'permit',
      command_id: 'cmd_000001',
      lease_ms: 31_536_000_000,
    },
    'with a heartbeat of nothing': { type: 'welcome', heartbeat_interval_ms: 0 },
    'that names prototypes':
      '{"type":"permit","__proto__":{"lease_ms":1},"command_id":"cmd_000001"}',
    'nested very deeply': '['.repeat(50_000),
    'with a negative wait': { type: 'reconnect', after_ms: -1, reason: 'x' },
    'that is a second welcome': {
      type: 'welcome',
      session_id: 'ses_000000000002',
      server_time: '2026-11-20T08:00:00.000Z',
      heartbeat_interval_ms: 100,
      events_through: 0,
      commands: [],
    },
  };
  for (const [name, frame] of Object.entries(HOSTILE)) {
    it(`ignores a frame ${name} and lives on`, async () => {
      bench.link.start();
      const peer = await bench.manager.peer();
      peer.say(frame === HOSTILE['that is a second welcome'] ? '{}' : frame);
      await peer.welcome();
      peer.say(frame);
      peer.say({ type: 'command', command: aCommand('cmd_000009') });
      expect((await peer.heard('ack')).command_id).toBe('cmd_000009');
      expect(bench.permits).toEqual([]);
      expect(bench.manager.peers).toHaveLength(1);
    });
  }

  it('ignores binary frames', async () => {
    bench.link.start();
    const peer = await bench.manager.peer();
    await peer.welcome();
    peer.socket.send(Buffer.from('{}'), { binary: true });
    await until(() => bench.said.some(({ fields }) => fields['error_code'] === 'frame_binary'));
    peer.say({ type: 'command', command: aCommand('cmd_000009') });
    await peer.heard('ack');
  });

  it('refuses a frame above the limit by closing, and comes back', async () => {
    bench.link.start();
    const first = await bench.manager.peer();
    await first.welcome();
    const closed = first.closed();
    first.say('x'.repeat(MANAGER_FRAME_BYTES_MAX + 1));
    expect(await closed).toBe(CLOSE.frame_too_large);
    await bench.manager.peer(2);
  });

  it('answers a flood of commands only as far as it can', async () => {
    const gate = Promise.withResolvers<undefined>();
    bench.answer = async ({ command_id }) => {
      await gate.promise;
      return { type: 'ack', command_id, result: 'accepted' };
    };
    bench.link.start();
    const peer = await bench.manager.peer();
    await peer.welcome();
    for (let i = 0; i < 300; i += 1) {
      peer.say({ type: 'command', command: aCommand(`cmd_${String(i).padStart(6, '0')}`) });
    }
    const ignored = (): number =>
      bench.said.filter(({ message }) => message.startsWith('too many commands')).length;
    await until(() => ignored() === 44);
    gate.resolve(undefined);
    await peer.heard('ack', 256);
    expect(bench.commands).toHaveLength(256);
  });

  it('is cut off when it asks on and on and never reads the answers', async () => {
    bench.answer = ({ command_id }) =>
      Promise.resolve({
        type: 'reject',
        command_id,
        error_code: 'command_unknown_action',
        message: 'x'.repeat(1_900),
      });
    bench.link.start();
    const peer = await bench.manager.peer();
    await peer.welcome();
    peer.socket.pause();
    let sent = 0;
    const isCutOff = (): boolean =>
      bench.said.some(({ message }) => message.startsWith('the manager does not read'));
    while (!isCutOff() && sent < 100_000) {
      for (let i = 0; i < 200; i += 1) {
        sent += 1;
        const id = `cmd_${String(sent).padStart(6, '0')}`;
        peer.say({ type: 'command', command: aCommand(id) });
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    await until(isCutOff);
    // And comes back.
    await bench.manager.peer(2);
  });

  it('lives through answers that are not HTTP, and through a closed door', async () => {
    bench.manager.refusal = `garbage ${randomUUID()}\r\n\r\n`;
    bench.link.start();
    const peer = await bench.manager.peer();
    await peer.welcome();
    expect(bench.said.some(({ message }) => message === 'link error')).toBe(true);
  });
});
