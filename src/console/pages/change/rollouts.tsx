import type { ReactNode } from 'react';
import { Page } from '../../ui/index.js';

export default function Rollouts(): ReactNode {
  return <Page title="Rollouts">{null}</Page>;
}
