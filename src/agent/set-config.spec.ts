import { describe, expect, it } from 'vitest';
import { AgentConfig } from './config.js';

const service = (name: string, driver = 'systemd') => ({
  name,
  product: name,
  root: `/opt/bellwether/${name}`,
  driver,
});

const problemsWith = (sets: unknown): string[] => {
  const services = [service('edge'), service('gate'), service('agent', 'self')];
  const parsed = AgentConfig.safeParse({ manager: 'https://manager.example', services, sets });
  return parsed.success ? [] : parsed.error.issues.map(({ message }) => message);
};

describe('sets in agent.toml', () => {
  it('name services of this node', () => {
    expect(problemsWith([{ name: 'pair', services: ['edge', 'gate'] }])).toEqual([]);
    expect(problemsWith([{ name: 'pair', services: ['edge', 'gone'] }])).toEqual([
      'there is no service gone',
    ]);
  });

  it('share no service, and no name', () => {
    const pair = { name: 'pair', services: ['edge', 'gate'] };
    expect(problemsWith([pair, pair])).toEqual([
      'two sets of the same name',
      'edge stands in a set already',
      'gate stands in a set already',
    ]);
    expect(problemsWith([{ name: 'one', services: ['edge', 'edge'] }])).toEqual([
      'edge stands in a set already',
    ]);
  });

  it('do not hold the agent itself, and are two at least', () => {
    expect(problemsWith([{ name: 'all', services: ['edge', 'agent'] }])).toEqual([
      'the agent itself cannot belong to a set',
    ]);
    expect(problemsWith([{ name: 'one', services: ['edge'] }])).toHaveLength(1);
  });
});
