/** An invariant that does not hold. */
export class Violation extends Error {
  constructor(readonly invariant: string, text: string) {
    super(`${invariant}: ${text}`);
  }
}
