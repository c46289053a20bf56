// A value that components follow. Changes that come close together are drawn once.

import { useEffect, useState } from "preact/hooks";

export class Store<T> {
  private readonly listeners = new Set<() => void>();

  constructor(private current: T) {}

  get(): T {
    return this.current;
  }

  set(value: T): void {
    if (value === this.current) return;
    this.current = value;
    for (const listener of this.listeners) listener();
  }

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}

export function useStore<T>(store: Store<T>): T {
  const [value, setValue] = useState(store.get());
  useEffect(() => {
    setValue(store.get());
    return store.subscribe(() => setValue(store.get()));
  }, [store]);
  return value;
}

/** The time, each second while the page is looked at. */
export const clock = new Store(Date.now());

export function startClock(): void {
  setInterval(() => {
    if (document.visibilityState === "visible") clock.set(Date.now());
  }, 1_000);
}

export const useNow = (): number => useStore(clock);
