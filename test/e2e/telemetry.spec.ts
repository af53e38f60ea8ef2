import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildPrograms } from '../support/built.js';
import { eventually } from '../support/fleet.js';
import { startManagerProcess, type ManagerProcess } from '../support/manager-process.js';
import { startOtlpReceiver, type OtlpReceiver } from '../support/telemetry/otlp-receiver.js';
import { look } from '../support/telemetry/scraper.js';

/** More requests than spans wait at once: with a dead collector some must go. */
const REQUESTS = 2_500;
const AT_ONCE = 16;

describe('a manager with an OpenTelemetry collector', () => {
  let programs: ReturnType<typeof buildPrograms>;
  let receiver: OtlpReceiver;
  let manager: ManagerProcess;
  beforeAll(async () => {
    programs = buildPrograms();
    receiver = await startOtlpReceiver();
    manager = await startManagerProcess(programs.path, {
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
      OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip',
      OTEL_BSP_SCHEDULE_DELAY: '50',
      OTEL_BLRP_SCHEDULE_DELAY: '50',
      BELLWETHER_LOG_LEVEL: 'debug',
    });
  }, 180_000);
  afterAll(async () => {
    await manager.stop();
    await receiver.stop();
    programs.remove();
  });

  it('sends its log there too, each line of a request with the ids of its trace', async () => {
    await fetch(`${manager.url}/api/v1/nodes/nod_0000000000`, {
      headers: { authorization: `Bearer ${manager.admin}`, 'x-request-id': 'req-of-a-line' },
    });
    const line = await eventually(async () => {
      const found = receiver.logs.find(
        ({ attributes }) => attributes['requestId'] === 'req-of-a-line',
      );
      if (found === undefined) throw new Error(`${receiver.logs.length} lines`);
      return found;
    });
    const span = await eventually(async () => {
      const found = receiver.spans.find(({ spanId }) => spanId === line.spanId);
      if (found === undefined) throw new Error(`${receiver.spans.length} spans`);
      return found;
    });
    expect(line).toMatchObject({
      severityNumber: 5,
      severityText: 'DEBUG',
      body: { stringValue: 'request' },
      traceId: span.traceId,
      resource: { 'service.name': 'bellwether' },
    });
    expect(span.attributes['bellwether.request_id']).toBe('req-of-a-line');
    expect(receiver.logs.some(({ body }) => JSON.stringify(body).includes('manager started'))).toBe(
      true,
    );
    expect(JSON.stringify(receiver.logs)).not.toContain(manager.admin);
    expect(receiver.problems).toEqual([]);
  });

  it('goes on as ever when the collector is gone, and holds no more than fits', async () => {
    await receiver.stop();
    const before = await look(manager.url, manager.admin);
    let left = REQUESTS;
    const statuses = new Set<number>();
    await Promise.all(
      Array.from({ length: AT_ONCE }, async () => {
        while ((left -= 1) >= 0) statuses.add((await fetch(`${manager.url}/healthz`)).status);
      }),
    );
    expect([...statuses]).toEqual([200]);
    const after = await look(manager.url, manager.admin);
    const grew =
      after.of('process_resident_memory_bytes') - before.of('process_resident_memory_bytes');
    expect(grew).toBeLessThan(150 * 1024 * 1024);
  });
});
