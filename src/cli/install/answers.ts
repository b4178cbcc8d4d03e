/** An installation in a few answers, and the files that come of it. */
import { CommandError, EXIT } from "../output.ts";

export type SideName = "primary" | "replica";
export const SIDE_NAMES: readonly SideName[] = ["primary", "replica"];
export const otherOf = (side: SideName): SideName => side === "primary" ? "replica" : "primary";

/** A host, or its IP address, and a port. */
export interface Address {
  host: string;
  port: number;
}

/** The answers that every way of installing takes. */
export interface Answers {
  namespace: string;
  /** Where the peer reaches each side. */
  sides: Record<SideName, Address>;
  /** The one address that agents know. */
  front: Address;
  agents: readonly string[];
  /** For how long certificates are valid. */
  days: number;
}

/** A file to write: `secret` ones are readable by their owner alone. */
export interface File {
  path: string;
  text: string;
  secret?: boolean;
}

const LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

/** An address as typed: HOST, HOST:PORT or [IPV6]:PORT. @throws CommandError */
export function addressOf(option: string, text: string, port: number): Address {
  const match = /^(?:\[([^\]]+)\]|([^:\s/]+))(?::(\d{1,5}))?$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const given = match?.[3] ?? String(port);
  if (host && Number(given) > 0 && Number(given) < 65_536) return { host, port: Number(given) };
  throw new CommandError(`--${option} "${text}": must be HOST or HOST:PORT`, EXIT.usage);
}

/** Agents' names as typed. @throws CommandError */
export function agentNames(text: string): string[] {
  const names = text.split(",").map((name) => name.trim()).filter(Boolean);
  for (const name of names) {
    if (!LABEL.test(name)) {
      throw new CommandError(`--agents "${name}": must be a name of a namespace (a-z, 0-9, -)`, EXIT.usage);
    }
    if (name === "primary" || name === "replica") {
      throw new CommandError(`--agents "${name}": is the name of a principal; choose another`, EXIT.usage);
    }
  }
  if (new Set(names).size < names.length) {
    throw new CommandError("--agents: each name may stand once", EXIT.usage);
  }
  return names;
}

/** As it is dialled. */
export function dialled({ host, port }: Address): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}
