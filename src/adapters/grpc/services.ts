/** The services as grpc-js wants them, built from the generated codecs. */
import { Buffer } from "node:buffer";
import type grpc from "@grpc/grpc-js";
import type { Codec } from "../../../proto/gen.d.ts";
// @ts-types="../../../proto/gen.d.ts"
import {
  argocdagentha,
  authapi,
  eventstreamapi,
  haadminapi,
  principal,
  replicationapi,
  terminalstreamapi,
  versionapi,
} from "../../../proto/gen.js";

/** Method names to definitions. */
export type Methods = Record<string, grpc.MethodDefinition<unknown, unknown>>;

const UNARY = { client: false, server: false };
const SERVER = { client: false, server: true };
const BIDI = { client: true, server: true };
const CLIENT = { client: true, server: false };

function method<Q, S>(
  path: string,
  request: Codec<Q>,
  response: Codec<S>,
  streams: { client: boolean; server: boolean },
): grpc.MethodDefinition<Q, S> {
  return {
    path,
    requestStream: streams.client,
    responseStream: streams.server,
    requestSerialize: (message) => Buffer.from(request.encode(message).finish()),
    requestDeserialize: (bytes) => request.decode(bytes),
    responseSerialize: (message) => Buffer.from(response.encode(message).finish()),
    responseDeserialize: (bytes) => response.decode(bytes),
  };
}

const ha = argocdagentha.v1;

export const replicationService = {
  Subscribe: method(
    "/replicationapi.Replication/Subscribe",
    replicationapi.ReplicationAck,
    replicationapi.ReplicatedEvent,
    BIDI,
  ),
  GetSnapshot: method(
    "/replicationapi.Replication/GetSnapshot",
    replicationapi.SnapshotRequest,
    replicationapi.ReplicationSnapshot,
    UNARY,
  ),
  Status: method(
    "/replicationapi.Replication/Status",
    replicationapi.StatusRequest,
    replicationapi.ReplicationStatus,
    UNARY,
  ),
  ConfirmMissingResources: method(
    "/replicationapi.Replication/ConfirmMissingResources",
    replicationapi.ConfirmMissingResourcesRequest,
    replicationapi.ConfirmMissingResourcesResponse,
    UNARY,
  ),
};

export const linkService = {
  Follow: method("/argocdagentha.v1.Link/Follow", ha.FollowerMessage, ha.LeaderMessage, BIDI),
  Forward: method("/argocdagentha.v1.Link/Forward", ha.ForwardedRequest, ha.ForwardedReply, BIDI),
  Log: method("/argocdagentha.v1.Link/Log", ha.LogRequest, ha.LogPart, SERVER),
  Terminal: method("/argocdagentha.v1.Link/Terminal", ha.TerminalInput, ha.TerminalPart, BIDI),
  Ask: method("/argocdagentha.v1.Link/Ask", ha.AskRequest, ha.AskResponse, UNARY),
  Inventory: method(
    "/argocdagentha.v1.Link/Inventory",
    ha.InventoryRequest,
    ha.InventoryResponse,
    UNARY,
  ),
  Fetch: method("/argocdagentha.v1.Link/Fetch", ha.FetchRequest, ha.FetchResponse, UNARY),
  Repair: method("/argocdagentha.v1.Link/Repair", ha.RepairRequest, ha.RepairResponse, UNARY),
  Prove: method("/argocdagentha.v1.Link/Prove", ha.ProveRequest, ha.ProveResponse, UNARY),
  Prepare: method("/argocdagentha.v1.Link/Prepare", ha.PrepareRequest, ha.PrepareResponse, UNARY),
  TakeOver: method("/argocdagentha.v1.Link/TakeOver", ha.TakeOverRequest, ha.TakeOverResponse, UNARY),
  Switchover: method(
    "/argocdagentha.v1.Link/Switchover",
    ha.SwitchoverRequest,
    ha.SwitchoverProgress,
    SERVER,
  ),
  Kept: method("/argocdagentha.v1.Link/Kept", ha.KeptRequest, ha.KeptResponse, UNARY),
  Settled: method("/argocdagentha.v1.Link/Settled", ha.SettledRequest, ha.SettledResponse, UNARY),
  Adopt: method("/argocdagentha.v1.Link/Adopt", ha.AdoptRequest, ha.AdoptResponse, UNARY),
};

