/** The port to where people look first, e.g. `kubectl describe`: notices of events, and the present state. Neither ever blocks or fails. */

/** One event. */
export interface Notice {
  /** Whether it needs a person. */
  warning: boolean;
  /** One CamelCase word; of notices with the same word that wait, the newest is told. */
  reason: string;
  message: string;
}

/** One part of the present state, e.g. `HAActive`. */
export interface ShownCondition {
  type: string;
  status: "True" | "False" | "Unknown";
  /** One CamelCase word. */
  reason: string;
  message: string;
}

export interface Noticeboard {
  tell(notice: Notice): void;
  /** Shows these until they change. */
  show(conditions: readonly ShownCondition[]): void;
}
