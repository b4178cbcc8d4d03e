/** `argocdagentha.v1.Link`, for the peer: each call authorised, decoded, passed to the `PeerService`, and its answer encoded. */
import type grpc from "@grpc/grpc-js";
import type { argocdagentha } from "../../../proto/gen.d.ts";
import type { PeerService } from "../../principal/ports/peer.ts";
import { type AuthenticatedCall, certificateOf } from "./auth.ts";
import { followerMessageFromWire, leaderMessageToWire } from "./follow_wire.ts";
import { forwardedReplyToWire, forwardedRequestFromWire } from "./forward_wire.ts";
import { Refusal } from "../../domain/ha/refusal.ts";
import { keptToWire } from "./kept_wire.ts";
import { receiptToWire } from "./receipt.ts";
import { rightFor } from "./rights.ts";
import { type LogCall, serveLog } from "./log_link.ts";
import { failStream, refuseStream, serveStream, unary } from "./server.ts";
import { linkService } from "./services.ts";
import { serveTerminal, type TerminalLinkCall } from "./terminal_link.ts";
import {
  conditionFromWire,
  conditionToWire,
  digestFromWire,
  digestToWire,
  standingFromWire,
} from "./wire.ts";

type V1 = typeof argocdagentha.v1;
type Message<Name extends keyof V1> = V1[Name] extends { decode(bytes: Uint8Array): infer M } ? M : never;
type FollowCall = grpc.ServerDuplexStream<Message<"FollowerMessage">, Message<"LeaderMessage">>;
type ForwardCall = grpc.ServerDuplexStream<Message<"ForwardedRequest">, Message<"ForwardedReply">>;
type SwitchoverCall = grpc.ServerWritableStream<Message<"SwitchoverRequest">, Message<"SwitchoverProgress">>;

const MAX_WHO = 200;
const encoder = new TextEncoder();

/** Calls with one answer. */
function calls(service: PeerService): grpc.UntypedServiceImplementation {
  const authorised = <Q, S>(
    { path }: grpc.MethodDefinition<Q, S>,
    answer: (request: Q, identity: string) => Promise<S> | S,
  ) =>
    unary<Q, S>((request, call) => answer(request, service.authorize(certificateOf(call), rightFor(path))));
  return {
    Ask: authorised(linkService.Ask, async (request, identity) => {
      const { standing, condition, examine = false } = request;
      const asked = await service.ask({
        standing: standingFromWire(standing),
        condition: condition ? conditionFromWire(condition) : undefined,
        examine,
      }, identity);
      return {
        standing: asked.standing,
        condition: asked.condition && conditionToWire(asked.condition, asked.nowMs ?? 0),
        ...(asked.seen ? { seen: asked.seen } : {}),
      };
    }),
    Inventory: authorised(linkService.Inventory, ({ groups = [] }) => {
      const held = service.inventory(groups);
      return {
        standing: held.standing,
        groups: held.groups.map((group) => ({ ...group, digest: digestToWire(group.digest) })),
        entries: held.entries.map(({ key, digest }) => ({ key, digest: digestToWire(digest) })),
      };
    }),
    Fetch: authorised(linkService.Fetch, ({ keys = [], salt }) => ({
      entries: service.fetch(keys, salt?.length ? salt : undefined).map(({ key, digest, object }) => ({
        key,
        digest: digestToWire(digest),
        ...(object ? { object: encoder.encode(JSON.stringify(object)) } : {}),
      })),
    })),
    Repair: authorised(
      linkService.Repair,
      ({ keys = [], timeoutMs = 0, who }, identity) =>
        service.repair({ keys, timeoutMs, who: at(who, identity) }),
    ),
    Prove: authorised(
      linkService.Prove,
      async ({ digest }) => ({ digest: digestToWire(await service.prove(digestFromWire(digest))) }),
    ),
    Prepare: authorised(linkService.Prepare, async ({ standing, who }) => ({
      promisedEpoch: await service.prepare({ standing: standingFromWire(standing), who: bounded(who) }),
    })),
    TakeOver: authorised(linkService.TakeOver, async ({ standing, epoch = 0 }) => ({
      standing: await service.takeOver({ standing: standingFromWire(standing), epoch }),
    })),
    Kept: authorised(linkService.Kept, async ({ keys = [] }) => ({
      states: (await service.kept(keys)).map(keptToWire),
    })),
    Settled: authorised(linkService.Settled, async ({ states = [], who }, identity) => {
      const settled = states.map(({ key = "", digest }) => ({ key, digest: digestFromWire(digest) }));
      await service.settled(settled, at(who, identity));
      return {};
    }),
    Adopt: authorised(linkService.Adopt, () => {
      throw new Refusal(
        "no peer writes into this principal: adoption is an operator's act at the ACTIVE. Update the other side, then run here: " +
          "argocd-agent-ha ha reconcile --adopt KEY",
      );
    }),
  };
}

/** The whole service. */
export function linkHandlers(service: PeerService): grpc.UntypedServiceImplementation {
  return {
    ...calls(service),
    Follow: (call: FollowCall) => {
      serveAuthorised(service, call, linkService.Follow, (identity) => {
        const codec = { decode: followerMessageFromWire, encode: leaderMessageToWire };
        serveStream(call, codec, (stream) => service.follow(identity, stream));
      }, refuseStream);
    },
    Forward: (call: ForwardCall) => {
      serveAuthorised(service, call, linkService.Forward, () => {
        const codec = { decode: forwardedRequestFromWire, encode: forwardedReplyToWire };
        serveStream(call, codec, (stream) => service.forward(stream));
      }, refuseStream);
    },
    Log: (call: LogCall) => {
      serveAuthorised(service, call, linkService.Log, () => void serveLog(call, service), failStream);
    },
    Terminal: (call: TerminalLinkCall) => {
      serveAuthorised(
        service,
        call,
        linkService.Terminal,
        () => void serveTerminal(call, service),
        refuseStream,
      );
    },
    Switchover: (call: SwitchoverCall) => {
      serveAuthorised(service, call, linkService.Switchover, () => {
        serveSwitchover(call, service, bounded(call.request.who) || "admin listener");
      }, failStream);
    },
  };
}

/** @param refuse how a call that is not served ends */
function serveAuthorised<C>(
  service: PeerService,
  call: C,
  { path }: { path: string },
  serve: (identity: string) => void,
  refuse: (call: C, error: unknown) => void,
): void {
  try {
    serve(service.authorize(certificateOf(call as AuthenticatedCall), rightFor(path)));
  } catch (error) {
    refuse(call, error);
  }
}

/** A switchover is not stopped by a stream that breaks: then only its receipt is not sent. */
export function serveSwitchover(
  call: SwitchoverCall,
  service: Pick<PeerService, "switchover">,
  who: string,
): void {
  let open = true;
  call.on("cancelled", () => open = false);
  const { dryRun = false, timeoutMs = 0 } = call.request;
  service.switchover({ who, dryRun, timeoutMs }, (progress) => open && call.write(progress))
    .then(
      (receipt) => {
        if (!open) return;
        call.write({ phase: "done", text: "", receipt: receiptToWire(receipt) });
        call.end();
      },
      (error) => open && failStream(call, error),
    );
}

function bounded(who = ""): string {
  return who.slice(0, MAX_WHO);
}

function at(who: string | undefined, identity: string): string {
  return `${bounded(who)} at ${identity}`;
}
