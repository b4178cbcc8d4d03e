/**
 * Keeps agents' discovery for some seconds: every click in Argo CD's UI asks for a part of it first, and a check of an Application asks for
 * all of it at once. Those who ask for the same at the same time share one request. An agent's entries end with its stream.
 */
import type { HttpAnswer } from "../../domain/proxy/status.ts";

const LIFE_MS = 10_000;
const MAX_ENTRIES = 256;
/** Of one agent. */
const MAX_CHARACTERS = 8 * 1024 * 1024;

interface Entry {
  answer: Promise<HttpAnswer>;
  characters: number;
  timer: ReturnType<typeof setTimeout> | undefined;
}

export class DiscoveryCache {
  readonly #agents = new Map<string, Map<string, Entry>>();

  constructor(private readonly lifeMs = LIFE_MS) {}

  /** The answer for a path of an agent; `ask` gets it where it is not known. */
  get(agent: string, path: string, ask: () => Promise<HttpAnswer>): Promise<HttpAnswer> {
    const entries = this.#agents.get(agent) ?? new Map<string, Entry>();
    const known = entries.get(path);
    if (known) return known.answer;
    if (entries.size >= MAX_ENTRIES) return ask();
    this.#agents.set(agent, entries);
    const entry: Entry = { answer: ask(), characters: 0, timer: undefined };
    entries.set(path, entry);
    entry.answer.then(({ status, body }) => {
      if (entries.get(path) !== entry) return;
      entry.characters = body.length;
      const all = [...entries.values()].reduce((sum, { characters }) => sum + characters, 0);
      if (status === 200 && all <= MAX_CHARACTERS) {
        entry.timer = setTimeout(() => this.#remove(agent, path, entry), this.lifeMs);
      } else this.#remove(agent, path, entry);
    }, () => this.#remove(agent, path, entry));
    return entry.answer;
  }

  /** Forgets an agent. */
  drop(agent: string): void {
    for (const { timer } of this.#agents.get(agent)?.values() ?? []) clearTimeout(timer);
    this.#agents.get(agent)?.clear();
    this.#agents.delete(agent);
  }

  #remove(agent: string, path: string, entry: Entry): void {
    const entries = this.#agents.get(agent);
    if (entries?.get(path) !== entry) return;
    entries.delete(path);
    if (entries.size === 0) this.#agents.delete(agent);
  }
}
