import { useEffect, useRef, type ReactNode } from 'react';
import { Tab, TabList, TabPanel, Tabs as AriaTabs } from 'react-aria-components';
import { useFilters } from '../app/filters.js';

/** Parts of a page; which one is open stands in the address as `tab`. */
export const Tabs = ({
  label,
  tabs,
}: {
  readonly label: string;
  readonly tabs: readonly {
    readonly id: string;
    readonly title: ReactNode;
    readonly content: () => ReactNode;
  }[];
}): ReactNode => {
  const { values, set } = useFilters(['tab']);
  const first = tabs[0]?.id ?? '';
  const open = tabs.some(({ id }) => id === values.tab) ? (values.tab ?? first) : first;
  const list = useRef<HTMLDivElement>(null);
  // In a narrow window they scroll: the open one is in view.
  useEffect(() => {
    const drawn = requestAnimationFrame(() => {
      const tab = list.current?.querySelector('[aria-selected="true"]');
      tab?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
    });
    return () => cancelAnimationFrame(drawn);
  }, [open]);
  return (
    <AriaTabs
      selectedKey={open}
      onSelectionChange={(key) => set({ tab: key === first ? null : String(key) })}
    >
      <TabList ref={list} aria-label={label} className="tab-list">
        {tabs.map(({ id, title }) => (
          <Tab key={id} id={id} className="tab">
            {title}
          </Tab>
        ))}
      </TabList>
      {tabs.map(({ id, content }) => (
        <TabPanel key={id} id={id}>
          {id === open ? content() : null}
        </TabPanel>
      ))}
    </AriaTabs>
  );
};
