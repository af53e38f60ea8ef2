import type { ReactNode } from 'react';
import { Page } from '../../ui/index.js';

export default function Release(): ReactNode {
  return <Page title="Release">{null}</Page>;
}
