import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { parseJson } from "../base/json.ts";
import { reasonOf } from "../base/reason.ts";
import { NUMBERS_JSON } from "../../tests/support/numbers.ts";
import { parseYaml, yaml } from "./yaml.ts";

const asJson = (text: string) => JSON.stringify(parseYaml(text));

Deno.test("numbers come out of YAML, and go into it, as they were written", () => {
  assertEquals(asJson(NUMBERS_JSON), `[${NUMBERS_JSON}]`);
  const text = yaml(parseJson(NUMBERS_JSON));
  assertStringIncludes(text, "n0: 1098765432109876543\n");
  assertEquals(asJson(text), `[${NUMBERS_JSON}]`);
});

Deno.test("what is a string stays one, also where it looks like a number", () => {
  const value = { a: "1098765432109876543", "1.10": "1.10", c: "1e3", d: "-0" };
  assertEquals(parseYaml(yaml(value)), [value]);
  assertEquals(asJson("a: !!str 1.10\nb: '1.0'"), '[{"a":"1.10","b":"1.0"}]');
});

Deno.test("YAML's other forms of a number become what kubectl makes of them", () => {
  assertEquals(
    asJson("[+1098765432109876543, 0x7fffffffffffffff, -007, 0o17, 007, .5, 1., +1.5]"),
    "[[1098765432109876543,9223372036854775807,-7,15,7,0.5,1,1.5]]",
  );
});

Deno.test("keys, anchors and documents: a number is exact wherever it stands", () => {
  assertEquals(asJson("1098765432109876543: x\n1.10: y"), '[{"1098765432109876543":"x","1.10":"y"}]');
  assertEquals(
    asJson("a: &n 1.10\nb: *n\n---\n---\n__proto__: 1.0"),
    '[{"a":1.10,"b":1.10},{"__proto__":1.0}]',
  );
});

Deno.test("a mistake is told in one line", () => {
  assertStringIncludes(reasonOf(assertThrows(() => parseYaml("a: [1\nb: 2"))), "line 2");
});
