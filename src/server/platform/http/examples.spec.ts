import { describe, expect, it } from 'vitest';
import { Validator } from '@seriousme/openapi-schema-validator';
import { makesSomething, ROUTES, type Route, type RouteName } from '../../../protocol/api/index.js';
import { answerExample, bodyExample } from './examples.js';
import { openApiDocument } from './openapi.js';

const NAMES = Object.keys(ROUTES) as RouteName[];
const rowOf = (name: RouteName): Route => ROUTES[name];

describe('the examples of the interface', () => {
  it.each(NAMES.filter((name) => rowOf(name).body !== undefined))(
    'hold a body that %s takes',
    (name) => {
      const { body } = rowOf(name);
      if (body === undefined) throw new Error('no body');
      expect(body.safeParse(bodyExample(name, body)).error?.issues ?? []).toEqual([]);
    },
  );

  it.each(NAMES.filter((name) => rowOf(name).answer !== undefined))(
    'hold an answer that %s could give',
    (name) => {
      const { answer } = rowOf(name);
      if (answer === undefined) throw new Error('no answer');
      expect(answer.safeParse(answerExample(answer)).error?.issues ?? []).toEqual([]);
    },
  );
});

describe('the document', () => {
  const document = JSON.parse(JSON.stringify(openApiDocument())) as {
    paths: Record<string, Record<string, Record<string, unknown>>>;
  };

  it('is OpenAPI 3.1 by the published schema', async () => {
    const result = await new Validator().validate(document);
    expect(result.errors ?? []).toEqual([]);
    expect(result.valid).toBe(true);
  });

  it('says where keys and conditions are taken', () => {
    for (const name of NAMES) {
      const { method, path } = rowOf(name);
      const operation = document.paths[path.replace(/:([a-z_]+)/g, '{$1}')]?.[method.toLowerCase()];
      const headers = (operation?.['parameters'] as { name: string; in: string }[])
        .filter((one) => one.in === 'header')
        .map((one) => one.name);
      expect([name, headers.includes('Idempotency-Key')]).toEqual([name, makesSomething(name)]);
    }
  });
});
