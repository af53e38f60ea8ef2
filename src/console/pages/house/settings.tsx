import type { ReactNode } from 'react';
import '../../style/evidence.css';
import { Choices, Card, Page, Tabs } from '../../ui/index.js';
import { setTheme, useTheme, type Theme } from '../../app/theme.js';
import { Account } from './account.js';
import { ThisManager } from './this-manager.js';

export default function Settings(): ReactNode {
  return (
    <Page title="Settings">
      <Tabs
        label="Parts of this page"
        tabs={[
          { id: 'account', title: 'Account and security', content: () => <Account /> },
          { id: 'appearance', title: 'Appearance', content: () => <Appearance /> },
          { id: 'manager', title: 'This manager', content: () => <ThisManager /> },
        ]}
      />
    </Page>
  );
}

const THEMES: readonly { readonly value: Theme; readonly label: string; readonly hint: string }[] =
  [
    { value: 'system', label: 'As the system', hint: 'Changes with your computer.' },
    { value: 'light', label: 'Light', hint: 'Dark letters on white.' },
    { value: 'dark', label: 'Dark', hint: 'For rooms with little light, and wall screens.' },
  ];

const Appearance = (): ReactNode => (
  <Card title="Theme">
    <Choices label="In this browser" value={useTheme()} onChange={setTheme} choices={THEMES} />
  </Card>
);
