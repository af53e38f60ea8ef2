import type { ReactNode } from 'react';
import { Page } from '../../ui/index.js';

export default function Releases(): ReactNode {
  return <Page title="Releases">{null}</Page>;
}
