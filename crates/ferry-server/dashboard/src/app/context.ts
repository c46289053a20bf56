// What every page is given.

import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type { Api } from "../api/client";
import type { Live } from "./live";
import type { Session } from "./session";

export interface App {
  api: Api;
  live: Live;
  session: Session;
  /** Says that something was done, in a corner and aloud. */
  say(text: string, tone?: "good" | "bad", link?: { href: string; text: string }): void;
}

export const AppContext = createContext<App | undefined>(undefined);

export function useApp(): App {
  const app = useContext(AppContext);
  if (!app) throw new Error("a page outside of the app");
  return app;
}
