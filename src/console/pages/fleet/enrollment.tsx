import { PartyPopper, PlugZap } from 'lucide-react';
import { useState, type ReactNode } from 'react';
import { useQueryClient } from '@tanstack/react-query';
import { keyOf, useCall } from '../../app/api.js';
import { useFilters } from '../../app/filters.js';
import { useCan, useGroups } from '../../app/session.js';
import { Button, Card, Empty, Note, Page, Problem, Select } from '../../ui/index.js';
import '../../style/fleet.css';
import { EnrollmentSteps, type Token } from './enrollment-steps.js';
import { groupChoices } from './group-choices.js';

/** How a machine becomes a node: a token, one line to run there, and then it is seen to come. */
export default function Enrollment(): ReactNode {
  const can = useCan();
  const client = useQueryClient();
  const { groups } = useGroups();
  const { values, set } = useFilters(['group', 'first']);
  const open = groups.filter(({ id }) => can('node.enroll', id));
  const choices = groupChoices(open);
  const group = open.some(({ id }) => id === values.group)
    ? (values.group ?? null)
    : (choices[0]?.value ?? null);
  const create = useCall('enrollment.create');
  const [token, setToken] = useState<Token | null>(null);
  const make = async (groupId: string): Promise<void> => {
    const made = await create.run({ body: { group_id: groupId } }).catch(() => null);
    if (made === null) return;
    // A list that was asked for before this token cannot have its node.
    client.removeQueries({ queryKey: keyOf('events.list').slice(0, 2), type: 'inactive' });
    setToken(made);
  };
  if (!can('node.enroll'))
    return (
      <Page title="Enrollment">
        <Empty icon={<PlugZap aria-hidden />} title="You may not enroll nodes">
          That takes the role admin on a group. Ask one of its admins.
        </Empty>
      </Page>
    );
  return (
    <Page title="Enrollment">
      <div className="stack enrollment">
        {values.first === undefined ? null : (
          <Note icon={<PartyPopper aria-hidden />}>
            You are signed in as the first user. Step 2 of 2: connect a machine, and it appears here
            the moment it comes.
          </Note>
        )}
        <Card title="1. Make a token">
          <div className="stack">
            <p className="soft">
              A token lets one machine in, once, within 15 minutes. The group decides who may do
              something with the node; it can be transferred later.
            </p>
            <div className="toolbar enrollment-choice">
              <Select
                label="Group"
                value={group}
                onChange={(next) => set({ group: next })}
                choices={choices}
                placeholder="Choose a group"
                wide
              />
              <Button
                kind={token === null ? 'primary' : 'plain'}
                icon={<PlugZap aria-hidden />}
                isBusy={create.isRunning}
                isDisabled={group === null}
                onPress={() => {
                  if (group !== null) void make(group);
                }}
              >
                {token === null ? 'Make a token' : 'Make another token'}
              </Button>
            </div>
            {create.error === null ? null : <Problem error={create.error} />}
          </div>
        </Card>
        {token === null ? null : <EnrollmentSteps key={token.id} token={token} />}
      </div>
    </Page>
  );
}
