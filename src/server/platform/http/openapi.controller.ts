import { Controller } from '@nestjs/common';
import type { Answer } from '../../../protocol/api/index.js';
import { Endpoint } from './endpoint.js';
import { openApiDocument } from './openapi.js';

@Controller()
export class OpenApiController {
  readonly #document = openApiDocument();

  @Endpoint('openapi.show')
  async show(): Promise<Answer<'openapi.show'>> {
    return this.#document;
  }
}
