/**
 * The lines of a pod's log as its reader is to have them. An agent asks for timestamps in any case and cuts the bytes anywhere; after a
 * broken call it begins again up to a second earlier. So each line's timestamp is read, and only what the reader has not had goes on.
 *
 * Invariant: of a line nothing is kept but the bytes of its timestamp.
 */

/** A timestamp has 35 characters at most. */
const MAX_HEAD = 40;
const NEWLINE = 10;
const SPACE = 32;
const TIMESTAMP = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/;
const DROPPED = Infinity;

/** A moment to the nanosecond; undefined: the line has no timestamp. */
type Moment = { ms: number; nanos: string } | undefined;

export class LogLines {
  /** The first bytes of a line whose timestamp is not complete; undefined: the line goes on, or is dropped. */
  #head: number[] | undefined = [];
  /** Bytes of the line that have come, and the one from which they go on. */
  #at = 0;
  #from = 0;
  /** The newest line that went on, and how many of its timestamp have. */
  #last: Moment;
  #count = 0;
  /** While a call repeats what came before: how many lines of the newest timestamp it has repeated. */
  #repeated: number | undefined;
  /** Bytes of the newest line that went on before the call broke. */
  #cut = 0;

  /** @param timestamps whether the reader wants them */
  constructor(private readonly timestamps: boolean) {}

  /** A new call begins, which may repeat lines. */
  resume(): void {
    this.#cut = this.#head === undefined && this.#from !== DROPPED ? this.#at : 0;
    this.#head = [];
    this.#at = 0;
    this.#repeated = 0;
  }

  /** Whether a line has begun and not ended. */
  get within(): boolean {
    return this.#cut > 0 || this.#head === undefined && this.#from !== DROPPED;
  }

  /** The parts of some bytes that go on. */
  push(bytes: Uint8Array): Uint8Array[] {
    const parts: Uint8Array[] = [];
    for (let at = 0; at < bytes.length;) at = this.#take(bytes, at, parts);
    return parts;
  }

  /** The log is over: what is left of its last line. */
  end(): Uint8Array[] {
    const parts: Uint8Array[] = [];
    if (this.#head && this.#head.length > 0) this.#begin(this.#head, parts);
    return parts;
  }

  #take(bytes: Uint8Array, at: number, parts: Uint8Array[]): number {
    if (this.#head) {
      const byte = bytes[at] as number;
      this.#head.push(byte);
      const complete = byte === SPACE || byte === NEWLINE || this.#head.length === MAX_HEAD;
      if (complete) this.#begin(this.#head, parts);
      return at + 1;
    }
    const found = bytes.indexOf(NEWLINE, at);
    const end = found === -1 ? bytes.length : found + 1;
    this.#pass(bytes.subarray(at, end), parts);
    return end;
  }

  /** The line's first bytes are known: it goes on, or does not. */
  #begin(head: number[], parts: Uint8Array[]): void {
    const text = new TextDecoder().decode(new Uint8Array(head)).trimEnd();
    const moment = momentOf(text);
    this.#head = undefined;
    this.#at = 0;
    this.#from = this.#fromOf(moment, moment && !this.timestamps ? head.length : 0, parts);
    this.#pass(new Uint8Array(head), parts);
  }

  /** The byte of a line from which it goes on. @param first the one after what the reader does not want */
  #fromOf(moment: Moment, first: number, parts: Uint8Array[]): number {
    const order = moment && this.#last ? compare(moment, this.#last) : 1;
    if (this.#repeated !== undefined && moment) {
      if (order < 0) return DROPPED;
      if (order === 0 && ++this.#repeated < this.#count) return DROPPED;
      if (order === 0 && this.#repeated === this.#count) {
        const cut = this.#cut;
        this.#cut = 0;
        return cut > 0 ? Math.max(cut, first) : DROPPED;
      }
      this.#repeated = undefined;
    }
    if (this.#cut > 0) parts.push(new Uint8Array([NEWLINE]));
    this.#cut = 0;
    if (moment) {
      this.#count = order === 0 ? this.#count + 1 : 1;
      this.#last = moment;
    }
    return first;
  }

  /** Bytes of one line. */
  #pass(bytes: Uint8Array, parts: Uint8Array[]): void {
    const skipped = Math.min(bytes.length, Math.max(0, this.#from - this.#at));
    this.#at += bytes.length;
    if (skipped < bytes.length) parts.push(bytes.subarray(skipped));
    if (bytes.at(-1) === NEWLINE) {
      this.#head = [];
      this.#at = 0;
    }
  }
}

function momentOf(text: string): Moment {
  const [, seconds, nanos = "", zone] = TIMESTAMP.exec(text) ?? [];
  const ms = seconds === undefined ? NaN : Date.parse(`${seconds}${zone}`);
  return Number.isNaN(ms) ? undefined : { ms, nanos: nanos.padEnd(9, "0") };
}

function compare(a: NonNullable<Moment>, b: NonNullable<Moment>): number {
  if (a.ms !== b.ms) return a.ms - b.ms;
  return a.nanos === b.nanos ? 0 : a.nanos < b.nanos ? -1 : 1;
}