export const operatorService = {
  Watch: method("/argocdagentha.v1.Operator/Watch", ha.WatchRequest, ha.Report, SERVER),
  WaitReplicated: method(
    "/argocdagentha.v1.Operator/WaitReplicated",
    ha.WaitReplicatedRequest,
    ha.WaitReplicatedResponse,
    UNARY,
  ),
  Explain: method("/argocdagentha.v1.Operator/Explain", ha.ExplainRequest, ha.Explanation, UNARY),
  Diff: method("/argocdagentha.v1.Operator/Diff", ha.DiffRequest, ha.DiffResponse, UNARY),
  Drill: method("/argocdagentha.v1.Operator/Drill", ha.DrillRequest, ha.DrillResponse, UNARY),
  Repair: method("/argocdagentha.v1.Operator/Repair", ha.RepairRequest, ha.RepairResponse, UNARY),
  Preflight: method(
    "/argocdagentha.v1.Operator/Preflight",
    ha.PreflightRequest,
    ha.PreflightResponse,
    UNARY,
  ),
  Losses: method("/argocdagentha.v1.Operator/Losses", ha.LossesRequest, ha.LossesResponse, UNARY),
  Reconcile: method(
    "/argocdagentha.v1.Operator/Reconcile",
    ha.ReconcileRequest,
    ha.ReconcileResponse,
    UNARY,
  ),
  ForgetAgent: method(
    "/argocdagentha.v1.Operator/ForgetAgent",
    ha.ForgetAgentRequest,
    ha.ForgetAgentResponse,
    UNARY,
  ),
  Deletions: method(
    "/argocdagentha.v1.Operator/Deletions",
    ha.DeletionsRequest,
    ha.DeletionsResponse,
    UNARY,
  ),
  DecideDeletions: method(
    "/argocdagentha.v1.Operator/DecideDeletions",
    ha.DecideDeletionsRequest,
    ha.DecideDeletionsResponse,
    UNARY,
  ),
  History: method("/argocdagentha.v1.Operator/History", ha.HistoryRequest, ha.HistoryResponse, UNARY),
  Switchover: method(
    "/argocdagentha.v1.Operator/Switchover",
    ha.SwitchoverRequest,
    ha.SwitchoverProgress,
    SERVER,
  ),
};

export const adminService = {
  Status: method("/haadminapi.HAAdmin/Status", haadminapi.StatusRequest, haadminapi.HAStatusResponse, UNARY),
  Promote: method(
    "/haadminapi.HAAdmin/Promote",
    haadminapi.PromoteRequest,
    haadminapi.PromoteResponse,
    UNARY,
  ),
  Demote: method("/haadminapi.HAAdmin/Demote", haadminapi.DemoteRequest, haadminapi.DemoteResponse, UNARY),
};

export const versionService = {
  Version: method(
    "/versionapi.Version/Version",
    versionapi.VersionRequest,
    versionapi.VersionResponse,
    UNARY,
  ),
};

export const authenticationService = {
  Authenticate: method(
    "/authapi.Authentication/Authenticate",
    authapi.AuthRequest,
    authapi.AuthResponse,
    UNARY,
  ),
  RefreshToken: method(
    "/authapi.Authentication/RefreshToken",
    authapi.RefreshTokenRequest,
    authapi.AuthResponse,
    UNARY,
  ),
};

/** A malformed message becomes an event without content: grpc-js would end the stream with a code that Go agents do not survive. */
const tolerant: Codec<eventstreamapi.Event> = {
  ...eventstreamapi.Event,
  encode: (message) => eventstreamapi.Event.encode(message),
  decode(bytes) {
    try {
      return eventstreamapi.Event.decode(bytes);
    } catch {
      return {};
    }
  },
};

export const eventStreamService = {
  Subscribe: method("/eventstreamapi.EventStream/Subscribe", tolerant, eventstreamapi.Event, BIDI),
  Push: method("/eventstreamapi.EventStream/Push", eventstreamapi.Event, eventstreamapi.PushSummary, CLIENT),
  Ping: method(
    "/eventstreamapi.EventStream/Ping",
    eventstreamapi.PingRequest,
    eventstreamapi.PongReply,
    UNARY,
  ),
};

const { LogStreamData, LogStreamResponse } = principal.apis.logstreamapi;

export const logStreamService = {
  StreamLogs: method(
    "/principal.apis.logstreamapi.LogStreamService/StreamLogs",
    LogStreamData,
    LogStreamResponse,
    CLIENT,
  ),
};

const { TerminalStreamData } = terminalstreamapi;

export const terminalStreamService = {
  StreamTerminal: method(
    "/terminalstreamapi.TerminalStreamService/StreamTerminal",
    TerminalStreamData,
    TerminalStreamData,
    BIDI,
  ),
};
