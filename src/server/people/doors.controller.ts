import { Controller } from '@nestjs/common';
import type { Answer } from '../../protocol/api/index.js';
import { Setup } from '../access/index.js';
import { Endpoint } from '../platform/http/index.js';
import { Oidc } from './oidc.js';

/** Which ways in there are: all that whoever is not signed in needs to know. */
@Controller()
export class DoorsController {
  constructor(
    private readonly setup: Setup,
    private readonly oidc: Oidc,
  ) {}

  @Endpoint('session.doors')
  async doors(): Promise<Answer<'session.doors'>> {
    return { sso: this.oidc.settings !== null, needs_setup: !(await this.setup.isDone()) };
  }
}
