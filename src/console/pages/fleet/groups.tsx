import type { ReactNode } from 'react';
import { Page } from '../../ui/index.js';

export default function Groups(): ReactNode {
  return <Page title="Groups">{null}</Page>;
}
