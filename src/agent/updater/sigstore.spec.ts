import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { changed } from '../../../test/support/json.js';
import { NodeBench } from '../../../test/support/node-bench.js';
import { RELEASE_SIGNER, RELEASE_WORKFLOW, Sigstore } from '../../../test/support/sigstore.js';

let node: NodeBench;
let sigstore: Sigstore;
const KEYLESS = [
  '[[signers]]',
  ...Object.entries(RELEASE_SIGNER).map(([key, value]) => `${key} = "${value}"`),
];
const byWorkflow =
  (workflow = RELEASE_WORKFLOW) =>
  async (bytes: Uint8Array): Promise<string[]> => [
    JSON.stringify(await sigstore.signKeyless(bytes, workflow)),
  ];

beforeAll(async () => {
  sigstore = await Sigstore.make();
  node = await NodeBench.make();
  await node.publish({ version: '1.5.0' });
  await node.open();
  expect(await node.upgrade('1.5.0')).toBe('succeeded');
});
beforeEach(() => {
  node.sigstorePolicy(KEYLESS, sigstore.rootText);
  node.told.length = 0;
});
afterAll(async () => {
  await node.remove();
});

/** It ran nothing new, touched nothing, and told why. */
function expectRefused(code: string): void {
  expect(node.version).toBe('1.5.0');
  expect(node.driver.status().running).toBe(true);
  expect(node.types).not.toContain('upgrade_swapping');
  expect(node.told.at(-1)?.details['error_code']).toBe(code);
}

describe('a node whose policy lists a workflow', () => {
  it.each([
    ['a branch', { ...RELEASE_WORKFLOW, ref: 'refs/heads/main' }],
    ['a fork', { ...RELEASE_WORKFLOW, repository: 'mallory/edge' }],
  ])('refuses a release that the workflow signed from %s', async (_what, workflow) => {
    await node.publish({ version: '1.6.0', sign: byWorkflow(workflow) });
    expect(await node.upgrade('1.6.0')).toBe('upgrade_identity_not_allowed');
    expectRefused('upgrade_identity_not_allowed');
  });

  it('refuses a release whose signature is not in the log', async () => {
    await node.publish({
      version: '1.6.0',
      sign: async (bytes) => {
        const bundle = await sigstore.signKeyless(bytes);
        return [JSON.stringify(changed(bundle, 'verificationMaterial.tlogEntries', []))];
      },
    });
    expect(await node.upgrade('1.6.0')).toBe('upgrade_rekor_invalid');
    expectRefused('upgrade_rekor_invalid');
  });

  it('refuses everything while its trusted root cannot be used', async () => {
    const spoilt = changed(sigstore.root, 'tlogs.0.publicKey.validFor.start');
    const path = join(node.root, 'trusted_root.json');
    writeFileSync(path, JSON.stringify(spoilt), { mode: 0o640 });
    await node.publish({ version: '1.6.0', sign: byWorkflow() });
    expect(await node.upgrade('1.6.0')).toBe('upgrade_trusted_root_invalid');
    expectRefused('upgrade_trusted_root_invalid');
  });

  it('takes the release that the workflow signed for its tag', async () => {
    await node.publish({ version: '1.6.0', sign: byWorkflow() });
    expect(await node.upgrade('1.6.0')).toBe('succeeded');
    expect(node.version).toBe('1.6.0');
  });
});
