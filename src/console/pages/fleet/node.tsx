import type { ReactNode } from 'react';
import { Page } from '../../ui/index.js';

export default function Node(): ReactNode {
  return <Page title="Node">{null}</Page>;
}
