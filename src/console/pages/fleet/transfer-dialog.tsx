import { useQueryClient } from '@tanstack/react-query';
import { ArrowRightLeft } from 'lucide-react';
import { useState, type ReactNode } from 'react';
import { api, refresh } from '../../app/api.js';
import { useCan, useGroups } from '../../app/session.js';
import { Button, counted, Dialog, Note, Problem, say, Select } from '../../ui/index.js';
import { groupChoices } from './group-choices.js';
import type { FleetNode } from './node-rows.js';

/** The most that one call moves. */
const AT_ONCE = 100;

/** Moves nodes to another group. Of more than a hundred, each hundred is moved or refused as a whole. */
export const TransferDialog = ({
  nodes,
  onClose,
  onDone,
}: {
  readonly nodes: readonly FleetNode[];
  readonly onClose: () => void;
  readonly onDone?: () => void;
}): ReactNode => {
  const client = useQueryClient();
  const can = useCan();
  const { groups, nameOf } = useGroups();
  const [to, setTo] = useState<string | null>(null);
  const [moved, setMoved] = useState(0);
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState<Error | null>(null);
  const from = new Set(nodes.map(({ group_id: id }) => id));
  const open = groups.filter(({ id }) => can('node.enroll', id));
  const move = async (groupId: string): Promise<void> => {
    setBusy(true);
    setError(null);
    let at = moved;
    try {
      while (at < nodes.length) {
        const part = nodes.slice(at, at + AT_ONCE).map(({ id }) => id);
        await api.call('nodes.transfer', { body: { node_ids: part, group_id: groupId } });
        at += part.length;
        setMoved(at);
      }
      say(`${counted(nodes.length, 'node')} moved to ${nameOf(groupId)}`);
      onDone?.();
      onClose();
    } catch (reason) {
      setError(reason as Error);
      setBusy(false);
    }
    refresh(client, 'nodes', 'node-rows', 'fleet', 'groups');
  };
  return (
    <Dialog
      title={
        nodes.length === 1
          ? `Transfer ${nodes[0]?.name ?? ''}`
          : `Transfer ${counted(nodes.length, 'node')}`
      }
      isOpen
      onClose={onClose}
      isBusy={isBusy}
    >
      <p>
        Who may do something with a node is decided by its group. Out of{' '}
        {from.size === 1 ? <bdi>{nameOf([...from][0] ?? '')}</bdi> : counted(from.size, 'group')},
        its operators no longer see it; nodes in an active rollout cannot move.
      </p>
      <Select
        label="To the group"
        value={to}
        onChange={setTo}
        placeholder="Choose a group"
        choices={groupChoices(open)}
        isDisabled={isBusy || moved > 0}
      />
      {moved > 0 ? <Note>{counted(moved, 'node')} moved so far.</Note> : null}
      {error === null ? null : <Problem error={error} />}
      <div className="row row-end row-wrap">
        <Button onPress={onClose} isDisabled={isBusy}>
          Go back
        </Button>
        <Button
          kind="primary"
          isBusy={isBusy}
          isDisabled={to === null}
          icon={<ArrowRightLeft aria-hidden />}
          onPress={() => {
            if (to !== null) void move(to);
          }}
        >
          Transfer
        </Button>
      </div>
    </Dialog>
  );
};
