import { assertEquals } from "@std/assert";
import type { CertificateNames } from "../agents/identity.ts";
import { parseMtlsRule } from "../agents/identity.ts";
import { Refusal } from "../ha/refusal.ts";
import { admit, type ReplicationPolicy } from "./admission.ts";

const POLICY: ReplicationPolicy = {
  haEnabled: true,
  rule: parseMtlsRule("CN=([^,]+)"),
  allowed: new Set(["primary"]),
  allowAny: false,
};
const named = (cn: string): CertificateNames => ({ subject: [["CN", cn]], uris: [], fingerprint: "F" });

function outcome(certificate: CertificateNames | undefined, policy: Partial<ReplicationPolicy> = {}): string {
  try {
    return admit(certificate, { ...POLICY, ...policy });
  } catch (error) {
    return (error as Refusal).kind;
  }
}

Deno.test("admit() lets in who is named, and says by its kind why others are not", () => {
  assertEquals(outcome(named("primary")), "primary");
  assertEquals(outcome(named("agent-1")), "forbidden");
  assertEquals(outcome(named("agent-1"), { allowAny: true }), "agent-1");
  assertEquals(outcome(undefined, { allowAny: true }), "unauthenticated");
  assertEquals(outcome(named("primary"), { rule: undefined }), "unauthenticated");
  assertEquals(outcome(named("primary"), { haEnabled: false }), "disabled");
});
