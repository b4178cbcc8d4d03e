/** A command that a rule refuses. The message is the operator's: what is refused, the fact, and what to type next. */
export class Refusal extends Error {}
