import type { ReactNode } from 'react';
import { Page } from '../../ui/index.js';

export default function Overview(): ReactNode {
  return <Page title="Overview">{null}</Page>;
}
