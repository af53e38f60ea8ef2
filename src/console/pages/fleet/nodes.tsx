import type { ReactNode } from 'react';
import { Page } from '../../ui/index.js';

export default function Nodes(): ReactNode {
  return <Page title="Nodes">{null}</Page>;
}
