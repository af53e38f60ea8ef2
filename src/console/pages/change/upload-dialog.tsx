import { useQueryClient } from '@tanstack/react-query';
import { Check, CloudUpload, FolderOpen, LoaderCircle, XCircle } from 'lucide-react';
import { useEffect, useRef, useState, useSyncExternalStore, type ReactNode } from 'react';
import { useNavigate } from 'react-router';
import { refresh } from '../../app/api.js';
import { Button, bytes, counted, Dialog, Facts, Note, Problem, say } from '../../ui/index.js';
import { readPicked } from './release-files.js';
import { Upload, type PartState } from './upload.js';

/** Brings a packed release to the manager: pick, check, send, publish. */
export const UploadDialog = ({ onClose }: { readonly onClose: () => void }): ReactNode => {
  const [upload, setUpload] = useState<Upload | null>(null);
  const [error, setError] = useState<Error | null>(null);
  const close = (): void => {
    upload?.pause();
    onClose();
  };
  const pick = async (files: readonly File[]): Promise<void> => {
    setError(null);
    try {
      setUpload(new Upload(await readPicked(files)));
    } catch (reason) {
      setError(reason as Error);
    }
  };
  return (
    <Dialog title="Upload a release" isOpen onClose={close} wide>
      {upload === null ? (
        <Picker onPick={(files) => void pick(files)} />
      ) : (
        <Sending upload={upload} onClose={close} onAnother={() => setUpload(null)} />
      )}
      {error === null ? null : <Problem error={error} />}
    </Dialog>
  );
};

const Picker = ({ onPick }: { readonly onPick: (files: readonly File[]) => void }): ReactNode => {
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);
  const [isOver, setOver] = useState(false);
  useEffect(() => {
    // There is no property of React for it.
    folder.current?.setAttribute('webkitdirectory', '');
  }, []);
  const take = (event: React.ChangeEvent<HTMLInputElement>): void => {
    onPick([...(event.target.files ?? [])]);
    event.target.value = '';
  };
  return (
    <div
      className="drop"
      data-over={isOver}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        setOver(false);
        onPick([...event.dataTransfer.files]);
      }}
    >
      <CloudUpload aria-hidden size={30} />
      <p>
        Pick the folder that <code>bellwether release pack</code> and <code>sign</code> left:
        <br />
        <code>manifest.json</code>, its signatures, and the artifacts. Or drop the files here.
      </p>
      <div className="row row-wrap">
        <Button icon={<FolderOpen aria-hidden />} onPress={() => folder.current?.click()}>
          Pick a folder
        </Button>
        <Button onPress={() => files.current?.click()}>Pick files</Button>
      </div>
      <input ref={folder} type="file" hidden aria-label="Folder of the release" onChange={take} />
      <input
        ref={files}
        type="file"
        hidden
        multiple
        aria-label="Files of the release"
        onChange={take}
      />
      <p className="soft small">
        Keys never come here: signing happens where the key is, before or after the upload of a
        draft.
      </p>
    </div>
  );
};

const Sending = ({
  upload,
  onClose,
  onAnother,
}: {
  readonly upload: Upload;
  readonly onClose: () => void;
  readonly onAnother: () => void;
}): ReactNode => {
  const state = useSyncExternalStore(upload.subscribe, upload.snapshot);
  const [draft, setDraft] = useState(false);
  const client = useQueryClient();
  const navigate = useNavigate();
  const { manifest, signatures } = upload.picked;
  const isSigned = signatures.length > 0;
  const start = async (asDraft: boolean): Promise<void> => {
    setDraft(asDraft);
    await upload.run(asDraft);
    refresh(client, 'releases', 'fleet');
    const { release } = upload.snapshot();
    if (release === null) return;
    say(`${release.product} ${release.version} is ${asDraft ? 'stored as a draft' : 'published'}.`);
    onClose();
    void navigate(`/releases/${release.id}`);
  };
  return (
    <>
      <Facts
        items={[
          ['Release', `${manifest.product} ${manifest.version} on ${manifest.channel}`],
          ['Sequence', manifest.sequence],
          [
            'Signatures',
            isSigned
              ? signatures.map(({ file }) => file).join(', ')
              : 'none: only a draft can be stored',
          ],
        ]}
      />
      <ul className="uploads" aria-label="Files">
        {state.parts.map((part) => (
          <Part key={part.file} part={part} />
        ))}
      </ul>
      {state.isRetrying ? (
        <Note tone="warn">
          The connection broke; it goes on by itself from where the manager has it.
        </Note>
      ) : null}
      {state.error === null || state.isRetrying ? null : <Problem error={state.error} />}
      <div className="row row-end row-wrap">
        {state.phase === 'running' ? (
          <Button onPress={() => upload.pause()}>Pause</Button>
        ) : (
          <Button onPress={onAnother}>Pick others</Button>
        )}
        {state.phase === 'paused' || state.phase === 'failed' ? (
          <Button kind="primary" onPress={() => void start(draft)}>
            {state.phase === 'paused' ? 'Go on' : 'Try again'}
          </Button>
        ) : null}
        {state.phase === 'ready' ? (
          <>
            <Button onPress={() => void start(true)}>Store as a draft</Button>
            <Button kind="primary" isDisabled={!isSigned} onPress={() => void start(false)}>
              Upload and publish
            </Button>
          </>
        ) : null}
      </div>
    </>
  );
};

const PHASES: Readonly<Record<PartState['phase'], string>> = {
  waiting: 'waits',
  checking: 'checking its digest',
  sending: 'sending',
  there: 'on the manager',
  failed: 'failed',
};

const Part = ({ part }: { readonly part: PartState }): ReactNode => {
  const { phase, file, size } = part;
  const share = size === 0 ? 0 : Math.min(1, part.bytes / size);
  const percent = Math.floor(share * 100);
  const isMoving = phase === 'checking' || phase === 'sending';
  return (
    <li>
      <div className="row row-between">
        <span className="row grow">
          {phase === 'there' ? (
            <Check size={16} aria-hidden />
          ) : phase === 'failed' ? (
            <XCircle size={16} aria-hidden />
          ) : isMoving ? (
            <LoaderCircle size={16} className="spin" aria-hidden />
          ) : null}
          <bdi className="cut" title={file}>
            {file}
          </bdi>
        </span>
        <span className="soft small figures nowrap">
          {PHASES[phase]}
          {isMoving ? ` ${percent} %` : ''} · {bytes(size)}
        </span>
      </div>
      <div
        className="bar"
        role="progressbar"
        aria-label={`${file}, ${PHASES[phase]}`}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={phase === 'there' ? 100 : percent}
      >
        <span
          className={
            phase === 'checking'
              ? 'fill-trial'
              : phase === 'failed'
                ? 'fill-bad'
                : phase === 'there'
                  ? 'fill-good'
                  : 'fill-moving'
          }
          style={{ width: `${phase === 'waiting' ? 0 : share * 100}%` }}
        />
      </div>
      {part.picked === null && phase !== 'there' ? (
        <span className="soft small">
          Not among the picked files; that is fine when the manager has it ({counted(size, 'byte')}
          ).
        </span>
      ) : null}
    </li>
  );
};
