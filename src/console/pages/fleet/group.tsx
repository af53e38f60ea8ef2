import type { ReactNode } from 'react';
import { Page } from '../../ui/index.js';

export default function Group(): ReactNode {
  return <Page title="Group">{null}</Page>;
}
