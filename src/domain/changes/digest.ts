/**
 * The digest table: what two principals compare instead of their resources. Each resource contributes a 128-bit
 * digest of its key and content; a bucket is the XOR of the digests of its keys, so it is kept up to date in
 * constant time, in any order. Equal tables mean equal contents; a bucket that differs names about 1/1024 of
 * the keys, whose digests are then exchanged. (The idea of Merkle trees in anti-entropy, as in Dynamo,
 * with one level: 16 KiB a table is small beside one round trip more.)
 */

/** How many buckets a table has; part of the wire contract between our principals. */
export const BUCKETS = 1024;

/** Bytes of one digest. */
export const DIGEST_BYTES = 16;

/** A resource's digest: 32 hex digits, taken of its key and its canonical content. */
export type Digest = string;

/** Hashes text to a digest of 32 hex digits; passed in, since hashing is the runtime's. */
export type Hash = (text: string) => Digest;

const WORDS = DIGEST_BYTES / 4;

/** The bucket of a key: FNV-1a (32 bit) of its UTF-16 code units, modulo the number of buckets. */
export function bucketOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) {
    hash ^= key.charCodeAt(i);
    hash = Math.imul(hash, 0x01000193);
  }
  return (hash >>> 0) % BUCKETS;
}

/** The digests of a set of keyed resources, folded by bucket. */
export class DigestTable {
  readonly #words = new Uint32Array(BUCKETS * WORDS);

  /** Adds a resource that is not in the table, or takes one out that is. */
  toggle(key: string, digest: Digest): void {
    const at = bucketOf(key) * WORDS;
    for (let word = 0; word < WORDS; word++) {
      const value = Number.parseInt(digest.slice(word * 8, word * 8 + 8), 16);
      this.#words[at + word] = (this.#words[at + word] ?? 0) ^ value;
    }
  }

  /** The table on the wire: big-endian words, bucket by bucket. */
  toBytes(): Uint8Array {
    const view = new DataView(new ArrayBuffer(this.#words.length * 4));
    this.#words.forEach((word, i) => view.setUint32(i * 4, word));
    return new Uint8Array(view.buffer);
  }

  /** The buckets that differ from another table; every bucket when it has another size. */
  differing(other: Uint8Array): number[] {
    if (other.length !== BUCKETS * DIGEST_BYTES) return Array.from({ length: BUCKETS }, (_, i) => i);
    const mine = this.toBytes();
    const result: number[] = [];
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      const from = bucket * DIGEST_BYTES;
      for (let i = from; i < from + DIGEST_BYTES; i++) {
        if (mine[i] !== other[i]) {
          result.push(bucket);
          break;
        }
      }
    }
    return result;
  }

  /** One digest of everything in the table: equal on both sides when they hold the same. */
  root(): Digest {
    const fold = new Uint32Array(WORDS);
    this.#words.forEach((word, i) => fold[i % WORDS] = (fold[i % WORDS] ?? 0) ^ word);
    return [...fold].map((word) => word.toString(16).padStart(8, "0")).join("");
  }
}
