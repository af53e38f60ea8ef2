/** Where a command tells how far it is: the standard error of a process. */
export interface ProgressOutput {
  readonly isTTY?: boolean | undefined;
  write(text: string): unknown;
}

const BAR_CELLS = 30;
const DRAW_EVERY_MS = 100;
/** Into a file or a log it is a line now and then. */
const TELL_EVERY_MS = 10_000;

/** How far a long command is: a bar on a terminal, else a line every ten seconds. */
export class Progress {
  #step = '';
  #done = 0;
  #drawnAtMs = -Infinity;

  constructor(
    private readonly output: ProgressOutput,
    /** Rows, or bytes: whatever `add` counts. */
    private readonly total: number,
  ) {}

  begin(step: string): void {
    this.#step = step;
    this.#draw();
  }

  add(count: number): void {
    this.#done += count;
    this.#draw();
  }

  /** Takes the bar away. */
  end(): void {
    if (this.output.isTTY === true) this.output.write('\r\u001b[K');
  }

  #draw(): void {
    const now = performance.now();
    const isTerminal = this.output.isTTY === true;
    if (now - this.#drawnAtMs < (isTerminal ? DRAW_EVERY_MS : TELL_EVERY_MS)) return;
    this.#drawnAtMs = now;
    const share = this.total === 0 ? 0 : Math.min(1, this.#done / this.total);
    const percent = `${Math.floor(share * 100)} %`.padStart(5);
    if (!isTerminal) {
      this.output.write(`${percent}  ${this.#step}\n`);
      return;
    }
    const full = Math.floor(share * BAR_CELLS);
    const bar = '█'.repeat(full) + '░'.repeat(BAR_CELLS - full);
    this.output.write(`\r\u001b[K${bar} ${percent}  ${this.#step}`);
  }
}
