import { NotFoundException } from '@nestjs/common';
import { describe, expect, it } from 'vitest';
import { FleetError } from '../../../core/kernel/index.js';
import { problemOf } from './index.js';

describe('a problem document', () => {
  it('tells code, status, meaning and fix of an error of ours', () => {
    const error = new FleetError('conflict', 'there is one already', { context: { name: 'east' } });
    expect(problemOf(error, 'req_1')).toEqual({
      type: 'urn:bellwether:problem:conflict',
      title: 'The thing exists already or changed meanwhile.',
      status: 409,
      detail: 'there is one already',
      code: 'conflict',
      fix: 'Read it again and repeat.',
      request_id: 'req_1',
      context: { name: 'east' },
    });
  });

  it.each([
    ['an unknown error', new Error('password=hunter2')],
    ['something that is no error', 'password=hunter2'],
    ['a mistake of ours', new FleetError('conflict', 'hunter2', { kind: 'invariant' })],
    ['a code that no answer may carry', new FleetError('frame_binary', 'hunter2')],
    ['a code outside of the list', new FleetError('made_up', 'hunter2')],
  ])('tells nothing of %s', (_, error) => {
    const problem = problemOf(error, 'req_1');
    expect(problem).toMatchObject({ status: 500, code: 'internal_error', request_id: 'req_1' });
    expect(JSON.stringify(problem)).not.toContain('hunter2');
  });

  it('says the same for what is missing and what is hidden', () => {
    const missing = problemOf(new FleetError('not_found', 'no node nod_1'), 'r');
    const context = { required_role: 'admin' };
    const hidden = problemOf(new FleetError('not_found', 'no such group', { context }), 'r');
    expect(hidden).toEqual(missing);
  });

  it('keeps the message of what is missing and hidden from nobody', () => {
    const error = new FleetError('not_found', 'no release edge 1.0.0', {
      context: { missing: 'release' },
    });
    expect(problemOf(error, 'r').detail).toBe('no release edge 1.0.0');
  });

  it('turns the errors of the framework into ours', () => {
    expect(problemOf(new NotFoundException('Cannot GET /etc'), 'r')).toMatchObject({
      code: 'not_found',
      detail: 'there is no such address here',
    });
  });
});
