/** A simulated agent's side of the resync protocol: both sides tell what they have, and ask for what differs. */
import { listChecksum, specChecksum } from "../domain/agents/checksum.ts";
import { unprefixed } from "../domain/agents/projects.ts";
import { type ApiObject, SOURCE_UID } from "../domain/resources/object.ts";
import type { Mode } from "../domain/resources/roster.ts";
import { sha256 } from "../base/sha256.ts";
import type { SimCluster } from "./cluster.ts";

const checksum = (text: string) => sha256(text, "base64");

/** How an agent speaks. */
export interface Voice {
  /** Sends a message of the protocol. */
  message(type: string, payload: unknown): void;
  /** Sends an event about an object. */
  tell(type: string, kind: string, object: ApiObject): void;
}

export class Resync {
  constructor(
    private readonly cluster: SimCluster,
    private readonly agent: string,
    private readonly mode: Mode,
    private readonly voice: Voice,
  ) {}

  /** The first messages after a start. */
  begin(): void {
    if (this.mode === "managed") this.#all(true);
    else this.voice.message("request-resource-resync", {});
  }

  /** Answers a message of the principal. */
  asked(type: string, body: Record<string, unknown>): void {
    const kind = String(body["kind"] ?? "");
    const name = String(body["name"] ?? "");
    if (type === "request-resource-resync") return this.#all(false);
    if (type === "response-synced-resource") {
      const found = this.cluster.get(kind, name);
      const near = found && body["namespace"] === this.cluster.namespace ? found : undefined;
      return this.#requestUpdate(kind, name, near);
    }
    if (type === "request-synced-resource-list") {
      if (this.#listChecksum() === body["checksum"]) return;
      for (const { metadata, kind: own } of this.cluster.list()) {
        this.voice.message("response-synced-resource", {
          name: metadata.name,
          namespace: metadata.namespace,
          uid: metadata.uid,
          kind: own,
        });
      }
      return;
    }
    const here = kind === "AppProject" ? unprefixed(this.agent, name) : name;
    const object = this.cluster.get(kind, here);
    if (!object) {
      const metadata = { name: here, namespace: this.cluster.namespace, uid: String(body["uid"] ?? "") };
      return this.voice.tell("delete", kind, { apiVersion: "", kind, metadata });
    }
    if (specChecksum(object, checksum) !== body["checksum"]) this.voice.tell("spec-update", kind, object);
  }

  #all(withList: boolean): void {
    for (const object of this.cluster.list()) {
      if (object.metadata.annotations?.[SOURCE_UID]) {
        this.#requestUpdate(object.kind, object.metadata.name, object);
      }
    }
    if (withList) this.voice.message("request-synced-resource-list", { checksum: this.#listChecksum() });
  }

  #requestUpdate(kind: string, name: string, object: ApiObject | undefined): void {
    this.voice.message("request-update", {
      name,
      namespace: this.cluster.namespace,
      kind,
      uid: object?.metadata.annotations?.[SOURCE_UID] ?? "",
      checksum: object ? specChecksum(object, checksum) : null,
    });
  }

  #listChecksum(): string | null {
    const list = this.cluster.list().map(({ kind, metadata }) => ({
      kind,
      name: metadata.name,
      uid: metadata.annotations?.[SOURCE_UID] ?? metadata.uid ?? "",
    }));
    return listChecksum(list, checksum) || null;
  }
}
