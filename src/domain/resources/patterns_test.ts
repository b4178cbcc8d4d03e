import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Pattern } from "../../base/pattern.ts";
import { denies, matches, patternOf } from "./patterns.ts";

Deno.test("matches() takes names, globs and /regex/ as Argo CD does", () => {
  const cases: [pattern: string, name: string, whether: boolean][] = [
    ["edge-1", "edge-1", true],
    ["edge-1", "edge-10", false],
    ["edge.1", "edge-1", false],
    ["edge-*", "edge-10", true],
    ["edge-?", "edge-1", true],
    ["edge-?", "edge-10", false],
    ["edge-[12]", "edge-2", true],
    ["edge-[!12]", "edge-2", false],
    ["{edge,core}-*", "core-1", true],
    ["*", "edge-1", true],
    ["/^edge-\\d+$/", "edge-12", true],
    ["/edge/", "an-edge-1", true],
    ["/(?i)EDGE/", "edge", true],
    ["", "edge-1", false],
  ];
  for (const [pattern, name, whether] of cases) {
    assertEquals(matches(pattern, name), whether, `${pattern} and ${name}`);
    assertEquals(denies(pattern, name), whether, `${pattern} and ${name}`);
  }
});

Deno.test("matches() ends for patterns that backtrack for ever elsewhere, extended globs included", () => {
  const name = `${"a".repeat(62)}-`;
  const evil = ["/^([a-z0-9-]+)+!$/", "/^(a|a)*!$/", "/^(.*a){60}!$/", "/(a*)*(b*)*!/"];
  for (const pattern of [...evil, "+(+([a-z]))!", "*(*(a))!", "{a,aa,aaa}*{a,aa}*{a,aa}*!"]) {
    assert(!matches(pattern, name), pattern);
  }
  // As in Argo CD, there are no extended globs: their characters stand for themselves.
  assert(matches("@(a|b)", "@(a|b)"));
  assert(!matches("+(a)", "aa"));
});

Deno.test("a pattern that cannot be used matches nothing, and as a denial everything", () => {
  const unusable = [
    "/(/",
    "/(?=a)/",
    "/(a)\\1/",
    "/(a{1000}){1000}/",
    `/${"(".repeat(200)}`.padEnd(513, "x"),
    "*".repeat(513),
  ];
  for (const pattern of unusable) {
    assertEquals([matches(pattern, "a"), denies(pattern, "a")], [false, true], pattern.slice(0, 40));
  }
});

Deno.test("patternOf() says what is wrong with a pattern", () => {
  const problem = (text: string) => {
    try {
      patternOf(text);
      return "";
    } catch (error) {
      return (error as Error).message;
    }
  };
  assertEquals(problem(`${"x".repeat(600)}*`), "the pattern has more than 512 characters");
  assertStringIncludes(problem("/(?=a)/"), "(?=");
  assertStringIncludes(
    problem("/(?:(?:a?){999})(?:(?:b?){999})/"),
    "too large once its repetitions are counted",
  );
});

Deno.test("Pattern finds its first group, and looks at no text beyond its bound", () => {
  const pattern = Pattern.of("(?i)cn=([^,]*)");
  assertEquals(pattern.firstGroup("O=x,CN=edge-1,C=DE"), "edge-1");
  assertEquals([pattern.firstGroup("O=x"), pattern.firstGroup("CN=,O=x")], [undefined, undefined]);
  assertEquals(Pattern.of("no group").firstGroup("no group"), undefined);
  const long = `${"x".repeat(16_384)}cn=a`;
  assertEquals([pattern.test(long), pattern.firstGroup(long)], [false, undefined]);
});
