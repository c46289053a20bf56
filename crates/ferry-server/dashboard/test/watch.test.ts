// The watch against a server that cuts the stream wherever it can: every change of state is seen, in order, once.

import assert from "node:assert/strict";
import test from "node:test";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { type Change, RunFeed } from "../src/api/feed";
import { type Link, watch } from "../src/api/watch";
import { type Run, RunSchema, Run_State } from "../src/gen/ferry/v1/run_pb";
import { type WatchRunsResponse, WatchRunsResponseSchema } from "../src/gen/ferry/v1/run_service_pb";

const name = (run: number): string => `tenants/acme/exports/all/runs/${run}`;

function runAt(run: number, version: number, state = Run_State.PROCESSING): Run {
  const over = state >= Run_State.SUCCEEDED;
  return create(RunSchema, { name: name(run), etag: `"${version}"`, state, endTime: over ? { seconds: 1n } : undefined });
}

const said = (run: Run, token: string) => create(WatchRunsResponseSchema, { event: { case: "run", value: run }, resumeToken: token });
const complete = (token: string) => create(WatchRunsResponseSchema, { event: { case: "snapshotComplete", value: true }, resumeToken: token });
const beat = (token: string) => create(WatchRunsResponseSchema, { event: { case: "heartbeat", value: true }, resumeToken: token });

/** A log of changes, and streams of it that are cut after so many messages. */
class Server {
  readonly log: Run[] = [];
  readonly tokens: string[] = [];
  constructor(readonly cutAfter: () => number, readonly repeats = 0, readonly error?: () => unknown) {}

  async *open(token: string): AsyncIterable<WatchRunsResponse> {
    this.tokens.push(token);
    const all: WatchRunsResponse[] = [];
    let from = Number(token);
    if (token === "") {
      from = 0;
      all.push(complete("0"));
    }
    // At least once: a server may send again what it has sent before.
    for (let place = Math.max(0, from - this.repeats); place < this.log.length; place += 1) {
      all.push(said(this.log[place] as Run, String(Math.max(place + 1, from))));
    }
    const cut = this.cutAfter();
    for (const message of all.slice(0, cut)) yield message;
    if (cut <= all.length) throw this.error?.() ?? new ConnectError("cut", Code.Unknown);
  }
}

async function follow(server: Server, done: (seen: string[]) => boolean, options: { endless?: boolean } = {}) {
  const [seen, links]: [string[], Link[]] = [[], []];
  const stop = new AbortController();
  const feed = new RunFeed();
  let waits = 0;
  await watch(feed, {
    open: (token) => server.open(token),
    change: (change: Change) => {
      if (change.kind === "run") seen.push(`${change.run.name.at(-1)}:${change.run.etag}`);
      if (done(seen)) stop.abort();
    },
    link: (link) => links.push(link),
    now: () => waits * 1_000,
    wait: async () => {
      waits += 1;
      if (waits > 1_000 && !options.endless) stop.abort();
    },
  }, stop.signal);
  return { seen, links, feed, waits };
}

test("wherever the stream is cut, no change is missed and none is told twice", async () => {
  for (let cut = 1; cut <= 12; cut += 1) {
    for (const repeats of [0, 1, 3, 40]) {
      const server = new Server(() => cut + repeats, repeats);
      const told: string[] = [];
      for (let version = 1; version <= 20; version += 1) {
        for (const run of [1, 2]) {
          server.log.push(runAt(run, version, version === 20 ? Run_State.SUCCEEDED : Run_State.PROCESSING));
          told.push(`${run}:"${version}"`);
        }
      }
      const { seen } = await follow(server, (seen) => seen.length >= told.length);
      assert.deepEqual(seen, told, `cut after ${cut}, ${repeats} repeated`);
      assert.equal(server.tokens[0], "");
      assert.ok(server.tokens.slice(1).every((token) => token !== ""), "goes on by token");
    }
  }
});

