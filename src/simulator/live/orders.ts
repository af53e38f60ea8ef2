import type { Host, Labels } from '../../protocol/node/index.js';
import type { z } from 'zod';
import type { Fault, Scenario } from './scenario.js';
import type { Report } from './tally.js';

/** One service of a simulated node, as it is at the beginning. */
export interface ServiceSeed {
  readonly name: string;
  readonly product: string;
  readonly variant: string;
  readonly version: string | null;
}

/** All that a worker needs to be one node. */
export interface NodeSeed {
  readonly id: string;
  readonly name: string;
  /** The seed of its Ed25519 key, base64url: 32 bytes. */
  readonly key: string;
  /** For its luck. */
  readonly index: number;
  readonly os: Host['os'];
  readonly arch: Host['arch'];
  readonly labels: z.infer<typeof Labels>;
  readonly services: readonly ServiceSeed[];
  /** Which faults of the scenario befall it. */
  readonly faults: readonly Fault[];
}

/** What the process of the display tells a worker. */
export type Order =
  | {
      readonly order: 'begin';
      /** Where the nodes connect, each to one of them until it loses it; and the origin that their tokens are for. */
      readonly urls: readonly string[];
      readonly origin: string;
      readonly caPem: string | null;
      readonly seed: string;
      readonly work: Scenario['work'];
      readonly agentVersion: string;
      /** A folder in which each node keeps its disk and its diary; left out: it has neither. */
      readonly keepIn?: string;
      readonly nodes: readonly NodeSeed[];
    }
  /** Opens the links, so many a second. */
  | { readonly order: 'connect'; readonly perSecond: number }
  /** Cuts this share of the links at once, as a switch that dies. */
  | { readonly order: 'disconnect'; readonly share: number }
  /** From now on nothing befalls anybody. */
  | { readonly order: 'calm' }
  /** Each connected node says one and the same message so often, for so long. */
  | {
      readonly order: 'flood';
      readonly what: 'health' | 'events';
      readonly perSecond: number;
      readonly forMs: number;
    }
  | { readonly order: 'stop' };

export type Told =
  { readonly told: 'ready' } | { readonly told: 'report'; readonly report: Report };
