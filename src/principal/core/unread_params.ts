/**
 * The keys of the ConfigMaps with this principal's settings that nothing reads: a newer release of the Go principal may have more, and a
 * name may be misspelt. Each is named once.
 */
import type { Log } from "../../base/log.ts";
import { dataOf } from "../../domain/resources/config_map.ts";
import type { StoredObject } from "../../domain/resources/object.ts";
import type { Observer } from "./feed.ts";

/** ConfigMaps by name, each with the keys that are read. */
export type ReadParams = ReadonlyMap<string, ReadonlySet<string>>;

/** The part of the settings that is needed. */
export interface UnreadParts {
  readonly namespace: string;
  /** Empty: this process has its settings from elsewhere. */
  readonly params: ReadParams;
}

/** Keys named, and no more: a person reads them. */
const MAX_NAMED = 50;

export class UnreadParams implements Observer {
  readonly #named = new Set<string>();

  constructor(private readonly settings: UnreadParts, private readonly log: Pick<Log, "warn">) {}

  reset(): void {}

  synced(): void {}

  put(object: StoredObject): void {
    const { kind, metadata: { name, namespace } } = object;
    const read = kind === "ConfigMap" && namespace === this.settings.namespace
      ? this.settings.params.get(name)
      : undefined;
    if (!read) return;
    for (const key of Object.keys(dataOf(object))) {
      const id = `${name} ${key}`;
      if (read.has(key) || this.#named.has(id) || this.#named.size >= MAX_NAMED) continue;
      this.#named.add(id);
      this.log.warn(
        "a key of this principal's ConfigMap has no effect: no flag of this release has that name",
        {
          configMap: name,
          key,
        },
      );
    }
  }

  removed(): void {}
}
