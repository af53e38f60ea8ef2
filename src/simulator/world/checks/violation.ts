/** Something that must never be was seen. `rule` is short and stable, `what` is about this case. */
export class Violation extends Error {
  readonly rule: string;

  constructor(rule: string, what: string) {
    super(`${rule}: ${what}`);
    this.rule = rule;
  }
}

/** Throws a `Violation` unless `holds`. */
export function must(rule: string, holds: boolean, what: () => string): asserts holds {
  if (!holds) throw new Violation(rule, what());
}
