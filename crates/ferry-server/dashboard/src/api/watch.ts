// Watches runs for as long as the page is open: opens the stream, goes on with its token after whatever ends it, and
// says how it stands.

import { Code } from "@connectrpc/connect";
import type { WatchRunsResponse } from "../gen/ferry/v1/run_service_pb";
import { type Problem, problemOf } from "./details";
import type { Change, RunFeed } from "./feed";

/** The server speaks each 15 s. After two of them were missed the connection is held to be dead. */
const SILENCE_MS = 40_000;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;

export interface Back {
  at: number;
  cutMs: number;
  /** The token was too old: the present came as a snapshot, and what lay between is not known change by change. */
  anew: boolean;
}

export type Link =
  | { state: "connecting" }
  /** `back` is set where the stream goes on after a cut. */
  | { state: "live"; back?: Back }
  | { state: "cut"; since: number; retryAt: number; problem: Problem }
  /** A new attempt with the same session could only fail again. */
  | { state: "ended"; problem: Problem };

export interface WatchPorts {
  open(resumeToken: string, signal: AbortSignal): AsyncIterable<WatchRunsResponse>;
  change(change: Change): void;
  link(link: Link): void;
  now(): number;
  /** Waits; may end early, when the signal aborts or the machine says that it is online again. */
  wait(ms: number, signal: AbortSignal): Promise<void>;
}

const FINAL = new Set([Code.Unauthenticated, Code.PermissionDenied, Code.Unimplemented, Code.NotFound]);
/** The token is too old, or not of this stream: begin with a snapshot. */
const TOKEN = new Set([Code.OutOfRange, Code.InvalidArgument]);

export async function watch(feed: RunFeed, ports: WatchPorts, stop: AbortSignal): Promise<void> {
  let failures = 0;
  let cutSince: number | undefined;
  let anew = false;
  let live = false;
  ports.link({ state: "connecting" });

  const take = (message: WatchRunsResponse): void => {
    if (!live) {
      const now = ports.now();
      ports.link({ state: "live", back: cutSince === undefined ? undefined : { at: now, cutMs: now - cutSince, anew } });
      [live, failures, cutSince, anew] = [true, 0, undefined, false];
    }
    ports.change(feed.take(message));
  };

  while (!stop.aborted) {
    const token = feed.open();
    const ended = await readStream(ports, token, take, stop);
    if (stop.aborted) return;
    if (ended === undefined) {
      // The server ends a stream after a while. That is no cut: go on at once, unless it says nothing at all.
      if (live) {
        live = false;
        continue;
      }
    } else if (FINAL.has(ended.code)) {
      ports.link({ state: "ended", problem: ended });
      return;
    }
    const now = ports.now();
    cutSince ??= now;
    live = false;
    if (ended && TOKEN.has(ended.code) && token !== "") {
      feed.forget();
      anew = true;
      continue;
    }
    const wait = ended?.retryAfterMs ?? Math.min(FIRST_WAIT_MS * 2 ** failures, LONGEST_WAIT_MS) * (0.75 + Math.random() / 2);
    failures += 1;
    const problem = ended ?? { code: Code.Unavailable, reason: "", message: "" };
    ports.link({ state: "cut", since: cutSince, retryAt: now + wait, problem });
    await ports.wait(wait, stop);
  }
}

/** Reads one stream to its end. Undefined if the server ended it in order. */
async function readStream(
  ports: WatchPorts,
  token: string,
  take: (message: WatchRunsResponse) => void,
  stop: AbortSignal,
): Promise<Problem | undefined> {
  const attempt = new AbortController();
  const abort = () => attempt.abort();
  stop.addEventListener("abort", abort);
  let alarm = setTimeout(abort, SILENCE_MS);
  try {
    for await (const message of ports.open(token, attempt.signal)) {
      clearTimeout(alarm);
      alarm = setTimeout(abort, SILENCE_MS);
      take(message);
    }
    return undefined;
  } catch (error) {
    return problemOf(error);
  } finally {
    clearTimeout(alarm);
    stop.removeEventListener("abort", abort);
  }
}

/** The wait of a browser: ends early when it is online again, or when the page is looked at again. */
export function browserWait(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      removeEventListener("online", done);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    addEventListener("online", done);
    signal.addEventListener("abort", done);
  });
}
