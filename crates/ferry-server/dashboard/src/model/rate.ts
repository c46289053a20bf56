// How fast a run goes, and how long it will still take; and the history that the chart draws.

/** How long back a rate looks. Long enough that single imports of 250 do not make it jump. */
const WINDOW_MS = 30_000;
/** With less to go by there is no rate yet. */
const LEAST_MS = 1_500;

interface Sample {
  at: number;
  sent: number;
}

/** The pace of one run, from the counts that were seen of it. */
export class Meter {
  private samples: Sample[] = [];

  constructor(private readonly windowMs = WINDOW_MS) {}

  /** Notes how many were sent by `at`. A repeat, or a count that went back, changes nothing. */
  note(at: number, sent: number): void {
    const last = this.samples.at(-1);
    if (last && (at <= last.at || sent < last.sent)) return;
    this.samples.push({ at, sent });
    // One sample from before the window stays, as the point that the window begins at.
    while ((this.samples[1]?.at ?? Infinity) <= at - this.windowMs) this.samples.shift();
  }

  /** People a minute over the window up to `now`; undefined while there is too little to go by. */
  perMinute(now: number): number | undefined {
    const first = this.samples[0];
    const last = this.samples.at(-1);
    if (!first || !last || last.at - first.at < LEAST_MS) return undefined;
    const begin = now - this.windowMs;
    const from = begin > first.at ? { at: begin, sent: this.sentAt(begin) } : first;
    // The next change is late by as long as none has come; a run that stands still slows down to 0 within the window.
    const until = Math.max(last.at, Math.min(now, last.at + this.windowMs));
    const elapsed = (now - last.at > 2_000 ? until : last.at) - from.at;
    return elapsed <= 0 ? 0 : ((last.sent - from.sent) / elapsed) * 60_000;
  }

  /** When it was first seen within the window. */
  begin(): number | undefined {
    return this.samples[0]?.at;
  }

  /** How many were sent since then. */
  sentSince(at: number): number {
    return (this.samples.at(-1)?.sent ?? 0) - this.sentAt(at);
  }

  private sentAt(at: number): number {
    for (let place = this.samples.length - 1; place >= 0; place -= 1) {
      const [before, after] = [this.samples[place] as Sample, this.samples[place + 1]];
      if (before.at > at) continue;
      if (!after) return before.sent;
      return before.sent + ((after.sent - before.sent) * (at - before.at)) / (after.at - before.at);
    }
    return this.samples[0]?.sent ?? 0;
  }
}

/**
 * The pace of several runs together. It is not the sum of their paces: those look back over different times where one
 * has just begun, and would add up to more than the account ever took.
 */
export function paceOf(meters: Meter[], now: number, windowMs = WINDOW_MS): number {
  const begins = meters.flatMap((meter) => meter.begin() ?? []);
  const begin = Math.max(now - windowMs, Math.min(...begins));
  if (begins.length === 0 || now - begin < LEAST_MS) return 0;
  const sent = meters.reduce((sum, meter) => sum + meter.sentSince(begin), 0);
  return (sent / (now - begin)) * 60_000;
}

export interface Left {
  ms: number;
  /** Whether it follows from the pace that was seen, or from the server's estimate. */
  by: "pace" | "estimate";
}

/** How long until everything is sent; undefined where nothing is known. */
export function timeLeft(
  remaining: number,
  perMinute: number | undefined,
  estimatedEnd: number | undefined,
  now: number,
): Left | undefined {
  if (perMinute !== undefined && perMinute > 0 && remaining > 0) return { ms: (remaining / perMinute) * 60_000, by: "pace" };
  if (estimatedEnd !== undefined && estimatedEnd > now) return { ms: estimatedEnd - now, by: "estimate" };
  return undefined;
}

/** People sent, spread over buckets of time, for each key (an export). */
export class History {
  private readonly buckets = new Map<string, Map<number, number>>();

  constructor(
    readonly bucketMs: number,
    readonly count: number,
  ) {}

  /** Spreads `people` evenly over the time from `from` to `to`. */
  add(key: string, from: number, to: number, people: number): void {
    if (people <= 0 || to < from) return;
    let own = this.buckets.get(key);
    if (!own) this.buckets.set(key, (own = new Map()));
    const [first, last] = [Math.floor(from / this.bucketMs), Math.floor(to / this.bucketMs)];
    const oldest = Math.max(first, last - this.count);
    for (let bucket = oldest; bucket <= last; bucket += 1) {
      const begin = Math.max(from, bucket * this.bucketMs);
      const end = Math.min(to, (bucket + 1) * this.bucketMs);
      const share = to === from ? (bucket === last ? 1 : 0) : (end - begin) / (to - from);
      own.set(bucket, (own.get(bucket) ?? 0) + people * share);
    }
    for (const bucket of own.keys()) if (bucket < last - 2 * this.count) own.delete(bucket);
  }

  /** People a minute in each of the last buckets, the oldest first. The newest is still filling and is left out. */
  perMinute(keys: string[], now: number): { at: number; value: number }[] {
    const own = keys.map((key) => this.buckets.get(key));
    const people = (bucket: number): number => own.reduce((sum, buckets) => sum + (buckets?.get(bucket) ?? 0), 0);
    const last = Math.floor(now / this.bucketMs) - 1;
    return Array.from({ length: this.count }, (_, place) => {
      const bucket = last - this.count + 1 + place;
      return { at: bucket * this.bucketMs, value: (people(bucket) * 60_000) / this.bucketMs };
    });
  }
}
