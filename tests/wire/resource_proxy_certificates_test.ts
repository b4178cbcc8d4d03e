/** The certificates of the resource proxy and of its callers: missing, new, revoked. */
import { X509Certificate } from "node:crypto";
import { connect } from "node:tls";
import { assert, assertEquals } from "@std/assert";
import { askProxy } from "../../src/simagents/proxy_client.ts";
import { certificateFor, startAgent, untilServed } from "../support/agents.ts";
import { inWorkshop, LOOSE, until, untilState } from "../support/principals.ts";
import { proxyFlags, served, WEB } from "../support/proxy.ts";

const BOUND_MS = 30_000;

Deno.test(
  "the proxy waits for its Secrets, and heeds the blocklist",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { dir } = workshop;
      const settings = workshop.settings("primary", 0, ["--insecure-jwt-generate", ...proxyFlags(workshop)]);
      assert(settings.resourceProxy);
      const files = settings.resourceProxy.tls;
      const resourceProxy = { ...settings.resourceProxy, tls: { cert: "", key: "", ca: files.ca } };
      const running = await workshop.start({ ...settings, resourceProxy });
      await untilState(running, "active");
      assertEquals(running.ports.resourceProxy, 0);
      assert(
        workshop.logs.some((line) =>
          line.includes("argocd-agent-resource-proxy-tls (tls.crt) does not exist")
        ),
      );
      const { store } = running.core;
      const secret = async (name: string) => {
        const read = (file: string) => btoa(Deno.readTextFileSync(`${dir}/pki/${file}`));
        const metadata = { name: "argocd-agent-resource-proxy-tls", namespace: "argocd" };
        const data = { "tls.crt": read(`${name}.crt`), "tls.key": read(`${name}.key`) };
        await store.write({ op: "put", object: { apiVersion: "v1", kind: "Secret", metadata, data } });
      };
      await secret("primary");
      const listens = /the resource proxy listens {"port":(\d+)\D/;
      const port = () => Number(workshop.logs.map((line) => listens.exec(line)?.[1]).find(Boolean) ?? 0);
      await until(() => port() > 0, 60_000, () => "it does not listen", 5);
      const agent = await startAgent(workshop, running, { name: "edge-1" });
      await untilServed(running, agent);
      const tls = await certificateFor(`${dir}/pki`, "edge-1");
      assertEquals((await askProxy(port(), tls, "/api/v1")).status, 200);
      const fingerprint = new X509Certificate(tls.cert).fingerprint256.replaceAll(":", "");
      const blocklist = { name: "argocd-agent-tls-blocklist", namespace: "argocd" };
      const list = { apiVersion: "v1", kind: "ConfigMap", metadata: blocklist, data: { [fingerprint]: "" } };
      await store.write({ op: "put", object: list });
      const isRefused = () =>
        askProxy(port(), tls, "/api/v1").then(({ status }) => status === 401, () => true);
      await until(isRefused, BOUND_MS, () => "the certificate still counts", 20);
      const other = await certificateFor(`${dir}/pki`, "edge-2");
      assertEquals((await askProxy(port(), other, "/api/v1")).status, 502, "others still count");
    }),
);

Deno.test(
  "another certificate is served as soon as its files have changed",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { running, ask } = await served(workshop);
      const serial = () =>
        new Promise<string>((resolve, reject) => {
          const socket = connect({
            host: "127.0.0.1",
            port: running.ports.resourceProxy,
            rejectUnauthorized: false,
          });
          socket.once("secureConnect", () => {
            resolve(socket.getPeerCertificate().serialNumber);
            socket.destroy();
          }).once("error", reject);
        });
      const before = await serial();
      const copy = (part: string) =>
        Deno.copyFileSync(`${workshop.dir}/pki/replica.${part}`, `${workshop.dir}/pki/primary.${part}`);
      copy("crt");
      copy("key");
      await until(
        async () => await serial() !== before,
        BOUND_MS,
        () => "the certificate is the old one",
        50,
      );
      assertEquals((await ask(WEB)).status, 200);
    }),
);
