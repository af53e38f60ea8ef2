import type { ReactNode } from 'react';
import { Page } from '../../ui/index.js';

export default function Settings(): ReactNode {
  return <Page title="Settings">{null}</Page>;
}
