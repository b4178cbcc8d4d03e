/** The one translation of the API server's refusals into the store's errors. */
import { OutOfBounds } from "../../base/json.ts";
import { StoreError, type StoreErrorCode } from "../../principal/ports/store.ts";
import { ApiFailure } from "../kube/api_failure.ts";
import { KubeconfigError } from "../kube/kubeconfig.ts";

/** The store's error for an error of the Kubernetes client, `subject` before its words; any other error as it is. */
export function storeError(error: unknown, subject = ""): unknown {
  if (error instanceof KubeconfigError) return new StoreError("invalid", error.message, { cause: error });
  if (error instanceof OutOfBounds) return new StoreError("invalid", subject + error.message);
  if (!(error instanceof ApiFailure)) return error;
  return new StoreError(codeOf(error), subject + error.message, { cause: error });
}

function codeOf({ status, passing }: ApiFailure): StoreErrorCode {
  if (passing) return "unavailable";
  if (status === 404) return "notFound";
  if (status === 409) return "conflict";
  return status === 403 ? "forbidden" : "invalid";
}
