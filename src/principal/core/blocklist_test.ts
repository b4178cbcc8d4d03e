import { assertEquals } from "@std/assert";
import { ChangeIndex } from "../../domain/changes/index.ts";
import { configMap } from "../../domain/resources/config_map.ts";
import { Blocklist } from "./blocklist.ts";

Deno.test("Blocklist follows the index, and knows no fingerprint that is not a key of its own", () => {
  const index = new ChangeIndex("session");
  const blocklist = new Blocklist(index, "argocd");
  const put = (data: Record<string, string>, version: string) => {
    const payload = JSON.stringify(configMap("argocd", "argocd-agent-tls-blocklist", data));
    index.put(blocklist.key, { payload, digest: version.repeat(32), version, now: 0 });
  };
  const found = () => ["AA", "BB", "constructor"].map((fingerprint) => blocklist.has(fingerprint));
  assertEquals(found(), [false, false, false]);
  put({ AA: "stolen" }, "1");
  assertEquals(found(), [true, false, false]);
  put({ BB: "lost" }, "2");
  assertEquals(found(), [false, true, false]);
  index.remove(blocklist.key, "3", 0);
  assertEquals(found(), [false, false, false]);
});
