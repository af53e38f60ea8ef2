import type { Terminal } from '../terminal.js';
import { patiently } from '../patience.js';
import { makeCanvas } from './canvas.js';
import type { Change } from './changes.js';
import { jsonText, yamlText, type Form } from './forms.js';
import { plain } from './text.js';

/** Between two looks: a hundred watchers cost a manager nothing. */
const LOOK_EVERY_MS = 2_000;

/** What is watched, and how it is told. */
export interface Watched<T> {
  readonly form: Form;
  load(): Promise<T>;
  /** The whole, as it is shown without `--watch`. */
  textOf(result: T): string;
  changesBetween(before: T, after: T): readonly Change<unknown>[];
}

/**
 * Shows something, and again whenever it changes, until the program is stopped: drawn in place on a
 * terminal; elsewhere in words, or each change as a document, after the whole.
 */
export async function watching<T>(watched: Watched<T>, terminal: Terminal): Promise<never> {
  const { screen } = terminal;
  const isDrawn = screen !== undefined && ['table', 'wide'].includes(watched.form);
  const canvas = isDrawn
    ? makeCanvas(
        (text) => terminal.out(text),
        () => screen.rows(),
      )
    : null;
  // The first look is not patient: a wrong address should be told at once.
  let before = await watched.load();
  if (canvas === null) terminal.out(firstText(watched, before));
  for (;;) {
    canvas?.draw(watched.textOf(before));
    await terminal.sleep(LOOK_EVERY_MS);
    const after = await patiently(() => watched.load(), terminal);
    if (canvas === null) {
      for (const change of watched.changesBetween(before, after)) {
        terminal.out(changeText(change, watched.form, terminal.now()));
      }
    }
    before = after;
  }
}

/** For programs the stream begins with the whole in one line, or one document. */
const firstText = <T>(watched: Watched<T>, result: T): string =>
  watched.form === 'json' ? `${jsonText(result, 0)}\n` : watched.textOf(result);

function changeText(change: Change<unknown>, form: Form, now: number): string {
  const at = new Date(now).toISOString();
  const document = { at, change: change.change, id: change.id, item: change.item };
  if (form === 'json') return `${jsonText(document, 0)}\n`;
  if (form === 'yaml') return `---\n${yamlText(document)}`;
  if (form === 'name') return `${plain(change.id)}\n`;
  const words = change.words.length === 0 ? change.change : change.words.join(', ');
  return `${at}  ${plain(`${change.id}  ${words}`)}\n`;
}