test("a snapshot that was cut off begins again from its start", () => {
  const feed = new RunFeed();
  assert.equal(feed.open(), "");
  feed.take(said(runAt(1, 1), "5"));
  assert.equal(feed.open(), "", "its token is not used");
  feed.take(said(runAt(1, 1), "5"));
  feed.take(complete("6"));
  assert.equal(feed.open(), "6");
});

test("a repeat after a newer change does not turn a run back", () => {
  const feed = new RunFeed();
  feed.open();
  feed.take(complete("0"));
  feed.take(said(runAt(1, 1), "1"));
  feed.take(said(runAt(1, 2), "2"));
  assert.equal(feed.take(said(runAt(1, 1), "2")).kind, "repeat");
  assert.equal(feed.runs.get(name(1))?.etag, '"2"');
  feed.take(said(runAt(1, 3, Run_State.SUCCEEDED), "3"));
  assert.equal(feed.take(said(runAt(1, 4), "4")).kind, "repeat", "a run that has ended never changes");
  assert.equal(feed.put(runAt(1, 2)), false);
});

test("who ended while nobody looked is named when a new snapshot is complete", () => {
  const feed = new RunFeed();
  feed.open();
  feed.take(said(runAt(1, 1), ""));
  feed.take(said(runAt(2, 1), ""));
  feed.take(complete("1"));
  feed.forget();
  feed.open();
  feed.take(said(runAt(2, 5), ""));
  const change = feed.take(complete("9"));
  assert.deepEqual(change, { kind: "complete", gone: [name(1)] });
});

test("a heartbeat moves the token on", () => {
  const feed = new RunFeed();
  feed.open();
  feed.take(complete("1"));
  feed.take(beat("7"));
  assert.equal(feed.open(), "7");
});

test("a token that is too old is given up for a snapshot, and that is said", async () => {
  let opened = 0;
  const server = new Server(() => 99);
  const open = server.open.bind(server);
  server.open = async function* (token) {
    opened += 1;
    if (opened === 2) throw new ConnectError("old", Code.OutOfRange);
    yield* open(token);
    throw new ConnectError("cut", Code.Unknown);
  };
  server.log.push(runAt(1, 1));
  const { links } = await follow(server, () => opened === 3);
  assert.deepEqual(server.tokens, ["", ""]);
  const back = links.flatMap((link) => (link.state === "live" && link.back ? [link.back] : []));
  assert.equal(back.at(-1)?.anew, true);
});

test("the link says live, cut, and live again with how long it was away", async () => {
  let opened = 0;
  const server = new Server(() => (opened++ === 0 ? 2 : 99));
  for (let version = 1; version <= 4; version += 1) server.log.push(runAt(1, version));
  const { links } = await follow(server, (seen) => seen.length === 4);
  assert.deepEqual(links.map((link) => link.state), ["connecting", "live", "cut", "live"]);
  const last = links.at(-1);
  assert.ok(last?.state === "live" && last.back?.anew === false && last.back.cutMs === 1_000);
});

test("the server's wait is kept, and what cannot be mended ends the watch", async () => {
  for (const code of [Code.Unauthenticated, Code.PermissionDenied, Code.Unimplemented]) {
    const server = new Server(() => 1, 0, () => new ConnectError("no", code));
    const { links, waits } = await follow(server, () => false);
    assert.equal(links.at(-1)?.state, "ended");
    assert.equal(waits, 0);
  }
});

test("a stream that the server ends in order is no cut", async () => {
  let opened = 0;
  const server = new Server(() => 99);
  server.open = async function* (token) {
    server.tokens.push(token);
    opened += 1;
    yield opened === 1 ? complete("1") : beat(String(opened));
  };
  const { links } = await follow(server, () => opened === 4);
  assert.ok(links.every((link) => link.state !== "cut"));
  assert.deepEqual(server.tokens, ["", "1", "2", "3"]);
});
