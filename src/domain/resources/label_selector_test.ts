import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { parseLabelSelector } from "./label_selector.ts";

const LABELS = { team: "a", tier: "web", "app.example/size": "12", empty: "" };

Deno.test("parseLabelSelector() reads what kubectl -l takes, and an absent label is unequal to every value", () => {
  const cases: [text: string, expected: boolean][] = [
    ["team=a", true],
    ["team == b", false],
    ["team!=b,tier=web", true],
    ["team=a,tier!=web", false],
    ["nothing!=a", true],
    ["team in (b, a),tier", true],
    ["team in (b)", false],
    ["team notin (a,b)", false],
    ["nothing notin (a)", true],
    ["tier in(web)", true],
    ["empty=", true],
    ["team=", false],
    ["empty in (,x)", true],
    ["app.example/size>11", true],
    ["app.example/size < 12", false],
    ["team>1", false],
    ["!nothing , team", true],
    ["!team", false],
    ["constructor", false],
  ];
  for (const [text, expected] of cases) {
    assertEquals(parseLabelSelector(text)?.selects(LABELS), expected, text);
  }
  assertEquals(parseLabelSelector(" "), undefined);
});

Deno.test("parseLabelSelector() names the requirement that it cannot read", () => {
  const texts = ["=a", "team=a b", "team in a", "team in (a", "team~a", "-x", "team>b", "!team=a", ""];
  for (const text of texts) {
    const { message } = assertThrows(() => parseLabelSelector(`tier,${text}`)) as Error;
    assertStringIncludes(message, `"${text}" is no requirement`);
  }
});
