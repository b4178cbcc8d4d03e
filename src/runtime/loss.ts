/**
 * The loss manifest. A principal that was ACTIVE and now follows another may hold writes that never reached the
 * new active. Until it has caught up, every object that is about to be overwritten or deleted is first appended,
 * whole, to `loss-manifest-<time>.jsonl` in the data directory, and made durable. Secrets are among them: mode 0600.
 */
import { canonicalize } from "@std/json/canonicalize";
import type { Key } from "../resources/keys.ts";
import type { ApiObject } from "../resources/object.ts";
import { kindOf } from "../resources/kinds.ts";
import { replicatedForm } from "../resources/transform.ts";
import type { Context } from "./context.ts";

export class LossManifest {
  #path = "";
  /** What replication has written over already is the new active's, and is not saved when it is written over again. */
  readonly #handled = new Set<Key>();
  #proved = 0;

  constructor(private readonly ctx: Pick<Context, "model" | "store" | "settings" | "log" | "index">) {}

  /** The peer has proved that it holds everything up to this revision of the index; 0: nothing is proved any more. */
  proved(revision: number): void {
    this.#proved = revision;
    this.#handled.clear();
  }

  /** Call before `key` is overwritten with `next` (undefined: deleted). */
  async beforeWrite(key: Key, next: ApiObject | undefined): Promise<void> {
    const { memory } = this.ctx.model();
    if (!memory.formerActive || this.#handled.has(key)) return;
    this.#handled.add(key);
    const entry = this.ctx.index.get(key);
    if (entry && entry.revision <= this.#proved) return;
    const object = await this.ctx.store.get(key);
    const kind = object && kindOf(object, this.ctx.settings.scope);
    if (!object || !kind) return;
    if (next && canonicalize(replicatedForm(object, kind)) === canonicalize(next)) return;
    this.#append({ key, epoch: memory.epoch, newActiveHas: next ? "another state" : "nothing", object });
  }

  #append(entry: Record<string, unknown>): void {
    if (this.#path === "") {
      const stamp = new Date().toISOString().replaceAll(":", "-");
      const { dataDir } = this.ctx.settings;
      Deno.mkdirSync(dataDir, { recursive: true });
      this.#path = `${dataDir.replace(/\/$/, "")}/loss-manifest-${stamp}.jsonl`;
      this.ctx.log.warn(
        "this principal was ACTIVE and holds writes that the new active never received; " +
          "each is saved before it is overwritten: look at the file, and apply again what is still wanted",
        { file: this.#path },
      );
    }
    const file = Deno.openSync(this.#path, { create: true, append: true, mode: 0o600 });
    try {
      file.writeSync(new TextEncoder().encode(JSON.stringify(entry) + "\n"));
      file.syncDataSync();
    } finally {
      file.close();
    }
  }
}
