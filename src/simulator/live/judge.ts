import type { Answer } from '../../protocol/api/index.js';
import type { Expectation, Scenario } from './scenario.js';
import type { Report } from './tally.js';

export interface Finding {
  readonly what: string;
  readonly isTrue: boolean;
}

type Measure = keyof Expectation['at_least'];

const countOf = (measure: Measure, { states, nodes }: Report): number =>
  measure === 'connected' ? states.connected : nodes[measure];

const WORDS: Readonly<Record<Measure, string>> = {
  connected: 'connected at the end',
  came_back: 'came back after their link was lost',
  upgraded: 'upgraded',
  failed: 'failed',
  rolled_back: 'turned back',
  refused: 'were refused at the door',
};

const percent = (share: number): string => `${Math.round(share * 1_000) / 10} %`;

/**
 * What a scenario expects, each line with whether it is so; and what must hold in every one: no node swapped
 * twice for one command, and no event of a connected node is left.
 */
export function judge(
  expect: Scenario['expect'],
  end: {
    readonly report: Report;
    readonly nodes: number;
    readonly rollout: Answer<'rollouts.show'> | null;
    readonly isInTime: boolean;
  },
): readonly Finding[] {
  const { report, nodes, rollout, isInTime } = end;
  const findings: Finding[] = [{ what: 'it ended in time', isTrue: isInTime }];
  if (expect.rollout.length > 0) {
    const how = rollout === null ? 'there was none' : `${rollout.status} (${rollout.reason})`;
    findings.push({
      what: `the rollout ends ${expect.rollout.join(' or ')}: ${how}`,
      isTrue: rollout !== null && (expect.rollout as string[]).includes(rollout.status),
    });
  }
  const shares = (
    limits: Expectation['at_least'],
    word: string,
    fits: (a: number, b: number) => boolean,
  ): void => {
    for (const [measure, share] of Object.entries(limits) as [Measure, number][]) {
      const actual = countOf(measure, report) / nodes;
      findings.push({
        what: `${word} ${percent(share)} ${WORDS[measure]}: ${percent(actual)} (${countOf(measure, report)} of ${nodes})`,
        // A share of a few nodes falls between two of them.
        isTrue: fits(actual, share),
      });
    }
  };
  const slack = 0.5 / nodes;
  shares(expect.at_least, 'at least', (actual, share) => actual >= share - slack);
  shares(expect.at_most, 'at most', (actual, share) => actual <= share + slack);
  findings.push({
    what: `no node swapped twice for one command: ${report.numbers.swaps_twice}`,
    isTrue: report.numbers.swaps_twice === 0,
  });
  const missing = report.numbers.events_made - report.numbers.events_acked - report.backlog;
  findings.push({
    what: `${report.numbers.events_made} events made, ${report.numbers.events_acked} durable, ${report.backlog} waiting`,
    isTrue: missing === 0 && (report.backlog === 0 || report.states.connected < nodes),
  });
  return findings;
}
