import type { ReactNode } from 'react';
import { Page } from '../../ui/index.js';

export default function Sink(): ReactNode {
  return <Page title="Sink">{null}</Page>;
}
