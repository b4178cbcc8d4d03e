/** A mistake to plant: by the exact text of its place, so that a mutant whose place has changed says so. */
import type { Action } from "./actions.ts";

export interface Mutant {
  name: string;
  edits: readonly { file: string; from: string; to: string }[];
  /** The actions of the stories that look for it; by default those that their seeds draw. */
  about?: readonly Action["do"][];
  /** Longer stories than the others'. */
  steps?: number;
}

/** A mistake in one place. */
export const mutant = (
  name: string,
  file: string,
  from: string,
  to: string,
  about: readonly Action["do"][] = [],
): Mutant => ({ name, edits: [{ file, from, to }], about });
