/** Real processes, killed for real. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { delay } from "@std/async/delay";
import { principalArgs, type PrincipalProcess } from "../../src/cli/processes.ts";
import { until } from "../support/until.ts";
import type { ApiObject } from "../../src/domain/resources/object.ts";
import { Authority } from "../../src/adapters/tls/pki.ts";
import { runCli, withPair } from "../support/processes.ts";
import { seeded } from "../support/random.ts";

const loose = { sanitizeOps: false, sanitizeResources: false };
const promote = (side: PrincipalProcess, ...more: string[]) =>
  runCli(["ha", "promote", "--yes", "--force", "-a", side.admin, ...more]);

Deno.test({
  name: "kill -9 of either side in every state, and a restart: the pair converges and never has two ACTIVE",
  ...loose,
  fn: () =>
    withPair(async (pair) => {
      const { primary, replica } = pair;
      replica.start();
      await replica.untilState("syncing");
      await replica.kill("SIGKILL");
      replica.start();
      await replica.untilState("syncing");
      primary.start();
      await primary.untilState("active");
      await replica.untilState("replicating");
      await pair.write(primary, 300, "one");
      await replica.kill("SIGKILL");
      replica.start();
      await replica.untilState("replicating");
      await pair.untilEqual();
      await primary.kill("SIGKILL");
      await replica.untilState("disconnected");
      await replica.kill("SIGKILL");
      replica.start();
      await replica.untilState("syncing");
      primary.start();
      await primary.untilState("active");
      await replica.untilState("replicating");
      await pair.write(primary, 300, "two");
      await pair.untilEqual();
      await primary.kill("SIGKILL");
      assertEquals((await promote(replica)).stdout, "Promoted. State is now: active\n");
      await replica.kill("SIGKILL");
      replica.start();
      await replica.untilState("active");
      primary.start();
      await primary.untilState("replicating");
      assertEquals(await pair.active(), 1);
      await pair.write(replica, 300, "three");
      await pair.untilEqual();
    }),
});

Deno.test({
  name: "both die and come back in either order: the one that was ACTIVE is ACTIVE, the other follows",
  ...loose,
  fn: () =>
    withPair(async (pair) => {
      const { primary, replica } = pair;
      await pair.start();
      await pair.write(primary, 50, "one");
      await pair.untilEqual();
      for (const order of [[primary, replica], [replica, primary]] as const) {
        await Promise.all([primary.kill("SIGKILL"), replica.kill("SIGKILL")]);
        order[0].start();
        await order[0].untilState(order[0] === primary ? "active" : "syncing");
        order[1].start();
        await primary.untilState("active");
        await replica.untilState("replicating");
        assertEquals(await pair.active(), 1);
      }
      await primary.kill("SIGKILL");
      await promote(replica);
      for (const order of [[primary, replica], [replica, primary]] as const) {
        await Promise.all([primary.kill("SIGKILL"), replica.kill("SIGKILL")]);
        for (const side of order) side.start();
        await replica.untilState("active");
        await primary.untilState("replicating");
        assertEquals(await pair.active(), 1);
      }
    }),
});

Deno.test({
  name:
    "kill -9 at random moments of snapshot, stream and promotion, by seed: stores stay whole and equal in the end",
  ...loose,
  fn: () =>
    withPair(async (pair) => {
      const random = seeded(2026);
      const { primary, replica } = pair;
      await pair.startAlone();
      await pair.write(primary, 2_000, "start");
      for (let round = 0; round < 8; round++) {
        const victim = random.chance(0.5) ? primary : replica;
        replica.start();
        const writing = pair.write(primary, 500, `round ${round}`);
        await delay(random.int(500));
        await victim.kill("SIGKILL");
        await writing;
        if (victim === primary) {
          await replica.kill("SIGKILL");
          primary.start();
          await primary.untilState("active");
        }
      }
      replica.start();
      await replica.untilState("replicating");
      await pair.untilEqual();
      const promoting = promote(replica);
      await delay(random.int(150));
      await replica.kill("SIGKILL");
      await promoting;
      replica.start();
      await delay(0);
      const settled = async () => (await primary.healthz()).state === "active" ? replica : primary;
      const follower = await settled();
      await follower.untilState("replicating");
      assertEquals(await pair.active(), 1);
    }),
});

Deno.test({
  name:
    "an ACTIVE that was paused while the other side was promoted steps down when it runs on, and keeps what only it has",
  ...loose,
  fn: () =>
    withPair(async (pair) => {
      const { primary, replica } = pair;
      await pair.start();
      await pair.write(primary, 50, "before");
      await pair.untilEqual();
      await pair.pause(primary);
      await replica.untilState("disconnected");
      const promoted = await runCli(["ha", "promote", "--yes", "--force", "-a", replica.admin]);
      assertEquals(promoted.stdout, "Promoted. State is now: active\n");
      await pair.write(primary, 3, "written while it was paused");
      primary.signal("SIGCONT");
      await primary.untilState("replicating");
      assertEquals(await pair.active(), 1);
      await pair.untilEqual();
      const { stdout } = await runCli(["ha", "reconcile", "-o", "json", "-a", primary.admin]);
      const saved: { object: ApiObject }[] = JSON.parse(stdout);
      assertEquals(
        saved.map(({ object }) => object.metadata.labels?.["tag"]),
        Array(3).fill("written while it was paused"),
      );
    }),
});

Deno.test({
  name: "SIGTERM closes streams in order and exits with 0 within 5 s, on either side",
  ...loose,
  fn: () =>
    withPair(async (pair) => {
      const { primary, replica } = pair;
      await pair.start();
      const since = Date.now();
      assertEquals(await primary.kill("SIGTERM"), 0);
      await replica.untilState("disconnected");
      assertEquals(await replica.kill("SIGTERM"), 0);
      assert(Date.now() - since < 10_000);
      assertStringIncludes(replica.logEnd(), "this principal is shutting down");
      for (const side of [primary, replica]) assertStringIncludes(side.logEnd(1), "stopped");
    }),
});

Deno.test({
  name: "mistakes at start: one clear line on stderr, exit code 2, nothing left listening",
  ...loose,
  fn: () =>
    withPair(async ({ dir, primary }) => {
      const pki = `${dir}/pki`;
      const authority = await Authority.load({
        cert: Deno.readTextFileSync(`${pki}/ca.crt`),
        key: Deno.readTextFileSync(`${pki}/ca.key`),
      }, 1);
      const day = 86_400_000;
      const old = { notBefore: new Date(Date.now() - 3 * day), notAfter: new Date(Date.now() - day) };
      const expired = await authority.issue({ commonName: "primary", sans: [], server: true, ...old });
      Deno.writeTextFileSync(`${pki}/expired.crt`, expired.cert);
      Deno.writeTextFileSync(`${pki}/expired.key`, expired.key);
      Deno.writeTextFileSync(`${dir}/notes.txt`, "not a store\n".repeat(100));
      const busy = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      const { port } = busy.addr as Deno.NetAddr;
      const cases: [string[], string][] = [
        [
          [`--tls-cert=${pki}/none.crt`],
          `--tls-cert "${pki}/none.crt" cannot be read: No such file or directory`,
        ],
        [[`--tls-key=${pki}/replica.key`], "does not belong to --tls-cert"],
        [[`--tls-cert=${pki}/primary.key`], "is not a certificate in PEM"],
        [[`--tls-cert=${pki}/expired.crt`, `--tls-key=${pki}/expired.key`], "expired at"],
        [[`--store=sqlite:${dir}/notes.txt`], "is not a store of argocd-agent-ha"],
        [[`--listen-port=${port}`], `cannot listen on 127.0.0.1:${port}`],
        [[`--ha-admin-port=${port}`], `cannot listen on 127.0.0.1:${port}`],
        [["--jwt-key=/none"], '--jwt-key "/none" cannot be read'],
        [["--ha-preferred-role=leader"], "must be one of primary, replica"],
        [["--log-format=xml"], '--log-format "xml": must be one of text, json'],
      ];
      for (const [flags, words] of cases) {
        const { code, stderr } = await runCli([
          ...principalArgs(primary.side),
          "--allowed-namespaces=*",
          ...flags,
        ]);
        assertEquals(code, 2, stderr);
        assertStringIncludes(stderr, words);
        assertEquals(stderr.trim().split("\n").length, 1, stderr);
      }
      busy.close();
      assertEquals((await primary.healthz()).code, 0);
    }),
});

Deno.test({
  name: "store apply --wait-replicated waits for the replica, and says when there is none",
  ...loose,
  fn: () =>
    withPair(async (pair) => {
      const { primary, replica, dir } = pair;
      await pair.startAlone();
      const examples = new URL("../../examples", import.meta.url).pathname;
      const apply = (wait: string) =>
        runCli([
          "store",
          "apply",
          "-f",
          examples,
          `--store=sqlite:${dir}/primary.db`,
          "--wait-replicated",
          wait,
          "-a",
          primary.admin,
        ]);
      const alone = await apply("200ms");
      assertEquals(alone.code, 1);
      assertStringIncludes(
        alone.stderr,
        "10 of 10 objects are stored, but no replica has acknowledged them within 200ms",
      );
      replica.start();
      await replica.untilState("replicating");
      const both = await apply("10s");
      assertEquals([
        both.code,
        both.stdout.includes("unchanged"),
        both.stdout.includes("10 objects replicated"),
      ], [0, true, true]);
      const got = await runCli(["store", "get", "appset", "-o", "json", `--store=sqlite:${dir}/replica.db`]);
      assertEquals(JSON.parse(got.stdout).items[0].metadata.name, "monitoring");
      const gone = await runCli([
        "store",
        "delete",
        "app",
        "shop",
        "-n",
        "edge-1",
        `--store=sqlite:${dir}/primary.db`,
      ]);
      assertEquals(gone.stdout, 'application "shop" deleted\n');
    }),
});

Deno.test({
  name:
    "an API server that does not answer at start is said once, with its address, and the process is alive meanwhile",
  ...loose,
  fn: () =>
    withPair(async ({ primary, dir }) => {
      const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      let tried = 0;
      const refusing = (async () => {
        for await (const connection of listener) {
          tried++;
          connection.close();
        }
      })();
      const server = `https://127.0.0.1:${(listener.addr as Deno.NetAddr).port}`;
      const kubeconfig = {
        apiVersion: "v1",
        kind: "Config",
        "current-context": "c",
        contexts: [{ name: "c", context: { cluster: "c", user: "u" } }],
        clusters: [{ name: "c", cluster: { server } }],
        users: [{ name: "u", user: { token: "t" } }],
      };
      Deno.writeTextFileSync(`${dir}/kubeconfig`, JSON.stringify(kubeconfig));
      primary.start(["--store=kubernetes", `--kubeconfig=${dir}/kubeconfig`, "--insecure-jwt-generate"]);
      await until(() => tried >= 6, 20_000, () => `tried ${tried} times\n${primary.logEnd()}`);
      assertEquals((await primary.healthz("/livez")).code, 200);
      const ready = await primary.healthz("/readyz");
      assertEquals(ready.code, 503);
      assertStringIncludes(ready.body, `no answer from the API server at ${server}`);
      assertEquals(primary.logEnd(50).split("\n").length, 1, primary.logEnd(50));
      listener.close();
      await refusing;
    }),
});
