/** The tokens of agents: a port, for how they are signed is an adapter's. */
import type { Mode } from "../../domain/resources/roster.ts";

/** The agent that a token is about. */
export interface Subject {
  clientID: string;
  mode: Mode;
  /** A tag of the password that it proved itself with; empty: of nothing that can be changed by itself. */
  credential: string;
}

/** Issues and checks tokens. */
export interface Tokens {
  /** A token for an agent's calls, of a few minutes. */
  access(subject: Subject): Promise<string>;
  /** A token to get the next ones with, of a day. */
  refresh(subject: Subject): Promise<string>;
  /** A token without end, with which Argo CD reaches an agent's cluster through the resource proxy. */
  resourceProxy(agent: string): Promise<string>;
  /** The subject of a valid access token, signed by the present key or not long ago by the one before. @throws any error */
  verifyAccess(token: string): Promise<Subject>;
  /** The subject of a valid refresh token and its remaining life in seconds. @throws any error */
  verifyRefresh(token: string): Promise<{ subject: Subject; leftS: number }>;
  /** The agent of a valid resource-proxy token. @throws any error */
  verifyResourceProxy(token: string): Promise<string>;
}
