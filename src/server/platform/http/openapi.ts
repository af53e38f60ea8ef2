import { z } from 'zod';
import {
  CURRENT,
  isShown,
  makesSomething,
  Problem,
  ROUTES,
  type Route,
  type RouteName,
} from '../../../protocol/api/index.js';
import { ERRORS, type ErrorCode } from '../../../protocol/index.js';
import { answerExample, bodyExample } from './examples.js';

type Json = Record<string, unknown>;

/** Refinements have no JSON Schema; they are checked all the same, and told in the problem. */
const schemaOf = (schema: z.ZodType, io: 'input' | 'output'): Json => {
  const { $schema, ...rest } = z.toJSONSchema(schema, {
    target: 'draft-2020-12',
    io,
    unrepresentable: 'any',
  }) as Json;
  return rest;
};

/** Codes that a route may answer whatever it does. */
function errorsOf(name: RouteName, route: Route): ErrorCode[] {
  const codes: ErrorCode[] = [...route.errors, 'internal_error', 'unavailable'];
  if (route.params !== undefined || route.query !== undefined || route.body !== undefined) {
    codes.push('invalid_request');
  }
  if (route.body !== undefined) codes.push('payload_too_large');
  if (route.body !== undefined && route.permission === 'public') codes.push('rate_limited');
  if (route.permission === 'node') {
    codes.push('unauthenticated', 'rate_limited');
    codes.push('jwt_invalid', 'jwt_expired', 'jwt_wrong_audience', 'jwt_replayed');
  } else if (route.permission !== 'public') {
    codes.push('unauthenticated', 'insufficient_role', 'rate_limited');
    if (route.permission === 'person') codes.push('person_required');
  }
  if (CURRENT[name] !== undefined) codes.push('precondition_failed');
  if (makesSomething(name)) codes.push('idempotency_key_reused', 'idempotency_in_progress');
  return [...new Set(codes)];
}

function parametersOf(route: Route): Json[] {
  const parts = [
    ['path', route.params],
    ['query', route.query],
  ] as const;
  return parts.flatMap(([where, schema]) => {
    if (schema === undefined) return [];
    // Texts are coerced to numbers: the output says what is meant, the input what may be left out.
    const meant = schemaOf(schema, 'output')['properties'] as Json;
    const needed = (schemaOf(schema, 'input')['required'] ?? []) as string[];
    return Object.entries(meant).map(([name, each]) => ({
      name,
      in: where,
      required: where === 'path' || needed.includes(name),
      schema: each,
    }));
  });
}

/** Headers that change what a request means; all may be left out. */
function headersOf(name: RouteName): Json[] {
  const header = (title: string, description: string): Json => ({
    name: title,
    in: 'header',
    required: false,
    description,
    schema: { type: 'string' },
  });
  return [
    ...(makesSomething(name)
      ? [
          header(
            'Idempotency-Key',
            'Any text of 1 to 255 visible characters, best a random UUID. The same request with the same key ' +
              'makes one thing and gets one answer, for 24 hours.',
          ),
        ]
      : []),
    ...(CURRENT[name] === undefined
      ? []
      : [
          header(
            'If-Match',
            `The ETag of \`${CURRENT[name]}\`: the change is made when the thing is still as it was then.`,
          ),
        ]),
  ];
}

const ETAG = {
  description: 'Stands for what people can change of it; give it back in If-Match.',
  schema: { type: 'string' },
};

function responsesOf(name: RouteName, route: Route): Json {
  const responses: Json = {
    [route.status]:
      route.answer === undefined
        ? { description: route.summary }
        : {
            description: route.summary,
            ...(isShown(name) ? { headers: { ETag: ETAG } } : {}),
            content: {
              'application/json': {
                schema: schemaOf(route.answer, 'output'),
                example: answerExample(route.answer),
              },
            },
          },
  };
  const codesOf = errorsOf(name, route);
  for (const status of new Set(codesOf.map((code) => ERRORS[code].http))) {
    if (status === null) continue;
    const codes = codesOf.filter((code) => ERRORS[code].http === status);
    const lines = codes.map((code) => `- \`${code}\`: ${ERRORS[code].meaning} ${ERRORS[code].fix}`);
    responses[status] = {
      description: lines.join('\n'),
      content: {
        'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } },
      },
    };
  }
  return responses;
}

function operationOf(name: RouteName, route: Route): Json {
  const security: Readonly<Partial<Record<string, object[]>>> = {
    public: [],
    node: [{ node: [] }],
  };
  return {
    operationId: name,
    summary: route.summary,
    tags: [name.slice(0, name.indexOf('.'))],
    security: security[route.permission] ?? [{ bearer: [] }],
    'x-permission': route.permission,
    parameters: [...parametersOf(route), ...headersOf(name)],
    ...(route.body === undefined
      ? {}
      : {
          requestBody: {
            required: true,
            content: {
              'application/json': {
                schema: schemaOf(route.body, 'input'),
                example: bodyExample(name, route.body),
              },
            },
          },
        }),
    responses: responsesOf(name, route),
  };
}

/** The whole HTTP interface as OpenAPI 3.1, made from `ROUTES` and from nothing else. */
export function openApiDocument(): Json {
  const paths: Record<string, Json> = {};
  for (const [name, route] of Object.entries(ROUTES) as [RouteName, Route][]) {
    const path = route.path.replace(/:([a-z_]+)/g, '{$1}');
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operationOf(name, route) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Bellwether manager',
      version: '1',
      description: 'Errors are RFC 9457 problem documents; `code` is the stable part of them.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    paths,
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'An API token (`bwt_…`).' },
        node: {
          type: 'http',
          scheme: 'bearer',
          bearerFormat: 'JWT',
          description: 'A node token: signed by the node itself, used once, 120 s at most.',
        },
      },
      schemas: { Problem: schemaOf(Problem, 'output') },
    },
  };
}
