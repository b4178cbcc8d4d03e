/**
 * The marks on this store, in the ConfigMap `argocd-agent-ha-marks` (see domain/ha/store_history.ts), and the newest version of a
 * replicated resource that this process knows. A process leaves a mark when it starts, one when it steps down, and one a minute while
 * something changes: so a store that was restored is known even where the restored objects got new versions. A mark has the version of a
 * ConfigMap. Where that and the versions of other kinds are not of one sequence, because an API server keeps them in different etcds,
 * nothing is concluded from them: a mark proves one sequence if its version is above every one that was seen before.
 */
import type { Log } from "../../base/log.ts";
import { reasonOf } from "../../base/reason.ts";
import { parseJson } from "../../base/json.ts";
import { MAX_MARKS, type StorePoint } from "../../domain/ha/store_history.ts";
import { configMap, dataOf } from "../../domain/resources/config_map.ts";
import { type Key, keyOf, keyOfObject } from "../../domain/resources/keys.ts";
import { isRecord, type StoredObject } from "../../domain/resources/object.ts";
import { type Store, StoreError } from "../ports/store.ts";

const NAME = "argocd-agent-ha-marks";
const FIELD = "marks.json";
const EVERY_MS = 60_000;

export class StoreMarks {
  #marks: readonly StorePoint[] = [];
  /** The newest versions of ConfigMaps, which are of the marks' sequence, and of other kinds. */
  #version = 0;
  #others = 0;
  /** Whether both are of one sequence; undefined: not known yet. */
  #oneSequence: boolean | undefined;
  #listed = false;
  /** While a mark is being left, and the versions after it cannot be told from those before: the newest version that is before it. */
  #before: number | undefined;
  /** This process's own, also those of which it is not known whether they were left. */
  readonly #own = new Set<string>();
  #timer: ReturnType<typeof setInterval> | undefined;
  #leaving: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly store: Pick<Store, "get" | "write">,
    private readonly namespace: string,
    private readonly log: Log,
  ) {}

  /**
   * Leaves a mark and returns its version. Undefined: it is not comparable with those of other kinds; or none is left, because this process
   * has one, and another process left one after it.
   * @throws StoreError
   */
  async leave(): Promise<number | undefined> {
    const key = keyOf("ConfigMap", this.namespace, NAME);
    const existing = await this.store.get(key);
    const earlier = existing ? marksOf(existing) : [];
    if (this.#marks.length > 0 && !this.#own.has(earlier.at(-1)?.mark ?? "")) return undefined;
    this.#before ??= this.#newest;
    const others = this.#others;
    const mark = crypto.randomUUID();
    const atMs = Date.now();
    this.#own.add(mark);
    const text = JSON.stringify([...earlier, { mark, version: 0, atMs }]);
    const object = configMap(this.namespace, NAME, { [FIELD]: text });
    const expect = existing?.metadata.resourceVersion ?? "absent";
    const written = await this.store.write({ op: "put", object, expect });
    const version = Number(written.object?.metadata.resourceVersion);
    this.#compare(version, others);
    this.#marks = [...earlier, { mark, version, atMs }];
    this.#before = undefined;
    return this.#oneSequence === false ? undefined : version;
  }

  /** Leaves the first mark of this process. @throws StoreError */
  async leaveFirst(): Promise<void> {
    try {
      await this.leave();
    } catch (error) {
      if (!(error instanceof StoreError) || error.code !== "conflict") throw error;
      await this.leaveFirst();
    }
  }

  /** From now on leaves marks while something changes. */
  keepOn(): void {
    this.#timer = setInterval(() => {
      const newest = this.#oneSequence === false ? 0 : Math.max(this.#version, this.#others);
      if (newest > (this.#marks.at(-1)?.version ?? 0)) void this.tryToLeave();
    }, EVERY_MS);
    Deno.unrefTimer(this.#timer as unknown as number);
  }

  /** Leaves a mark: nothing that the store holds now is newer than the version that is returned. Undefined: none could be left. */
  tryToLeave(): Promise<number | undefined> {
    const leaving = this.#leaving.then(() => this.leave()).catch((error) => {
      this.log.debug("no mark was left on the store", { error: reasonOf(error) });
      return undefined;
    });
    this.#leaving = leaving;
    return leaving;
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#leaving;
  }

  /** Oldest first; none where they prove nothing. */
  get list(): readonly StorePoint[] {
    return this.#oneSequence === false ? [] : this.#marks;
  }

  /** The newest point that this process knows; undefined: it has left no mark, or marks prove nothing. */
  get point(): StorePoint | undefined {
    const last = this.list.at(-1);
    return last && { mark: last.mark, version: this.#before ?? this.#newest };
  }

  /** A version of a replicated resource, as the store has told it. */
  saw(key: Key, version: string): void {
    const number = Number(version) || 0;
    if (key.startsWith("ConfigMap/")) {
      this.#version = Math.max(this.#version, number);
      return;
    }
    const first = this.#others === 0;
    this.#others = Math.max(this.#others, number);
    if (first && this.#listed) this.#prove();
  }

  /** As an observer of the feed. */
  put(object: StoredObject, replicated: boolean): void {
    if (replicated) this.saw(keyOfObject(object), object.metadata.resourceVersion);
  }

  /** The store may have gone back; its listing tells. */
  reset(): void {
    this.#listed = false;
    this.#others = 0;
  }

  synced(): void {
    this.#listed = true;
    this.#prove();
  }

  removed(): void {}

  /** Resolves when no mark is being left. */
  async settled(): Promise<void> {
    await this.#leaving;
  }

  get #newest(): number {
    return this.#oneSequence ? Math.max(this.#version, this.#others) : this.#version;
  }

  /** Leaves the mark that tells whether all versions are of one sequence, once there is one to compare with. */
  #prove(): void {
    if (this.#oneSequence === undefined && this.#others > 0) void this.tryToLeave();
  }

  /** @param others the newest version of another kind that was seen before the mark was left */
  #compare(version: number, others: number): void {
    const last = this.#marks.at(-1)?.version ?? 0;
    if (others === 0 || !this.#listed || version <= last) return;
    if (version > others) this.#oneSequence ??= true;
    else if (this.#oneSequence !== false) {
      this.#oneSequence = false;
      this.log.warn(
        "this API server counts the versions of ConfigMaps and of other kinds apart (--etcd-servers-overrides?): whether this store, or " +
          "the peer's, was restored from a backup cannot be told",
        { configMaps: version, others },
      );
    }
  }
}

/** The version of the last mark is that of the ConfigMap, which nothing else writes. */
function marksOf(existing: StoredObject): StorePoint[] {
  const text = dataOf(existing)[FIELD];
  const read = typeof text === "string" ? parseJson(text) : [];
  const marks = Array.isArray(read) ? read.filter(isRecord) : [];
  const points = marks.map(({ mark, version, atMs }): StorePoint => ({
    mark: String(mark),
    version: Number(version),
    atMs: Number(atMs) || 0,
  }));
  const last = points.at(-1);
  if (last) last.version = Number(existing.metadata.resourceVersion);
  return points.slice(1 - MAX_MARKS);
}
