/** `--client-cert-subject-match`: a token is of use only over a connection whose certificate has its name. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import bcrypt from "bcryptjs";
import grpc from "@grpc/grpc-js";
import { call, dialPeer } from "../../src/adapters/grpc/dial.ts";
import { authenticationService, eventStreamService } from "../../src/adapters/grpc/services.ts";
import { codeOf } from "../../src/adapters/grpc/status.ts";
import type { TlsMaterial } from "../../src/adapters/tls/files.ts";
import { parseSettings } from "../../src/config/settings.ts";
import type { Running } from "../../src/serve.ts";
import { certificateFor } from "../support/doors.ts";
import { inWorkshop, LOOSE, untilState, type Workshop } from "../support/principals.ts";

/** A principal without HA, whose agents have passwords. */
async function byPassword(workshop: Workshop, flags: string[]): Promise<Running> {
  const file = `${workshop.dir}/users`;
  Deno.writeTextFileSync(file, `alice:${bcrypt.hashSync("secret", 4)}\n`);
  const { settings } = parseSettings([
    "--namespace=argocd",
    "--allowed-namespaces=*",
    `--auth=userpass:${file}`,
    `--store=sqlite:${workshop.dir}/p.db`,
    "--listen-host=127.0.0.1",
    `--tls-cert=${workshop.dir}/pki/primary.crt`,
    `--tls-key=${workshop.dir}/pki/primary.key`,
    `--root-ca-path=${workshop.dir}/pki/ca.crt`,
    "--insecure-jwt-generate",
    ...flags,
  ], () => undefined);
  const running = await workshop.start({ ...settings, listenPort: 0, metricsPort: 0, healthzPort: 0 });
  await untilState(running, "active");
  return running;
}

const REQUEST = {
  method: "userpass",
  credentials: { clientid: "alice", clientsecret: "secret" },
  mode: "managed",
  version: "1.0.0",
};

/** The codes of a call with the token, of a refresh and of a Subscribe; 0: it is answered. */
async function codes({ ports }: Running, tls: TlsMaterial): Promise<number[]> {
  const client = dialPeer(`127.0.0.1:${ports.grpc}`, tls, 1 << 20);
  try {
    const answer = await call(client, authenticationService.Authenticate, REQUEST, 5_000);
    const metadata = new grpc.Metadata();
    metadata.set("authorization", answer.accessToken ?? "");
    const refreshToken = answer.refreshToken ?? "";
    const { Push, Subscribe } = eventStreamService;
    const pushed = new Promise((resolve, reject) =>
      client.makeClientStreamRequest(
        Push.path,
        Push.requestSerialize,
        Push.responseDeserialize,
        metadata,
        (error, summary) => error ? reject(error) : resolve(summary),
      ).end()
    );
    const stream = client.makeBidiStreamRequest(
      Subscribe.path,
      Subscribe.requestSerialize,
      Subscribe.responseDeserialize,
      metadata,
    );
    const subscribed = new Promise((resolve, reject) => {
      stream.on("error", reject);
      stream.on("data", resolve);
      setTimeout(resolve, 2_000);
    });
    const codes = await Promise.all([
      call(client, eventStreamService.Ping, {}, 5_000, metadata),
      call(client, authenticationService.RefreshToken, { refreshToken }, 5_000),
      pushed,
      subscribed,
    ].map((answer) => answer.then(() => 0, (error) => codeOf(error) ?? -1)));
    stream.on("error", () => {});
    stream.cancel();
    return codes;
  } finally {
    client.close();
  }
}

const MATCH = "--client-cert-subject-match";
const DENIED = grpc.status.UNAUTHENTICATED;

Deno.test({
  name:
    "with userpass, alice's token is refused with mallory's certificate on every call, and taken with her own",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const running = await byPassword(workshop, [MATCH, "--require-client-certs"]);
      const mallory = await certificateFor(workshop, "mallory");
      assertEquals(await codes(running, mallory), [DENIED, DENIED, DENIED, DENIED]);
      assertEquals(await codes(running, await certificateFor(workshop, "alice")), [0, 0, 0, 0]);
    }),
});

Deno.test({
  name: "without the flag a password is enough, as in the Go principal",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const running = await byPassword(workshop, ["--require-client-certs"]);
      assertEquals(await codes(running, await certificateFor(workshop, "mallory")), [0, 0, 0, 0]);
    }),
});

Deno.test("where it can have no effect, as with a header behind a proxy, the flag says so at the start", () => {
  const plain = ["-n=argocd", "--store=sqlite:x.db", "--insecure-plaintext", MATCH];
  const tls = ["--tls-cert=c", "--tls-key=k", "--root-ca-path=r"];
  const cases = [
    [...plain, "--auth=header:x-agent:^(.*)$"],
    [...plain, "--auth=userpass:users"],
    ["-n=argocd", "--store=sqlite:x.db", ...tls, MATCH, "--auth=userpass:users"],
  ];
  for (const args of cases) {
    const { settings, warnings } = parseSettings(args, () => undefined);
    assertEquals(settings.subjectMatch, false);
    assertStringIncludes(warnings.join("\n"), "--client-cert-subject-match has no effect");
  }
  const mtls = parseSettings(
    ["-n=argocd", "--store=sqlite:x.db", ...tls, MATCH, "--auth=mtls:CN=(.*)"],
    () => undefined,
  );
  assertEquals(mtls.settings.subjectMatch, true);
  assertStringIncludes(mtls.warnings.join("\n"), "is not anchored");
});
