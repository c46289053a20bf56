// The address of a page stands behind the `#`, so the server serves one page alone.

import { Store } from "./store";

export type Route =
  | { page: "runs" | "exports" | "connections" | "audit" }
  | { page: "run"; export: string; run: string };

export function parseRoute(hash: string): Route {
  const [first, second, third] = hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  if (first === "runs" && second && third) return { page: "run", export: second, run: third };
  if (first === "exports" || first === "connections" || first === "audit") return { page: first };
  return { page: "runs" };
}

export const route = new Store<Route>({ page: "runs" });

export function startRouting(): void {
  const follow = () => route.set(parseRoute(location.hash));
  addEventListener("hashchange", follow);
  follow();
}

/** The address of a run's page. */
export function runHref(name: string): string {
  const parts = name.split("/");
  return `#/runs/${encodeURIComponent(parts[3] ?? "")}/${encodeURIComponent(parts[5] ?? "")}`;
}
