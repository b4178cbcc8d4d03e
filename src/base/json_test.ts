import { assert, assertEquals, assertThrows } from "@std/assert";
import { KEPT_JSON, NUMBERS, NUMBERS_JSON } from "../../tests/support/numbers.ts";
import {
  canonicalJson,
  cloneJson,
  exactNumber,
  isExactNumber,
  isShallowJson,
  keptJson,
  keptNumber,
  keptNumbers,
  MAX_DEPTH,
  measureJson,
  parseJson,
  pruneJson,
  sameJson,
  TooDeep,
} from "./json.ts";

/** Objects and arrays by turns, `depth` levels of them. */
function nested(depth: number): string {
  const open = Array.from({ length: depth }, (_, i) => i % 2 ? "[" : '{"a":');
  return open.join("") + "1" + open.map((text) => text === "[" ? "]" : "}").reverse().join("");
}

Deno.test("every number comes out as it went in, wherever it stands and whatever stands around it", () => {
  for (const [written] of NUMBERS) {
    for (const text of [written, `[${written}]`, `{"a":${written},"b":[0,${written}]}`]) {
      assertEquals(JSON.stringify(parseJson(text)), text);
      assertEquals(canonicalJson(parseJson(text)), text);
      assertEquals(canonicalJson(cloneJson(parseJson(text))), text);
      assertEquals(
        canonicalJson(parseJson(` { "x" : [ ${text} ,\n${text}\t] } `)),
        `{"x":[${text},${text}]}`,
      );
    }
  }
});

Deno.test("numbers of every shape come out as they went in", () => {
  let seed = 1;
  const random = (below: number) => (seed = seed * 48_271 % 2_147_483_647) % below;
  const digits = (most: number) => Array.from({ length: 1 + random(most) }, () => random(10)).join("");
  for (let n = 0; n < 20_000; n++) {
    const integer = digits(20).replace(/^0+(?=\d)/, "");
    const fraction = random(2) ? `.${digits(20)}` : "";
    const exponent = random(3) ? "" : `${"eE"[random(2)]}${["", "+", "-"][random(3)]}${digits(2)}`;
    const number = `${random(2) ? "-" : ""}${integer}${fraction}${exponent}`;
    const text = `{"a":[${number},"${number}"],"b":${number}}`;
    assertEquals(JSON.stringify(parseJson(text)), text);
    assertEquals(keptNumber(keptNumber(number)), keptNumber(number));
  }
});

Deno.test("a number that a double prints as it is written stays a plain number", () => {
  for (const [written] of NUMBERS) {
    const value = parseJson(`[${written}]`) as unknown[];
    assertEquals(typeof value[0] === "number", String(Number(written)) === written, written);
    assertEquals(isExactNumber(value[0]), String(Number(written)) !== written, written);
    assertEquals(isExactNumber(exactNumber(written)), isExactNumber(value[0]));
  }
});

Deno.test("digits in strings are left alone", () => {
  const tricky = ["a:1.10,b", "[1098765432109876543]", '\\":1.0,', "\\", '"', "1.10", "\u2028:-0}", ':1e3,"'];
  for (const one of tricky) {
    for (const other of tricky) {
      const text = JSON.stringify({ [one]: other, z: [one, 1.5] });
      assertEquals(parseJson(text), JSON.parse(text));
      assertEquals(keptNumbers(text), text);
      const exact = `${text.slice(0, -1)},"zz":1.10}`;
      assertEquals(JSON.stringify(parseJson(exact)), exact);
      assertEquals(keptNumbers(exact), `${text.slice(0, -1)},"zz":1.1}`);
    }
  }
  assertThrows(() => parseJson('{"a":1.10,'));
  assertThrows(() => parseJson("01.10"));
});

Deno.test("two numbers are the same when an API server keeps the same for both", () => {
  for (const [written, kept] of NUMBERS) {
    assertEquals(keptNumber(written), kept);
    assertEquals(keptNumber(kept), kept, "what is kept stays");
    assert(sameJson(parseJson(`{"a":[${written}]}`), parseJson(`{"a":[${kept}]}`)), written);
  }
  assertEquals(keptNumbers(NUMBERS_JSON), KEPT_JSON);
  assertEquals(keptJson(parseJson(NUMBERS_JSON)), canonicalJson(parseJson(KEPT_JSON)));
  assertEquals(keptNumber("1e400"), "1e400", "an API server refuses it");
  assertEquals(keptNumber("9".repeat(100_000)), "9".repeat(100_000));
  const [one, other] = ["1098765432109876543", "1098765432109876544"].map(parseJson);
  assert(!sameJson(one, other), "a double is the same for both");
  assert(!sameJson(one, { rawJSON: "1098765432109876543" }));
  assert(!sameJson({ rawJSON: "1098765432109876543" }, one));
  assert(!sameJson(parseJson("1.0"), "1"));
});

Deno.test("values are compared as JSON: keys in any order, what is undefined is not there, null is something", () => {
  assert(sameJson({ a: 1, b: [{ c: null }], d: undefined }, { b: [{ c: null }], a: 1 }));
  for (
    const [a, b] of [
      [{ a: 1 }, { a: 1, b: 2 }],
      [{ a: 1, b: 2 }, { a: 1, c: 2 }],
      [{ a: null }, {}],
      [[], {}],
      [{}, []],
      [[1, 2], [2, 1]],
      [[1], [1, 2]],
      [null, {}],
      ["1", 1],
      [undefined, null],
    ]
  ) assert(!sameJson(a, b), `${JSON.stringify(a)} ${JSON.stringify(b)}`);
});

