import { lt } from 'semver';
import { z } from 'zod';
import { FleetError } from '../../core/kernel/index.js';
import {
  assessSignatures,
  type Assessment,
  type Claim,
  type Manifest,
  type NodePolicy,
} from '../../core/release/index.js';
import { usageError, type Command, type Given } from '../command.js';
import { progressOf, type Terminal } from '../terminal.js';
import {
  checkArtifact,
  filesOf,
  readReleaseFolder,
  type NamedFile,
  type ReleaseFolder,
} from './folder.js';
import { readPolicy, readPublicKeys, tellClaims, trustFor } from './trust-files.js';

const Threshold = z.coerce
  .number({ error: 'take a whole number' })
  .int('take a whole number')
  .min(1, 'take 1 or more')
  .max(32, 'take 32 or less');

export const verify: Command = {
  name: 'release verify',
  summary: 'check signatures, signers and artifacts of a release, claim by claim',
  operands: ['DIR'],
  options: {
    policy: { value: 'FILE', help: 'policy.toml of a node: its signers, threshold and limits' },
    'public-key': {
      value: 'FILE',
      help: 'public key of an allowed signer, besides those of the policy',
      isMultiple: true,
    },
    'trusted-root': {
      value: 'FILE',
      help: 'trusted root of Sigstore (default: trusted_root.json beside the policy)',
    },
    threshold: {
      value: 'N',
      help: 'different signers needed (default 1, or what the policy says)',
    },
  },
  notes: [
    'Says what passed and what failed, and ends with the first failure as its error: exit code 0',
    'when all passed, 1 when something failed, 2 when the command was wrong. Needs no network.',
    'What a node decides besides is for the node: what it runs, its sequence floor, its platform.',
  ],
  run: async (given, terminal) => {
    const { policy, signers, threshold } = await allowed(given);
    const trust = await trustFor(given.optional('trusted-root'), given.optional('policy'), signers);
    const release = await readReleaseFolder(given.operand(0));
    const texts = release.signatures.map(({ text }) => text);
    const assessment = assessSignatures(
      { signers, threshold },
      release.manifestBytes,
      texts,
      trust,
    );
    const failures = [
      ...tellSignatures(terminal, release, assessment),
      ...tellRules(terminal, policy, release.manifest),
      ...(await tellArtifacts(terminal, release)),
    ];
    const [first] = failures;
    if (first !== undefined) throw first;
    const { artifacts, deltas = [], product, version } = release.manifest;
    const besides = deltas.length === 0 ? '' : ` and ${deltas.length} delta(s)`;
    terminal.out(
      `${product} ${version} is signed by ${assessment.names.join(', ')}; ` +
        `${artifacts.length} artifact(s)${besides} match the manifest\n`,
    );
  },
};

async function allowed(given: Given) {
  const path = given.optional('policy');
  const keys = await readPublicKeys(given.list('public-key'));
  const asked = given.read('threshold', Threshold);
  if (path === undefined && keys.length === 0) {
    throw usageError('say whose signature counts: give --policy or --public-key');
  }
  if (path !== undefined && asked !== undefined) {
    throw usageError('--threshold: the policy says how many signers are needed');
  }
  const policy = path === undefined ? null : await readPolicy(path);
  const signers = [...(policy?.signers ?? []), ...keys];
  return { policy, signers, threshold: asked ?? policy?.threshold ?? 1 };
}

function tellSignatures(
  terminal: Terminal,
  { signatures }: ReleaseFolder,
  { findings, names, verdict }: Assessment,
): FleetError[] {
  for (const { index, claims } of findings)
    tellClaims(terminal, signatures[index]?.file ?? '', claims);
  const says = verdict.ok ? `enough signers: ${names.join(', ')}` : verdict.error.message;
  tellClaims(terminal, 'signers', [{ what: 'threshold', holds: verdict.ok, says }]);
  return verdict.ok ? [] : [new FleetError(verdict.error.code, verdict.error.message)];
}

interface Rule extends Claim {
  readonly code: string;
}

/** What a policy says of a release wherever it goes. Nothing without one. */
function tellRules(
  terminal: Terminal,
  policy: NodePolicy | null,
  manifest: Manifest,
): FleetError[] {
  const rules = policy === null ? [] : rulesOf(policy, manifest);
  const { expires_at: end } = manifest;
  if (end !== undefined) {
    const holds = Date.parse(end) > terminal.now();
    rules.push({ what: 'expiry', holds, says: `ends at ${end}`, code: 'upgrade_release_expired' });
  }
  if (rules.length > 0) tellClaims(terminal, 'rules', rules);
  return rules
    .filter(({ holds }) => !holds)
    .map(({ code, what, says }) => new FleetError(code, `${what}: ${says}`));
}

function rulesOf(policy: NodePolicy, { version, channel, artifacts }: Manifest): Rule[] {
  const {
    enabled,
    allowed_channels: channels,
    min_version: min,
    max_artifact_bytes: most,
  } = policy;
  const largest = Math.max(0, ...artifacts.map(({ size }) => size));
  const rules: Rule[] = [
    {
      what: 'enabled',
      holds: enabled,
      says: enabled ? 'the policy lets upgrades happen' : 'upgrades are switched off',
      code: 'upgrade_disabled',
    },
    {
      what: 'channel',
      holds: channels.includes(channel),
      says: `${channel}; allowed: ${channels.join(', ')}`,
      code: 'upgrade_channel_not_allowed',
    },
    {
      what: 'size',
      holds: largest <= most,
      says: `largest artifact ${largest} bytes; allowed: ${most}`,
      code: 'upgrade_artifact_too_large',
    },
  ];
  if (min !== undefined) {
    const says = `${version}; the policy wants ${min} or newer`;
    rules.push({
      what: 'version',
      holds: !lt(version, min),
      says,
      code: 'upgrade_version_too_old',
    });
  }
  return rules;
}

async function tellArtifacts(terminal: Terminal, release: ReleaseFolder): Promise<FleetError[]> {
  const failures: FleetError[] = [];
  for (const artifact of filesOf(release)) {
    const failure = await checkOne(terminal, release, artifact);
    const says = failure === null ? 'size and digest are those of the manifest' : failure.message;
    const what = 'from_sha256' in artifact ? 'delta' : 'artifact';
    tellClaims(terminal, artifact.file, [{ what, holds: failure === null, says }]);
    if (failure !== null) failures.push(failure);
  }
  return failures;
}

async function checkOne(
  terminal: Terminal,
  release: ReleaseFolder,
  artifact: NamedFile,
): Promise<FleetError | null> {
  const progress = progressOf(terminal, `reading ${artifact.file}`, artifact.size);
  try {
    await checkArtifact(release, artifact, (bytes) => {
      progress.at(bytes);
    });
    return null;
  } catch (error) {
    if (error instanceof FleetError) return error;
    throw error;
  } finally {
    progress.stop();
  }
}
