/** Hostile URLs of callers and answers of agents, from seeds: each is refused or passed on, none throws, no path says one thing here and another there. */
import { assert, assertEquals } from "@std/assert";
import { answerOf, coreVersions, namedGroups } from "../../src/domain/proxy/answer.ts";
import { parseTarget } from "../../src/domain/proxy/path.ts";
import { payloadOf, refusal } from "../../src/domain/proxy/request.ts";
import { seeded } from "../support/random.ts";

const SEED = 20_261_125;
const URLS = 20_000;
const ANSWERS = 5_000;
const PIECES = [
  ..."/ // /. /.. /api /apis /v1 /apps /namespaces /pods /log /%2e%2e /%2F /%00 /%zz /ä /constructor /__proto__"
    .split(" "),
  ..."? & = %26 a=b watch=true __proto__=x # \\ \r\n".split(" "),
];

Deno.test("parseTarget(): what is taken of any URL is taken apart once, and has no part that means another place", () => {
  const random = seeded(SEED);
  let taken = 0;
  for (let n = 0; n < URLS; n++) {
    const start = random.chance(0.7) ? random.pick(["/api/v1", "/apis/apps/v1", "/apis"]) : "";
    const url = start + Array.from({ length: random.int(8) }, () => random.pick(PIECES)).join("");
    const target = parseTarget(url);
    if (!target) continue;
    taken++;
    for (const [name, part] of Object.entries(target.parts)) {
      assert(!/[/\\\0]/.test(part) && ![".", ".."].includes(part), `${name} of ${url} is "${part}"`);
    }
    for (const method of ["GET", "PATCH", "POST", "DELETE"] as const) {
      const request = { method, target, contentType: "application/json" };
      const refused = refusal("edge-1", request);
      assert(refused === undefined || refused.status >= 400, url);
      const payload = JSON.parse(payloadOf("u", request, new Uint8Array())) as Record<string, unknown>;
      const { group, version, resource, name } = target.parts;
      assertEquals([payload["group"], payload["version"], payload["resource"], payload["name"]], [
        group,
        version,
        resource,
        name,
      ]);
    }
  }
  assert(taken > URLS / 100, `only ${taken} URLs are paths`);
});

Deno.test("answerOf(): any bytes of an agent make an answer over HTTP", () => {
  const random = seeded(SEED);
  const target = parseTarget("/apis");
  assert(target);
  const request = { method: "GET" as const, target, contentType: "" };
  const values = () => random.pick(["u", 200, 404, 99, 1e400, null, true, [], {}, "\u0000", [{ groups: 1 }]]);
  for (let n = 0; n < ANSWERS; n++) {
    const fields = ["uuid", "status", "resource"].filter(() => random.chance(0.8));
    const groups = JSON.stringify({ groups: random.pick([[], [null], [{ name: "", versions: [7] }], "x"]) });
    const shaped = { uuid: "u", status: 200, resource: groups };
    const answer = random.chance(0.3) ? shaped : Object.fromEntries(fields.map((field) => [field, values()]));
    const payload = random.chance(0.3) ? random.bytes(50) : new TextEncoder().encode(JSON.stringify(answer));
    const own = answerOf("edge-1", request, "u", { payload });
    for (const { status, body } of [own, coreVersions(own), namedGroups(own)]) {
      assert(Number.isInteger(status) && status >= 200 && status <= 599, String(status));
      assertEquals(typeof body, "string");
    }
  }
});
