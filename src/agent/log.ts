export type LogLevel = 'info' | 'warning';
export type Log = (message: string, fields?: Readonly<Record<string, unknown>>) => void;

/**
 * One JSON line an entry, on stderr unless told otherwise. A line with an error in it is a warning.
 * The agent keeps its packages few; what collects its output (journald, a file) adds the rest.
 */
export function makeLog(
  level: LogLevel,
  write: (line: string) => void = (line) => void process.stderr.write(line),
): Log {
  return (message, fields = {}) => {
    const own = 'error' in fields || 'error_code' in fields ? 'warning' : 'info';
    if (level === 'warning' && own === 'info') return;
    write(
      `${JSON.stringify({ time: new Date().toISOString(), level: own, message, ...fields })}\n`,
    );
  };
}
