import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { z } from 'zod';
import { FleetError } from '../../core/kernel/index.js';
import { judgeSignatures, parsePublicKey } from '../../core/release/index.js';
import { usageError, type Command } from '../command.js';
import { progressOf } from '../terminal.js';
import { checkArtifact, readReleaseFolder } from './folder.js';

const Threshold = z.coerce
  .number({ error: 'take a whole number' })
  .int('take a whole number')
  .min(1, 'take 1 or more')
  .max(32, 'take 32 or less');

export const verify: Command = {
  name: 'release verify',
  summary: 'check signatures and artifacts of a release',
  operands: ['DIR'],
  options: {
    'public-key': {
      value: 'FILE',
      help: 'public key of an allowed signer',
      isRequired: true,
      isMultiple: true,
    },
    threshold: { value: 'N', help: 'different signers needed (default 1)' },
  },
  run: async (given, terminal) => {
    const signers = await Promise.all(
      given.list('public-key').map(async (path) => {
        const text = await readFile(path, 'utf8');
        const key = parsePublicKey(text);
        if (!key.ok) throw usageError(`--public-key ${path}: ${key.error.message}`);
        return { name: basename(path).replace(/\.pub$/, ''), public_key: text };
      }),
    );
    const threshold = given.read('threshold', Threshold) ?? 1;
    const release = await readReleaseFolder(given.operand(0));
    const texts = release.signatures.map(({ text }) => text);
    const by = judgeSignatures({ signers, threshold }, release.manifestBytes, texts);
    if (!by.ok) throw new FleetError(by.error.code, by.error.message);
    const { artifacts, product, version } = release.manifest;
    for (const artifact of artifacts) {
      const progress = progressOf(terminal, `reading ${artifact.file}`, artifact.size);
      try {
        await checkArtifact(release, artifact, (bytes) => {
          progress.at(bytes);
        });
      } finally {
        progress.stop();
      }
    }
    terminal.out(
      `${product} ${version} is signed by ${by.value.join(', ')}; ` +
        `${artifacts.length} artifact(s) match the manifest\n`,
    );
  },
};
