/** How a reflector ends; what it keeps is tested against a real API server. */
import { deadline } from "@std/async/deadline";
import { onAbort } from "../../base/abort.ts";
import type { DynamicClient, Page, WatchEvent } from "./dynamic_client.ts";
import { Reflector } from "./reflector.ts";

const RESOURCE = { apiVersion: "v1", kind: "Secret", plural: "secrets", statusSubresource: false };
const WATCHED = { apiVersion: "v1", kind: "Secret", namespace: "argocd", labelSelector: "" };
const EMPTY: Page = { items: [], resourceVersion: "1", next: "" };
const STORE = { put: () => {}, remove: () => {}, versions: () => [] };

/** An API server whose every watch fails at once, until a listing is asked for that is not answered before `answer`. */
function apiServer(): { client: DynamicClient; asked: Promise<void>; answer: () => void } {
  const [asked, answer] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  async function* watch(...[, , , , signal]: Parameters<DynamicClient["watch"]>): AsyncGenerator<WatchEvent> {
    await answered(signal);
    yield* [];
  }
  let again = false;
  const answered = (signal: AbortSignal) => {
    if (!again) throw new Error("connection refused");
    return new Promise<void>((resolve) => onAbort(signal, () => resolve()));
  };
  const client = {
    discovery: { resource: () => Promise.resolve(RESOURCE) },
    pages: async function* () {
      yield await Promise.resolve(EMPTY);
    },
    list: async () => {
      again = true;
      asked.resolve();
      await answer.promise;
      return EMPTY;
    },
    watch,
    renew: () => {},
  } as unknown as DynamicClient;
  return { client, asked: asked.promise, answer: answer.resolve };
}

Deno.test("a reflector that is ended while its API server has yet to answer opens no watch when the answer comes", async () => {
  const ending = new AbortController();
  const { client, asked, answer } = apiServer();
  const ended = new Reflector(WATCHED, client, STORE, () => true).run(ending.signal);
  await asked;
  ending.abort();
  answer();
  await deadline(ended, 20_000);
});
