import type { ReactNode } from 'react';
import { Page } from '../../ui/index.js';

export default function Enrollment(): ReactNode {
  return <Page title="Enrollment">{null}</Page>;
}
