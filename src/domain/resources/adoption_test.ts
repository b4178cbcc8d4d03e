import { assertEquals } from "@std/assert";
import { adoptedState, type Ages, mayBeNewer } from "./adoption.ts";
import type { ApiObject } from "./object.ts";

const app = (spec: unknown, rest: Record<string, unknown> = {}): ApiObject => ({
  apiVersion: "argoproj.io/v1alpha1",
  kind: "Application",
  metadata: { name: "a", namespace: "edge-1" },
  spec,
  ...rest,
});

Deno.test("adoptedState() asks for no operation again and keeps the present status", () => {
  const saved = app({ n: 1 }, { status: { sync: "old" }, operation: { sync: {} } });
  const present = app({ n: 2 }, { status: { sync: "new" } });
  assertEquals(adoptedState(saved, present), app({ n: 1 }, { status: { sync: "new" } }));
  assertEquals(adoptedState(saved, app({ n: 2 })), app({ n: 1 }));
  assertEquals(adoptedState(saved, undefined), app({ n: 1 }, { status: { sync: "old" } }));
});

Deno.test("mayBeNewer(): a different content that was changed later, or nobody knows when", () => {
  const saved = app({ n: 1 }, { status: 1, operation: {} });
  const cases: [ApiObject, Ages, boolean][] = [
    [app({ n: 1 }, { status: 2 }), { savedAtMs: 10, presentAtMs: 20, activeSinceMs: 5 }, false],
    [app({ n: 2 }), { savedAtMs: 10, presentAtMs: 20, activeSinceMs: 5 }, true],
    [app({ n: 2 }), { savedAtMs: 20, presentAtMs: 10, activeSinceMs: 5 }, false],
    [app({ n: 2 }), { savedAtMs: 0, presentAtMs: 10, activeSinceMs: 5 }, true],
    [app({ n: 2 }), { savedAtMs: 0, presentAtMs: 4, activeSinceMs: 5 }, false],
  ];
  for (const [present, ages, expected] of cases) {
    assertEquals(mayBeNewer(saved, present, ages), expected, JSON.stringify(ages));
  }
});
