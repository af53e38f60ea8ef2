import { describe, expect, it } from 'vitest';
import { ROUTES } from '../../../protocol/api/index.js';
import { openApiDocument } from './index.js';

type Operation = {
  operationId: string;
  security: unknown[];
  parameters: { name: string; in: string; required: boolean; schema: { type?: string } }[];
  requestBody?: { content: Record<string, { schema: Record<string, unknown> }> };
  responses: Record<string, { content?: Record<string, unknown> }>;
};
const document = openApiDocument() as unknown as {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, unknown> };
};
const operations = Object.values(document.paths).flatMap((path) => Object.values(path));
const operation = (id: string): Operation | undefined =>
  operations.find((each) => each.operationId === id);

describe('the OpenAPI document', () => {
  it('holds every row of the route table once', () => {
    expect(document.openapi).toBe('3.1.0');
    expect(operations.map((each) => each.operationId).sort()).toEqual(Object.keys(ROUTES).sort());
  });

  it('knows each parameter of each path', () => {
    for (const [path, methods] of Object.entries(document.paths)) {
      const named = [...path.matchAll(/\{([a-z]+)\}/g)].map((match) => match[1]);
      expect(path).not.toContain(':');
      for (const each of Object.values(methods)) {
        const known = each.parameters.filter((one) => one.in === 'path' && one.required);
        expect(known.map((one) => one.name)).toEqual(named);
      }
    }
  });

  it('says what a query means and what may be left out', () => {
    const parameters = operation('nodes.list')?.parameters ?? [];
    expect(parameters.find(({ name }) => name === 'limit')).toMatchObject({
      in: 'query',
      required: false,
      schema: { type: 'integer', minimum: 1, maximum: 500, default: 50 },
    });
  });

  it('asks for bodies as they are sent, and shows answers as they come', () => {
    const body = operation('tokens.create')?.requestBody?.content['application/json']?.schema;
    expect(body?.['required']).toEqual(['name']);
  });

  it('has a problem document for every error, and a credential where one is needed', () => {
    for (const each of operations) {
      for (const [status, response] of Object.entries(each.responses)) {
        if (Number(status) >= 400) {
          expect(response.content).toEqual({
            'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } },
          });
        }
      }
    }
    expect(operation('nodes.list')?.security).toEqual([{ bearer: [] }]);
    expect(operation('releases.blob')?.security).toEqual([{ node: [] }]);
    expect(operation('health.live')?.security).toEqual([]);
  });

  it('answers every list in pages, but for those that are short by nature', () => {
    // Own sessions, at most 200 freezes, one source a configuration, one document a channel, 14 offers.
    const short = ['sessions.list', 'groups.freezes', 'sources.list', 'documents.list'];
    const lists = [...Object.entries(ROUTES)].filter(
      ([name, row]) =>
        (name.endsWith('.list') || name.endsWith('s.freezes')) &&
        !['needs.list', 'events.list'].includes(name) &&
        'answer' in row,
    );
    const unpaged = lists.filter(([name]) => {
      const schema = operation(name)?.responses['200']?.content?.['application/json'] as {
        schema: { properties: object };
      };
      return !('next_cursor' in schema.schema.properties);
    });
    expect(unpaged.map(([name]) => name).sort()).toEqual(short.sort());
  });

  it('is plain JSON', () => {
    expect(JSON.parse(JSON.stringify(document))).toEqual(document);
  });
});
