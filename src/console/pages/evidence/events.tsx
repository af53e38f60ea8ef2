import type { ReactNode } from 'react';
import { Page } from '../../ui/index.js';

export default function Events(): ReactNode {
  return <Page title="Events">{null}</Page>;
}
