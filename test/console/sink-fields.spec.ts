import { describe, expect, it } from 'vitest';
import { SINK_CONFIGS, SINK_CREDENTIALS, SINK_KINDS } from '../../src/protocol/api/index.js';
import {
  initialValues,
  SINK_KIND_WORDS,
  valuesToSend,
  type SinkField,
} from '../../src/console/pages/evidence/sink-kinds.js';

const byKey = (fields: readonly SinkField[]): string[] => fields.map(({ key }) => key).sort();

/** Passes for every setting that has to be given. */
const EXAMPLES: Readonly<Record<string, string>> = {
  url: 'https://receiver.example/in',
  host: 'logs.example',
  path: 'events.ndjson',
};

describe.each(SINK_KINDS)('the form of a %s sink', (kind) => {
  const { config, credentials } = SINK_KIND_WORDS[kind];

  it('asks for every setting and every credential, and for nothing else', () => {
    expect(byKey(config)).toEqual(Object.keys(SINK_CONFIGS[kind].shape).sort());
    expect(byKey(credentials)).toEqual(Object.keys(SINK_CREDENTIALS[kind].shape).sort());
  });

  it('begins with the defaults of the manager', () => {
    const required = config.filter(({ isRequired }) => isRequired === true);
    const given = Object.fromEntries(required.map(({ key }) => [key, EXAMPLES[key]]));
    const asManager = SINK_CONFIGS[kind].parse(given);
    const values = { ...initialValues(config), ...given } as Record<string, string>;
    expect(valuesToSend(config, values)).toEqual(asManager);
  });

  it('offers every choice that the manager takes, and none that it does not', () => {
    for (const { key, choices = [] } of config) {
      const shape: object = SINK_CONFIGS[kind].shape;
      const field = (shape as Record<string, { safeParse(value: unknown): { success: boolean } }>)[
        key
      ];
      for (const choice of choices) expect(field?.safeParse(choice).success, choice).toBe(true);
      if (choices.length > 0) expect(field?.safeParse('something else').success).toBe(false);
    }
  });
});
