export { systemCaller, type Caller } from './caller.js';
export { Endpoint, Given, routeOf, Who } from './endpoint.js';
export { JSON_BODY_BYTES_MAX } from './json-body.js';
export { firstMiddleware } from './middleware.js';
export { openApiDocument } from './openapi.js';
export { OpenApiController } from './openapi.controller.js';
export { pageFrom, readCursor, type Cursor } from './page.js';
export { ProblemFilter, problemOf } from './problem.filter.js';
export { callerOf, ipOf, requestIdOf, setCaller } from './request.js';
