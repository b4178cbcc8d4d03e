/** Revoked certificates: a ConfigMap, as in the Go principal, whose keys are fingerprints. It replicates. */
import { parseJson } from "../../base/json.ts";
import type { Subscribe } from "../../base/until.ts";
import type { ChangeIndex } from "../../domain/changes/index.ts";
import type { ApiObject } from "../../domain/resources/object.ts";
import { dataOf } from "../../domain/resources/config_map.ts";
import { type Key, keyOf } from "../../domain/resources/keys.ts";
import { BLOCKLIST_NAME } from "../../domain/resources/kinds.ts";

const EMPTY: ReadonlySet<string> = new Set();

export class Blocklist {
  /** The key in the index of which it is made. */
  readonly key: Key;
  #revision = -1;
  #fingerprints = EMPTY;

  /** @param namespace the principal's own */
  constructor(private readonly index: Pick<ChangeIndex, "present" | "onChange">, namespace: string) {
    this.key = keyOf("ConfigMap", namespace, BLOCKLIST_NAME);
  }

  /** Calls a listener after each change of the list until the returned function is called. */
  readonly onChange: Subscribe = (notify) => {
    const revision = () => this.index.present(this.key)?.revision;
    let last = revision();
    return this.index.onChange(() => {
      const present = revision();
      if (present === last) return;
      last = present;
      notify();
    });
  };

  /** Whether a certificate is on the list, by upper-case hex SHA-256. */
  has(fingerprint: string): boolean {
    const entry = this.index.present(this.key);
    if (!entry) return false;
    if (entry.revision !== this.#revision) {
      this.#fingerprints = new Set(
        Object.keys(dataOf(parseJson(entry.payload) as ApiObject)).map((name) => name.toUpperCase()),
      );
      this.#revision = entry.revision;
    }
    return this.#fingerprints.has(fingerprint);
  }
}
