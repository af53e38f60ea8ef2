/** What a span is told of besides its name. Ids may stand in traces; secrets and addresses never do. */
export interface SpanAbout {
  readonly attributes?: Readonly<Record<string, string | number>>;
  /** Begins a trace of its own, whatever it was called from: for what an alarm or a queue starts. */
  readonly isRoot?: boolean;
  /** Only as a part of something that is traced. */
  readonly isPart?: boolean;
  /** Commands that it is about: it is linked to what sent them, when this process did so lately. */
  readonly commandIds?: readonly string[];
}

/** The span of one HTTP request. */
export interface RequestSpan {
  run(next: () => void): void;
  /** `route` is the template of the path, such as `/api/v1/nodes/:id`. */
  end(told: {
    readonly method: string;
    readonly route: string | null;
    readonly status: number;
    readonly requestId: string;
  }): void;
}

/** Where spans go. There is one only when an OpenTelemetry endpoint is configured. */
export interface Tracer {
  run<T>(name: string, about: SpanAbout, work: () => Promise<T>): Promise<T>;
  /** `traceparent` (W3C) as the caller sent it; what is no such thing is ignored. */
  request(traceparent: string | undefined): RequestSpan;
  /** Commands left for their nodes: one span for all of them, which their answers are linked to. */
  sent(action: string, commandIds: readonly string[]): void;
}

let tracer: Tracer | null = null;

/** Of this process, like its meters; null switches tracing off. */
export const useTracer = (next: Tracer | null): void => {
  tracer = next;
};

/** Runs `work` in a span; without a tracer it is a plain call. Throws what `work` throws. */
export const traced = <T>(name: string, about: SpanAbout, work: () => Promise<T>): Promise<T> =>
  tracer === null ? work() : tracer.run(name, about, work);

export const requestSpan = (traceparent: string | undefined): RequestSpan | null =>
  tracer?.request(traceparent) ?? null;

export const commandsSent = (action: string, commandIds: readonly string[]): void =>
  tracer?.sent(action, commandIds);
