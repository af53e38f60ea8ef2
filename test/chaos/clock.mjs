// Loaded before a manager (`node --import`): its wall clock is off by what a file says, in ms, and jumps when that
// changes. The monotonic clock and timers go on as they are, as when an operator sets the time of a machine.
import { readFileSync } from 'node:fs';

const LOOK_MS = 50;
const file = process.env.CHAOS_CLOCK_FILE;
const Real = Date;
const now = Real.now.bind(Real);
let offMs = 0;

Real.now = () => now() + offMs;
globalThis.Date = new Proxy(Real, {
  construct: (target, given, made) =>
    Reflect.construct(target, given.length === 0 ? [target.now()] : given, made),
});

setInterval(() => {
  try {
    offMs = Number(readFileSync(file, 'utf8')) || 0;
  } catch {
    // Not written yet.
  }
}, LOOK_MS).unref();
