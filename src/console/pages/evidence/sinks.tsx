import type { ReactNode } from 'react';
import { Page } from '../../ui/index.js';

export default function Sinks(): ReactNode {
  return <Page title="Sinks">{null}</Page>;
}
