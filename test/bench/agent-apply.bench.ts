import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { arch } from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { runProgram } from '../../src/cli/program.js';
import { parseManifest, signMinisign } from '../../src/core/release/index.js';
import { lockOwner } from '../../src/agent/lock.js';
import { buildPrograms } from '../support/built.js';
import { makeTempDir } from '../support/databases.js';
import {
  eventually,
  makeSigningKey,
  SERVICE,
  startAgent,
  type SigningKey,
} from '../support/fleet.js';
import { startManagerProcess, type ManagerProcess } from '../support/manager-process.js';
import { recordingTerminal } from '../support/recording-terminal.js';
import { compared } from './measure.js';

/**
 * The highest memory of an agent that downloads, verifies and applies 200 MB, whole and by delta.
 * BELLWETHER_AGENT_BINARY names the executable that is measured; without it, Node runs the agent.
 */
const CONTENT_BYTES = 200e6;
/** An edit of some bytes each so many: what a rebuilt program looks like from afar. */
const EDIT_EVERY = 40_000;

describe('an agent that applies 200 MB', () => {
  const dir = makeTempDir();
  let programs: ReturnType<typeof buildPrograms>;
  let manager: ManagerProcess;

  beforeAll(async () => {
    programs = buildPrograms();
    manager = await startManagerProcess(programs.path);
  }, 120_000);
  afterAll(async () => {
    await manager.stop();
    programs.remove();
    dir.remove();
  }, 60_000);

  const memoryMb = (pid: number, what: 'VmRSS' | 'VmHWM'): number => {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return Number(new RegExp(`^${what}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) / 1024;
  };

  async function publish(
    version: string,
    { content, key, from }: { content: Buffer; key: SigningKey; from: string | undefined },
  ): Promise<string> {
    const tree = join(dir.path, `tree-${version}`);
    mkdirSync(join(tree, 'bin'), { recursive: true });
    writeFileSync(join(tree, 'bin', 'edge.cjs'), SERVICE, { mode: 0o755 });
    writeFileSync(join(tree, 'release.json'), JSON.stringify({ version, healthy: true }));
    writeFileSync(join(tree, 'content'), content);
    const out = join(dir.path, `release-${version}`);
    const terminal = recordingTerminal({});
    const words = ['release', 'pack', '--product', 'edge', '--version', version];
    const where = ['--channel', 'stable', '--sequence', String(Number(version.split('.')[1]) + 1)];
    const host = `linux/${arch === 'arm64' ? 'arm64' : 'x64'}=${tree}`;
    const more = from === undefined ? [] : ['--delta-from', from];
    const all = [...words, ...where, '--artifact', host, '--out', out, ...more];
    if ((await runProgram(all, terminal)) !== 0) throw new Error(terminal.errText());
    const manifest = readFileSync(join(out, 'manifest.json'));
    const signature = signMinisign(key.privateKey, manifest, version);
    const parsed = parseManifest(manifest);
    if (!signature.ok || !parsed.ok) throw new Error('not a release');
    const { artifacts, deltas = [] } = parsed.value;
    for (const { file, sha256 } of [...artifacts, ...deltas]) {
      const sent = await fetch(`${manager.url}/api/v1/blobs/sha256/${sha256}`, {
        method: 'PUT',
        headers: {
          authorization: `Bearer ${manager.admin}`,
          'content-type': 'application/octet-stream',
        },
        body: readFileSync(join(out, file)),
      });
      if (!sent.ok) throw new Error(await sent.text());
    }
    const body = { manifest: manifest.toString('utf8'), signatures: [signature.value] };
    const published = await manager.call('releases.publish', { body });
    if (published.status !== 201) throw new Error(JSON.stringify(published.body));
    return out;
  }

  it('stays small', { timeout: 3_600_000 }, async () => {
    const key = makeSigningKey();
    const folder = join(dir.path, 'fleet');
    mkdirSync(folder);
    const agent = await startAgent({
      ...{ manager, programs: programs.path, folder, name: 'edge-01', publicKey: key.publicKey },
      ...{ windowSecs: 5 },
    });
    try {
      const content = randomBytes(CONTENT_BYTES);
      let from: string | undefined;
      for (const [round, version] of ['1.0.0', '1.1.0', '1.2.0'].entries()) {
        for (let at = round; at < content.length; at += EDIT_EVERY) content[at]! ^= 1 + round;
        from = await publish(version, { content, key, from: round === 2 ? from : undefined });
        await sleep(5_000);
        const pid = lockOwner(dirname(agent.root));
        if (pid === null) throw new Error('no agent runs');
        // 5 sets the high-water mark to what is there now.
        writeFileSync(`/proc/${pid}/clear_refs`, '5');
        const atRest = memoryMb(pid, 'VmRSS');
        await eventually(async () => {
          const wanted = { params: { id: agent.nodeId }, body: { version, product: 'edge' } };
          const { status, body } = await manager.call('nodes.upgrade', wanted);
          if (status !== 202) throw new Error(JSON.stringify(body));
        });
        await eventually(async () => {
          if ((await agent.version()) !== version) throw new Error('not yet');
        }, 300_000);
        compared(`memory while applying ${version}`, {
          row: 'agent_apply',
          unit: 'MB',
          baseline: ['at rest before', atRest],
          measured: ['highest', memoryMb(pid, 'VmHWM')],
        });
      }
      const { body } = await manager.call('events.list', {
        query: { category: 'upgrade', limit: 500 },
      });
      const came = body.items.filter(({ type }) => type === 'upgrade_downloaded');
      for (const { details } of came) {
        const how = details['delta'] === true ? 'by delta' : 'whole';
        process.stdout.write(
          `| ${String(details['to_version'])} ${how} | ${String(details['bytes'])} bytes |\n`,
        );
      }
    } finally {
      await agent.stop();
    }
  });
});
