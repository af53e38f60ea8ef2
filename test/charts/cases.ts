import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { ROOT } from '../walls/tree.js';

export const GOLDEN = join(ROOT, 'test', 'charts', 'golden');

/** A chart with values: what is needed, an overlay of the chart, or one of these tests. */
export interface Case {
  readonly chart: 'bellwether-agent' | 'bellwether';
  readonly name: string;
  readonly files: readonly string[];
}

const chartFile = (chart: string, name: string): string => join(ROOT, 'deploy/chart', chart, name);
const ownFile = (name: string): string => join(ROOT, 'test/charts/values', name);

const agent = (name: string, ...files: string[]): Case => ({
  chart: 'bellwether-agent',
  name,
  files: [ownFile('agent.yaml'), ...files],
});
const manager = (name: string, ...files: string[]): Case => ({
  chart: 'bellwether',
  name,
  files: [ownFile('manager.yaml'), ...files],
});
const agentOverlay = (name: string, ...more: string[]): Case =>
  agent(name, chartFile('bellwether-agent', `values-${name}.yaml`), ...more);

export const CASES: readonly Case[] = [
  agent('default'),
  agentOverlay('constrained'),
  agentOverlay('signal'),
  agentOverlay('gitops'),
  agentOverlay('openshift'),
  agentOverlay('production'),
  agentOverlay('daemonset'),
  agent(
    'machines',
    chartFile('bellwether-agent', 'values-daemonset.yaml'),
    chartFile('bellwether-agent', 'values-constrained.yaml'),
    ownFile('agent-machines.yaml'),
  ),
  agent('gitops-patches', ownFile('agent-gitops.yaml')),
  agent('everything', ownFile('agent-everything.yaml')),
  manager('default'),
  manager('production', chartFile('bellwether', 'values-production.yaml')),
  manager('openshift', chartFile('bellwether', 'values-openshift.yaml')),
  manager('constrained', chartFile('bellwether', 'values-constrained.yaml')),
  manager('everything', ownFile('manager-everything.yaml')),
];

export const goldenOf = ({ chart, name }: Pick<Case, 'chart' | 'name'>): string =>
  join(GOLDEN, chart, `${name}.yaml`);

/** An object as it goes to the API server. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly data?: Readonly<Record<string, string>>;
  readonly stringData?: Readonly<Record<string, string>>;
  readonly [field: string]: unknown;
}

/** What a case is rendered to; `charts.spec.ts` holds it against both helms. */
export function manifestsOf(one: Pick<Case, 'chart' | 'name'>): readonly Manifest[] {
  const file = goldenOf(one);
  const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
  return parseAllDocuments(text).flatMap((document) => {
    const [error] = document.errors;
    if (error !== undefined) throw error;
    const object = document.toJS() as Manifest | null;
    return object === null ? [] : [object];
  });
}

export const manifestIn = (all: readonly Manifest[], kind: string, name: string): Manifest => {
  const found = all.find((one) => one.kind === kind && one.metadata.name === name);
  if (found === undefined) throw new Error(`no ${kind} ${name}`);
  return found;
};
