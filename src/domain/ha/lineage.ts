/**
 * Whose data a store holds. A data set is named by the uid of the first principal that was ACTIVE with it; a copy takes its leader's
 * name when it is complete. A follower with data of another name, or of none, never held this leader's: there, absence at the leader
 * says nothing about what was deleted.
 */
import type { Memory, Standing } from "./state.ts";

/** Whether a store with this memory never held a copy of the leader's data. An older release and a Go principal name no lineage. */
export function holdsForeignData(memory: Memory, leader: Standing | undefined): boolean {
  const theirs = leader?.lineage ?? "";
  return memory.lineage === "" || theirs === "" ? !memory.complete : memory.lineage !== theirs;
}
