import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Channel, ProductName } from '../../core/release/index.js';
import type { Command } from '../command.js';
import { writeNew } from '../new-file.js';
import { PROJECT_FILE } from './project.js';

export const init: Command = {
  name: 'release init',
  summary: 'write a release.toml to begin with',
  operands: [],
  options: {
    product: { value: 'P', help: 'what is released, such as edge', isRequired: true },
    channel: { value: 'C', help: 'stable, beta or dev (default: stable)' },
    out: { value: 'DIR', help: 'folder for release.toml (default: this one)' },
  },
  notes: ['Nothing that exists is overwritten.'],
  run: async (given, terminal) => {
    const product = given.need('product', ProductName);
    const channel = given.read('channel', Channel) ?? 'stable';
    const folder = given.optional('out') ?? '.';
    await mkdir(folder, { recursive: true });
    const path = join(folder, PROJECT_FILE);
    await writeNew(path, templateOf(product, channel), 0o644);
    terminal.out(
      [
        path,
        '',
        'next:',
        `  bellwether release pack --project ${path} --version 1.0.0 --sequence 1 --out release/1.0.0`,
        '  bellwether release sign release/1.0.0 --secret-key NAME.key',
        '  bellwether release publish release/1.0.0',
        '',
      ].join('\n'),
    );
  },
};

const templateOf = (product: string, channel: string): string =>
  `# What stays the same from one release of ${product} to the next.
# Paths begin where this file lies.

product = "${product}"
# Who gets it: "stable" everybody, "beta" and "dev" those who asked for it.
channel = "${channel}"

# Text of the release notes.
# notes = "CHANGELOG.md"

# From then on no node begins to install it.
# expires_after_days = 365

# [compatibility]
# Nothing older goes to this release directly.
# min_from = "1.0.0"
# How many major versions one step may cross.
# major_hops_max = 1
# The formats of state on the disk that it can read; it writes the highest.
# state_schema = { min = 1, max = 1 }

# For workloads: the image without tag, and the one digest that is meant.
# [image]
# reference = "registry.example.com/fleet/${product}"
# digest = "sha256:..."

# One for each kind of host: a folder, or a single file.
[[artifact]]
os = "linux"
arch = "x64"
path = "build/linux-x64"

# [[artifact]]
# os = "linux"
# arch = "arm64"
# variant = "full"
# path = "build/linux-arm64-full"
`;
