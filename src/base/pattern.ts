/**
 * Regular expressions that come from outside: RE2's, as in Go, matched in a time that is linear in the text. No pattern can stop the event
 * loop: expressions that would need backtracking (back-references, look-around) do not exist, and both lengths are bounded.
 */
import { RE2JS } from "re2js";

/** The longest regular expression, in UTF-16 code units. */
const MAX_SOURCE = 1_000;
/** The largest compiled one, in instructions: a match takes at most so many steps a character. */
const MAX_PROGRAM = 2_000;
/** The longest text that is looked at; a longer one does not match. A name has 253 characters, a distinguished name some hundred. */
const MAX_TEXT = 16_384;

/** A text is searched in so many times. */
const MAX_PLACES = 50;

/** A compiled regular expression. */
export class Pattern {
  private constructor(private readonly compiled: RE2JS, readonly source: string) {}

  /** @throws Error that says what is wrong with it */
  static of(source: string): Pattern {
    if (source.length > MAX_SOURCE) {
      throw new Error(`the regular expression has more than ${MAX_SOURCE} characters`);
    }
    const compiled = RE2JS.compile(source);
    if (compiled.programSize() <= MAX_PROGRAM) return new Pattern(compiled, source);
    throw new Error("the regular expression is too large once its repetitions are counted");
  }

  /** Whether it is found in a text. */
  test(text: string): boolean {
    return text.length <= MAX_TEXT && this.compiled.matcher(text).find();
  }

  /** The places where it is found and has a first group, overlapping ones too, and where each begins: at most `MAX_PLACES`. */
  *firstGroups(text: string): Generator<{ from: number; at: number; group: string }> {
    if (text.length > MAX_TEXT) return;
    const matcher = this.compiled.matcher(text);
    for (let n = 0, from = 0; n < MAX_PLACES && from <= text.length && matcher.find(from); n++) {
      const group = matcher.groupCount() > 0 ? matcher.group(1) : undefined;
      if (group) yield { from: matcher.start(), at: matcher.start(1), group };
      from = matcher.start() + 1;
    }
  }

  /** The first group of the first place where it is found; undefined: none, or an empty one. */
  firstGroup(text: string): string | undefined {
    if (text.length > MAX_TEXT) return undefined;
    const matcher = this.compiled.matcher(text);
    return matcher.find() && matcher.groupCount() > 0 ? matcher.group(1) || undefined : undefined;
  }
}
