import type { ReactNode } from 'react';
import { Page } from '../../ui/index.js';

export default function NewRollout(): ReactNode {
  return <Page title="New rollout">{null}</Page>;
}
