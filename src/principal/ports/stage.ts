/** The stage of a drill: a second principal over a copy in memory, and one simulated agent that it serves. */
import type { Subscribe } from "../../base/until.ts";
import type { Mode } from "../../domain/resources/roster.ts";
import type { Key } from "../../domain/resources/keys.ts";
import type { ApiObject } from "../../domain/resources/object.ts";

export interface Stage {
  /** Opens a copy of this side's copy, not promoted yet; `tell` hears of its problems. */
  open(tell: (problem: string) => void): Promise<StagedPrincipal>;
}

/** The agent that is played. */
export interface Part {
  agent: string;
  mode: Mode;
}

/** A resource of an autonomous agent, and the checksum by which it and its principal agree. */
export interface OwnResource {
  key: Key;
  kind: string;
  payload: string;
  checksum: string;
}

export interface StagedPrincipal {
  promote(): Promise<unknown>;
  /** An autonomous agent's own resources in the copy; none of a managed one. */
  ownResources(part: Part): OwnResource[];
  /** Serves, and starts the agent with these resources. */
  play(part: Part, own: readonly OwnResource[]): Promise<PlayedAgent>;
  /** Writes made to the copy. */
  writes(): number;
  close(): Promise<void>;
}

export interface PlayedAgent {
  readonly connected: boolean;
  /** No event is on its way in either direction. */
  readonly quiet: boolean;
  readonly events: number;
  readonly connects: number;
  readonly errors: readonly string[];
  /** Objects that were deleted and recreated on its cluster. */
  readonly deleted: number;
  readonly recreated: number;
  list(kind: string): ApiObject[];
  restart(): Promise<void>;
  /** Tells of every connection and event. */
  readonly onChange: Subscribe;
}
