import type { ReactNode } from 'react';
import { Page } from '../../ui/index.js';

export default function Audit(): ReactNode {
  return <Page title="Audit">{null}</Page>;
}
