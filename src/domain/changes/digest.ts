/**
 * Two principals compare digest tables instead of their resources. A bucket is the XOR of its keys' 128-bit digests,
 * so an update takes constant time in any order. Equal tables mean equal contents; a bucket that differs names about
 * 1/1024 of the keys, whose digests are then exchanged. (A Merkle tree for anti-entropy, as in Dynamo, with one
 * level: 16 KiB a table is small beside one more round trip.)
 */

/** The buckets of a table; part of the wire contract between our principals. */
export const BUCKETS = 1024;

/** Bytes of one digest. */
export const DIGEST_BYTES = 16;

/** A resource's digest: 32 hex digits, taken of its key and its canonical content. */
export type Digest = string;

/** Hashes text to a digest of 32 hex digits; passed in, since hashing is the runtime's. */
export type Hash = (text: string) => Digest;

const WORDS = DIGEST_BYTES / 4;

/** Two digests as one; a digest that is in both cancels out. */
export function xor(a: Digest, b: Digest): Digest {
  let result = "";
  for (let i = 0; i < a.length; i += 8) {
    const word = (Number.parseInt(a.slice(i, i + 8), 16) ^ Number.parseInt(b.slice(i, i + 8), 16)) >>> 0;
    result += word.toString(16).padStart(8, "0");
  }
  return result;
}

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

  /** Adds a resource, or removes one that is in the table. */
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

  /** The buckets that differ from another table; every bucket if its size differs. */
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
