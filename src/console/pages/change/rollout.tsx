import type { ReactNode } from 'react';
import { Page } from '../../ui/index.js';

export default function Rollout(): ReactNode {
  return <Page title="Rollout">{null}</Page>;
}