Deno.test("a field named __proto__ is a field like any other", () => {
  const text = '{"__proto__":{"x":1.10},"a":1}';
  const value = parseJson(text);
  assertEquals(canonicalJson(value), text);
  assertEquals(canonicalJson(cloneJson(value)), text);
  assertEquals(canonicalJson({ ...value as object }), text);
  assert(sameJson(value, cloneJson(value)));
  assert(!sameJson(value, { a: 1 }));
  assert(!sameJson({ a: 1 }, value));
  assert(!sameJson(JSON.parse('{"__proto__":{}}'), { a: {} }), "an object's prototype is no field of it");
  assert(!sameJson({ a: {} }, JSON.parse('{"__proto__":{}}')));
  assert(!sameJson(JSON.parse('{"constructor":1}'), { a: 1 }));
});

Deno.test("canonical JSON is RFC 8785's where doubles are enough", () => {
  const keys = { "": 0, "10": 1, "9": 2, a: "é\u2028\ud800", A: [], "€": {}, "\u{1f600}": 3, "\ufb33": 4 };
  const sorted = '{"":0,"10":1,"9":2,"A":[],"a":"é\u2028\\ud800","€":{},"\u{1f600}":3,"\ufb33":4}';
  assertEquals(canonicalJson(keys), sorted);
  const values = {
    b: undefined,
    c: null,
    d: [undefined, true, false],
    e: 1e21,
    f: 1e-7,
    g: 0.1,
    h: -1,
    i: -0,
  };
  assertEquals(
    canonicalJson(values),
    '{"c":null,"d":[null,true,false],"e":1e+21,"f":1e-7,"g":0.1,"h":-1,"i":0}',
  );
  for (const text of ["[]", "{}", '"text"', "3", "null"]) assertEquals(canonicalJson(parseJson(text)), text);
  assert(assertThrows(() => canonicalJson({ a: NaN })) instanceof TypeError);
});

Deno.test("a clone shares nothing, and may make something else of exact numbers", () => {
  const value = parseJson('{"a":[{"b":1.10}]}') as { a: { b: unknown }[] };
  const copy = cloneJson(value);
  copy.a.push({ b: 1 });
  assertEquals(value.a.length, 1);
  assertEquals(cloneJson(value, ({ rawJSON }) => Number(rawJSON)), { a: [{ b: 1.1 }] });
});

Deno.test("a value that is nested 100,000 deep is measured, and refused by a name where it would be walked", () => {
  const deep = nested(100_000);
  assertEquals(measureJson(deep).depth, 100_000);
  assertEquals(measureJson(pruneJson(deep, 30)).depth, 30);
  const value = parseJson(deep);
  assert(assertThrows(() => canonicalJson(value)) instanceof TooDeep);
  assert(assertThrows(() => cloneJson(value)) instanceof TooDeep);
  assert(assertThrows(() => sameJson(value, parseJson(deep))) instanceof TooDeep);
  const fits = nested(MAX_DEPTH);
  assertEquals(canonicalJson(cloneJson(parseJson(fits))), fits);
  assert(sameJson(parseJson(fits), parseJson(fits)));
  assert(assertThrows(() => canonicalJson(parseJson(nested(MAX_DEPTH + 1)))) instanceof TooDeep);
});

Deno.test("brackets and commas in strings are not measured; fields, items and the longest string are", () => {
  const text = JSON.stringify({ "[{,": ["}]\\", '"[', "\\\\"], é: {} });
  assertEquals(measureJson(text), { depth: 2, values: 6, longest: 4 });
  assertEquals(measureJson(""), { depth: 0, values: 0, longest: 0 });
  assertEquals(measureJson('"unfinished').depth, 0);
});

Deno.test("isShallowJson() never takes a deep text for a shallow one, and brackets in strings for levels at worst", () => {
  assert(isShallowJson('{"a":[1,{"b":[]}]}', 4));
  assert(!isShallowJson('{"a":[1,{"b":[]}]}', 3));
  assert(isShallowJson("", 0));
  for (const depth of [1, 2, 9, 40]) {
    assert(isShallowJson(nested(depth), depth));
    assert(!isShallowJson(nested(depth), depth - 1));
  }
  assert(!isShallowJson('{"[[[":1}', 2), "a longer look is taken at it");
});

Deno.test("a text is cut below a depth, and what is beside it stays", () => {
  const text = '{"a":[[1,"]"],{}],"b":{"c":{"d":[2]}},"e":3}';
  assertEquals(pruneJson(text, 2), '{"a":[null,null],"b":{"c":null},"e":3}');
  assertEquals(pruneJson(text, 4), text);
});

Deno.test("a deep text with an exact number is read or refused, and ends nothing", () => {
  const text = nested(MAX_DEPTH - 1).replace(/1(?=[\]}])/, "1.10");
  assertEquals(canonicalJson(parseJson(text)), text);
  assert(assertThrows(() => parseJson(nested(100_000).replace(/1(?=[\]}])/, "1.10"))) instanceof TooDeep);
});

Deno.test("parseJson() takes a field of __proto__ for one, and refuses what JSON.parse refuses, numbers in the way or not", () => {
  const text = '{"__proto__":1.10,"a":{"__proto__":[1e3]}}';
  assertEquals(JSON.stringify(parseJson(text)), text);
  for (
    const wrong of ["{1.10:2}", "[1.10 2]", "[1.1.0]", "[01.10]", '{"a":1.10', "1.10.", "-1.10-", "[1.10]x"]
  ) {
    assert(assertThrows(() => parseJson(wrong)) instanceof SyntaxError, wrong);
  }
});
