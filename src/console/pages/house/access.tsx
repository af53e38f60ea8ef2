import type { ReactNode } from 'react';
import { Page } from '../../ui/index.js';

export default function Access(): ReactNode {
  return <Page title="Access">{null}</Page>;
}
