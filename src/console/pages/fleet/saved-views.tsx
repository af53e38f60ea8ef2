import { Bookmark, BookmarkPlus, Trash2 } from 'lucide-react';
import { memo, useState, type ReactNode, type SubmitEvent } from 'react';
import { useNavigate } from 'react-router';
import { Button, Dialog, Menu, say, TextField } from '../../ui/index.js';

interface View {
  readonly name: string;
  /** As it stands in the address, with its `?`. */
  readonly search: string;
}

const KEY = 'bellwether-node-views';
const VIEWS_MAX = 50;

function read(): readonly View[] {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(KEY) ?? '[]');
    if (!Array.isArray(kept)) return [];
    return (kept as Partial<View>[]).filter(
      (one): one is View =>
        typeof one.name === 'string' &&
        typeof one.search === 'string' &&
        one.search.startsWith('?'),
    );
  } catch {
    return [];
  }
}

/** Filters under a name, kept in this browser. */
export const SavedViews = memo(function SavedViews(): ReactNode {
  const navigate = useNavigate();
  const [views, setViews] = useState(read);
  const [open, setOpen] = useState<'none' | 'save' | 'edit'>('none');
  const keep = (next: readonly View[]): void => {
    const kept = next.slice(0, VIEWS_MAX);
    localStorage.setItem(KEY, JSON.stringify(kept));
    setViews(kept);
  };
  return (
    <>
      <Menu
        label="Views"
        choices={[
          ...views.map(({ name, search: to }, i) => ({
            id: `view-${i}`,
            label: <bdi className="cut">{name}</bdi>,
            run: () => void navigate({ search: to }),
          })),
          {
            id: 'save',
            label: 'Save this view…',
            icon: <BookmarkPlus size={16} aria-hidden />,
            run: () => setOpen('save'),
          },
          ...(views.length === 0
            ? []
            : [
                {
                  id: 'edit',
                  label: 'Remove views…',
                  icon: <Trash2 size={16} aria-hidden />,
                  run: () => setOpen('edit'),
                },
              ]),
        ]}
      >
        <Button icon={<Bookmark aria-hidden />}>Views</Button>
      </Menu>
      {open === 'save' ? (
        <SaveView
          taken={views.map(({ name }) => name)}
          onClose={() => setOpen('none')}
          onSave={(name) => {
            const others = views.filter((one) => one.name !== name);
            const { search } = location;
            keep([...others, { name, search: search === '' ? '?' : search }]);
            say(`Saved as ${name}`);
          }}
        />
      ) : null}
      {open === 'edit' ? (
        <RemoveViews views={views} onChange={keep} onClose={() => setOpen('none')} />
      ) : null}
    </>
  );
});

const SaveView = ({
  taken,
  onSave,
  onClose,
}: {
  readonly taken: readonly string[];
  readonly onSave: (name: string) => void;
  readonly onClose: () => void;
}): ReactNode => {
  const [name, setName] = useState('');
  const wanted = name.trim();
  const save = (event: SubmitEvent): void => {
    event.preventDefault();
    if (wanted === '') return;
    onSave(wanted);
    onClose();
  };
  return (
    <Dialog title="Save this view" isOpen onClose={onClose}>
      <form className="stack" onSubmit={save}>
        <TextField
          label="Name"
          hint={
            taken.includes(wanted)
              ? 'There is one of that name: it is replaced'
              : 'The filters and the order of now, in this browser only'
          }
          value={name}
          onChange={setName}
          maxLength={60}
          autoFocus
          isRequired
        />
        <div className="row row-end">
          <Button onPress={onClose}>Go back</Button>
          <Button kind="primary" type="submit" isDisabled={wanted === ''}>
            Save
          </Button>
        </div>
      </form>
    </Dialog>
  );
};

const RemoveViews = ({
  views,
  onChange,
  onClose,
}: {
  readonly views: readonly View[];
  readonly onChange: (views: readonly View[]) => void;
  readonly onClose: () => void;
}): ReactNode => (
  <Dialog title="Saved views" isOpen onClose={onClose}>
    {views.length === 0 ? <p className="soft">None is left.</p> : null}
    <ul className="lines">
      {views.map((view) => (
        <li key={view.name} className="line row-between">
          <bdi className="grow wrap-anywhere">{view.name}</bdi>
          <Button
            icon={<Trash2 aria-hidden />}
            aria-label={`Remove ${view.name}`}
            onPress={() => onChange(views.filter((one) => one !== view))}
          >
            Remove
          </Button>
        </li>
      ))}
    </ul>
  </Dialog>
);
