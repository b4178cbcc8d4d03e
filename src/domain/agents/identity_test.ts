import { assertEquals, assertStringIncludes } from "@std/assert";
import { type CertificateNames, dnString, identify, isAnchored, parseMtlsRule } from "./identity.ts";

const names = (subject: [string, string][], uris: string[] = []) => ({ subject, uris, fingerprint: "" });

Deno.test("dnString() orders and joins as the peer's regular expressions expect", () => {
  const cases: [[string, string][], string][] = [
    [
      [["C", "DE"], ["O", "o1"], ["OU", "u1"], ["OU", "u2"], ["CN", "agent1"], ["2.5.4.5", "77"]],
      "SERIALNUMBER=77,CN=agent1,OU=u1+OU=u2,O=o1,C=DE",
    ],
    [[["CN", 'a,b+"c"']], 'CN=a\\,b\\+\\"c\\"'],
    [[["1.2.3", "#0c"], ["CN", " x "]], "CN=\\ x\\ ,1.2.3=\\#0c"],
    [[], ""],
  ];
  for (const [subject, expected] of cases) assertEquals(dnString(subject), expected);
});

Deno.test("identify() takes the first group of the subject or of the first URI that matches", () => {
  const byCn = parseMtlsRule("CN=([^,]+)");
  assertEquals(identify(names([["CN", "agent-1"], ["O", "x"]]), byCn), { identity: "agent-1" });
  assertEquals(identify(names([["CN", "agent-1"]]), parseMtlsRule("subject:CN=([^,]+)")), {
    identity: "agent-1",
  });
  const byUri = parseMtlsRule("uri:spiffe://example/(.+)");
  assertEquals(identify(names([], ["https://x", "spiffe://example/a"]), byUri), { identity: "a" });
  const bad: [[string, string][], string][] = [
    [[["O", "x"]], "does not match --auth"],
    [[["CN", "Not A Label"]], "not a DNS-1123 label"],
    [[["CN", "a".repeat(64)]], "not a DNS-1123 label"],
    [[["CN", "../x"]], "not a DNS-1123 label"],
  ];
  for (const [subject, words] of bad) {
    const found = identify(names(subject), byCn);
    assertStringIncludes("problem" in found ? found.problem : "", words);
  }
});

Deno.test("parseMtlsRule() refuses an empty or broken expression", () => {
  for (const config of ["", "subject:", "uri:", "CN=(["]) {
    try {
      parseMtlsRule(config);
      throw new Error(`"${config}" was accepted`);
    } catch (error) {
      assertStringIncludes((error as Error).message, `invalid --auth "mtls:${config}"`);
    }
  }
});

Deno.test("identify() matches attributes as attributes: no other one's value imitates a CN", () => {
  const shipped = parseMtlsRule("^CN=([^,]+)");
  const loose = parseMtlsRule("CN=([^,]+)");
  const middle = parseMtlsRule("(?:^|,)CN=([^,]+)");
  const cases: [subject: CertificateNames["subject"], shipped: string, loose: string][] = [
    [[["CN", "edge-1"]], "edge-1", "edge-1"],
    [[["O", "x"], ["CN", "edge-1"]], "edge-1", "edge-1"],
    [[["2.5.4.5", "CN=victim"], ["CN", "edge-1"]], "", "edge-1"],
    [[["2.5.4.5", "CN=victim"]], "", ""],
    [[["O", "CN=victim"]], "", ""],
    [[["O", "x,CN=victim"]], "", ""],
    [[["OU", "a+CN=victim,"], ["O", "CN=victim"]], "", ""],
    [[["CN", "CN=victim"]], "", ""],
    [[["CN", "edge-1"], ["CN", "victim"]], "", ""],
  ];
  for (const [subject, byShipped, byLoose] of cases) {
    const got = [shipped, loose, middle].map((rule) => {
      const found = identify(names(subject), rule);
      return "identity" in found ? found.identity : "";
    });
    assertEquals(got, [byShipped, byLoose, byLoose], JSON.stringify(subject));
  }
  assertEquals([shipped, loose, middle].map(isAnchored), [true, false, true]);
});
