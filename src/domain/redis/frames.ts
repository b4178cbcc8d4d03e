/**
 * Finds where the commands and replies of a Redis connection begin and end, in RESP2 and RESP3. Their bytes are passed on as they came
 * and are never kept, whatever lengths they announce; the beginnings of their first texts are kept. Decoders of client libraries make
 * values of them, which cannot be turned into the same bytes, and do not tell where one ends.
 */

/** One command or reply that has ended. */
export interface Frame {
  /** Its first byte: `*`, `$`, `+`, `-`, `>`, … */
  type: string;
  /** Elements of the outermost array; 1 of what is none. */
  count: number;
  /** The first texts and numbers in it, in order; undefined where one is null, or too long to be kept. */
  texts: (string | undefined)[];
}

/** Bytes that belong to one frame. */
export interface Part {
  bytes: Uint8Array;
  /** Its first byte, at its beginning. */
  begins?: string;
  /** The frame, at its end. */
  ends?: Frame;
}

/** The stream does not speak RESP, and is not read any further. */
export class MalformedFrame extends Error {}

const MAX_TEXTS = 3;
const MAX_TEXT_BYTES = 1_024;
/** The first byte and a number. */
const MAX_NUMBER_LINE = 32;
const LF = 10;
/** A line with a value in it. */
const LINES = new Set("+-:_#,(");
/** A length, and then so many bytes. */
const BLOBS = new Set("$!=");
/** A number of elements. */
const LISTS = new Set("*~>");
/** A number of pairs. */
const PAIRS = new Set("%|");

export class FrameReader {
  /** Values that the frame still needs; 0: between two frames. */
  #needed = 0;
  /** Bytes of the present blob that are still to come, its line's end included. */
  #blob = 0;
  /** Whether the present blob's text is kept. */
  #keeping = false;
  #line: number[] = [];
  #lineType = "";
  #text: number[] = [];
  /** Whether no value of the frame has been read. */
  #atBeginning = false;
  #frame: Frame = { type: "", count: 1, texts: [] };

  /** @param types the first bytes that a frame may have; absent: any */
  constructor(private readonly types?: string) {}

  /** Whether a frame has begun and not ended. */
  get within(): boolean {
    return this.#needed > 0;
  }

  /** Divides the next bytes. @throws MalformedFrame */
  *read(chunk: Uint8Array): Generator<Part> {
    for (let at = 0; at < chunk.length;) {
      const from = at;
      const begins = this.#needed === 0 ? this.#begin(chunk[at] as number) : undefined;
      while (at < chunk.length && this.#needed > 0) at = this.#step(chunk, at);
      const part: Part = { bytes: chunk.subarray(from, at) };
      if (begins !== undefined) part.begins = begins;
      if (this.#needed === 0) part.ends = this.#frame;
      yield part;
    }
  }

  #begin(byte: number): string {
    const type = String.fromCharCode(byte);
    if (this.types !== undefined && !this.types.includes(type)) {
      throw new MalformedFrame(`a frame begins with byte ${byte}`);
    }
    this.#needed = 1;
    this.#atBeginning = true;
    this.#frame = { type: "", count: 1, texts: [] };
    return type;
  }

  #step(chunk: Uint8Array, at: number): number {
    return this.#blob > 0 ? this.#skip(chunk, at) : this.#readLine(chunk, at);
  }

  #skip(chunk: Uint8Array, at: number): number {
    const end = Math.min(chunk.length, at + this.#blob);
    if (this.#keeping) { for (let i = at; i < end; i++) this.#text.push(chunk[i] as number); }
    this.#blob -= end - at;
    if (this.#blob > 0) return end;
    if (this.#keeping) this.#keep(this.#text.slice(0, -2));
    this.#needed--;
    return end;
  }

  #readLine(chunk: Uint8Array, at: number): number {
    if (this.#lineType === "") {
      this.#lineType = String.fromCharCode(chunk[at] as number);
      if (this.#frame.type === "") this.#frame.type = this.#lineType;
    }
    const lf = chunk.indexOf(LF, at);
    const end = lf < 0 ? chunk.length : lf + 1;
    const room = MAX_TEXT_BYTES - this.#line.length;
    for (let i = at; i < Math.min(end, at + room); i++) this.#line.push(chunk[i] as number);
    if (lf < 0) {
      if (!LINES.has(this.#lineType) && this.#line.length > MAX_NUMBER_LINE) throw new MalformedFrame();
      return end;
    }
    const [type, line] = [this.#lineType, this.#line];
    this.#line = [];
    this.#lineType = "";
    this.#value(type, line.slice(1, -2), line.length === MAX_TEXT_BYTES);
    return end;
  }

  #value(type: string, line: number[], wasCut: boolean): void {
    if (LINES.has(type)) {
      this.#keep(wasCut ? undefined : line);
      this.#needed--;
      return;
    }
    const number = parseLength(line);
    if (BLOBS.has(type)) this.#begunBlob(number);
    else if (LISTS.has(type) || PAIRS.has(type)) {
      if (this.#atBeginning) this.#frame.count = number;
      this.#atBeginning = false;
      // An attribute stands before the value that it is about.
      const own = type === "|" ? 0 : 1;
      this.#needed += Math.max(0, number) * (PAIRS.has(type) ? 2 : 1) - own;
    } else throw new MalformedFrame(`a value begins with "${type}"`);
  }

  #begunBlob(length: number): void {
    if (length < 0) {
      this.#keep(undefined);
      this.#needed--;
      return;
    }
    this.#blob = length + 2;
    this.#text = [];
    this.#keeping = length <= MAX_TEXT_BYTES && this.#frame.texts.length < MAX_TEXTS;
    if (!this.#keeping) this.#keep(undefined);
  }

  #keep(bytes: number[] | undefined): void {
    if (this.#frame.texts.length >= MAX_TEXTS) return;
    this.#frame.texts.push(bytes && new TextDecoder().decode(Uint8Array.from(bytes)));
  }
}

/** @throws MalformedFrame */
function parseLength(line: number[]): number {
  const text = String.fromCharCode(...line);
  if (!/^(-1|\d{1,10})$/.test(text)) throw new MalformedFrame(`the length "${text}" is no number`);
  return Number(text);
}
