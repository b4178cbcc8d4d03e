import { assertEquals, assertStringIncludes } from "@std/assert";
import { noted } from "./concerns.ts";
import { preflight, type PreflightFacts, timeOf } from "./preflight.ts";

const DAY = 86_400_000;
const standing = (state: "active" | "replicating" | "syncing") => ({
  uid: state,
  name: "",
  version: "1",
  namespace: "argocd",
  state,
  epoch: 1,
  sinceMs: 0,
  connectedAgents: 0,
  lineage: "",
  coverage: "",
});
const well = {
  storeProblem: "",
  certificateNotAfterMs: 100 * DAY,
  certificateProblem: "",
  concerns: {},
  behind: 0,
  recordMs: 0,
  noSigningKey: false,
};
const whole = { rights: [], definitions: [], namespaces: [] };
const NOTHING = { replicas: 0, unacknowledged: undefined, heldAgoMs: undefined, equalAgoMs: undefined };
const GOOD: PreflightFacts = {
  own: standing("active"),
  condition: well,
  peerAddress: "b:8443",
  peer: standing("replicating"),
  peerError: "",
  peerCondition: well,
  skewMs: 3,
  compared: { problem: "" },
  exposure: { replicas: 1, unacknowledged: 3, heldAgoMs: 5, equalAgoMs: 5 },
  followed: true,
  peerCheckTimeoutMs: 3_000,
  nowMs: 0,
};

Deno.test("preflight() finds what would make a failover fail, and says what to do", () => {
  const failed = (change: Partial<PreflightFacts>) =>
    preflight({ ...GOOD, ...change }).filter(({ ok }) => !ok).map(({ name, fix }) => {
      if (fix === "") throw new Error(`${name} says nothing to do`);
      return name;
    });
  const cases: [Partial<PreflightFacts>, string[]][] = [
    [{}, []],
    [{ own: standing("replicating"), peer: standing("active") }, []],
    [{ followed: false }, ["roles"]],
    [{ compared: { problem: "no answer" } }, ["digests"]],
    [{ exposure: { ...NOTHING, unacknowledged: 0 } }, ["exposure"]],
    [{ exposure: { ...NOTHING, replicas: 1 } }, ["exposure"]],
    [{ peer: standing("active") }, ["roles"]],
    [{ peer: standing("syncing") }, ["roles"]],
    [{ peer: undefined, peerCondition: undefined, peerError: "refused" }, ["peer", "roles"]],
    [{ peerAddress: "", peer: undefined, peerCondition: undefined }, ["peer", "roles"]],
    [{ peer: undefined, peerCondition: undefined }, ["peer", "roles", "proof"]],
    [{ peer: { ...standing("replicating"), version: "2" } }, ["version"]],
    [{ skewMs: -6_000 }, ["clocks"]],
    [{ condition: { ...well, storeProblem: "away" } }, ["store here"]],
    [{ peerCondition: { ...well, certificateNotAfterMs: 3 * DAY } }, ["certificate peer"]],
    [{ condition: { ...well, certificateProblem: "for servers only" } }, ["certificate here"]],
    [{ peerCondition: { ...well, concerns: { held: noted(["a: refused"], 2) } } }, ["held peer"]],
    [{ condition: { ...well, concerns: { losses: noted(["a"]) } } }, []],
    [{ condition: { ...well, concerns: { differing: noted(["a"]) } } }, ["digests"]],
    [{ peerCondition: { ...well, concerns: { ui: noted(["Redis: away"]) } } }, []],
    [{ condition: { ...well, noSigningKey: true } }, ["signing key here"]],
    [{ condition: { ...well, missing: whole } }, []],
    [{ peerCondition: { ...well, missing: { ...whole, rights: ["patch secrets"] } } }, ["rights peer"]],
    [{ condition: { ...well, missing: { ...whole, definitions: ["AppProject"] } } }, ["definitions here"]],
    [{ peerCondition: { ...well, missing: { ...whole, namespaces: ["edge-1"] } } }, ["namespaces peer"]],
    [{ peerCondition: { ...well, examinationError: "no answer" } }, ["rights peer"]],
  ];
  for (const [change, names] of cases) assertEquals(failed(change), names, JSON.stringify(change));
});

Deno.test("timeOf() speaks of the side that would be promoted", () => {
  const here = {
    ...GOOD,
    condition: { ...well, recordMs: 5 },
    peerCondition: { ...well, recordMs: 1_234.5 },
  };
  assertStringIncludes(timeOf(here), "about 1,235 ms");
  assertStringIncludes(timeOf({ ...here, own: standing("replicating") }), "about 5 ms");
  assertStringIncludes(timeOf(GOOD), "one durable write, and up to 3,000 ms more");
});
