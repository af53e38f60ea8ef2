/**
 * One JSON line on stderr. The agent keeps its packages few; what collects its output (journald,
 * a file) adds the rest.
 */
export function log(message: string, fields: Readonly<Record<string, unknown>> = {}): void {
  process.stderr.write(
    `${JSON.stringify({ time: new Date().toISOString(), message, ...fields })}\n`,
  );
}
