// The few pictures of the page, drawn with the colour of the text around them.

const PATHS = {
  runs: "M3 12h3l2.5-7 5 14 2.5-7H21",
  exports: "M4 12h13m-5-5 5 5-5 5M20 4v16",
  connections: "M9 8V4m6 4V4M7 8h10v4a5 5 0 0 1-10 0zm5 9v4",
  audit: "M12 3 5 6v5c0 4.5 2.9 8 7 10 4.1-2 7-5.5 7-10V6z",
  check: "m5 12.5 4.5 4.5L19 7.5",
  cross: "M6 6l12 12M18 6 6 18",
  alert: "M12 8v5m0 3.5v.01M12 3 2.5 20h19z",
  clock: "M12 7v5l3 2M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z",
  pause: "M9 6v12m6-12v12",
  play: "M8 5.5v13l10-6.5z",
  stop: "M7 7h10v10H7z",
  skip: "M6 6v12l8-6zm11 0v12",
  hand: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zm0 5v5m0 3v.01",
  back: "M19 12H5m6-6-6 6 6 6",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zm0-5v1.5m0 15V21m9-9h-1.5m-15 0H3m15.4-6.4-1.1 1.1M6.700 17.300l-1.100 1.100m12.800 0-1.100-1.100M6.700 6.700 5.600 5.600",
  moon: "M20 14.500A8.500 8.500 0 0 1 9.500 4a8.500 8.500 0 1 0 10.500 10.500z",
  auto: "M12 3a9 9 0 1 0 0 18zm0 0a9 9 0 0 1 0 18",
  out: "M14 4H5v16h9m-4-8h11m-4-4 4 4-4 4",
  link: "M10 14a4 4 0 0 0 6 0l3-3a4 4 0 0 0-6-6l-1 1m2 4a4 4 0 0 0-6 0l-3 3a4 4 0 0 0 6 6l1-1",
  dots: "M12 12v.01M5 12v.01M19 12v.01",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}

export function Logo() {
  return (
    <svg class="logo" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <rect width="32" height="32" rx="8" class="logo-ground" />
      <path d="M7 17h18l-3 6H10z" class="logo-hull" />
      <path d="M15 7h2v8h-2z" class="logo-hull" />
      <path d="M17 8l6 6h-6z" class="logo-sail" />
    </svg>
  );
}
