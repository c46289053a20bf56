// Numbers, times and durations as people of each language write them.

export type Language = "en" | "de" | "pt";

/** English as in Europe: 24-hour times, the day before the month. */
export const LOCALES: Record<Language, string> = { en: "en-GB", de: "de-DE", pt: "pt-PT" };

export interface Format {
  number(value: number): string;
  compact(value: number): string;
  percent(share: number): string;
  /** Date and time; the time alone where it is today. */
  time(ms: number): string;
  /** Date and time to the second, always whole. */
  exactTime(ms: number): string;
  clock(ms: number): string;
  duration(ms: number): string;
  ago(ms: number, now: number): string;
  plural(value: number): Intl.LDMLPluralRule;
}

export function formatOf(language: Language, timeZone?: string): Format {
  const locale = LOCALES[language];
  // Four digits are grouped too ("1.234"), so that columns line up.
  const number = new Intl.NumberFormat(locale, { maximumFractionDigits: 0, useGrouping: "always" } as Intl.NumberFormatOptions);
  const compact = new Intl.NumberFormat(locale, { notation: "compact", maximumFractionDigits: 1 });
  const percent = new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 0 });
  const date = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short", timeZone });
  const exact = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "medium", timeZone });
  const clock = new Intl.DateTimeFormat(locale, { timeStyle: "short", timeZone });
  const day = new Intl.DateTimeFormat(locale, { dateStyle: "short", timeZone });
  const relative = new Intl.RelativeTimeFormat(locale, { numeric: "auto", style: "short" });
  const plural = new Intl.PluralRules(locale);
  const units = new Map(
    (["day", "hour", "minute", "second"] as const).map((unit) => [
      unit,
      new Intl.NumberFormat(locale, { style: "unit", unit, unitDisplay: "short" }),
    ]),
  );
  const unit = (name: "day" | "hour" | "minute" | "second", value: number): string => units.get(name)?.format(value) ?? "";
  return {
    number: (value) => number.format(value),
    compact: (value) => compact.format(value),
    percent: (share) => percent.format(share > 0.99 && share < 1 ? 0.99 : share),
    time: (ms) => (day.format(ms) === day.format(Date.now()) ? clock.format(ms) : date.format(ms)),
    exactTime: (ms) => exact.format(ms),
    clock: (ms) => clock.format(ms),
    duration: (ms) => {
      const seconds = Math.max(0, Math.round(ms / 1_000));
      const [minutes, hours, days] = [Math.floor(seconds / 60), Math.floor(seconds / 3_600), Math.floor(seconds / 86_400)];
      if (days > 0) return `${unit("day", days)} ${unit("hour", hours % 24)}`;
      if (hours > 0) return `${unit("hour", hours)} ${unit("minute", minutes % 60)}`;
      if (minutes >= 10) return unit("minute", minutes);
      if (minutes > 0) return `${unit("minute", minutes)} ${unit("second", seconds % 60)}`;
      return unit("second", seconds);
    },
    ago: (ms, now) => {
      const seconds = Math.round((ms - now) / 1_000);
      if (Math.abs(seconds) < 60) return relative.format(seconds, "second");
      if (Math.abs(seconds) < 3_600) return relative.format(Math.round(seconds / 60), "minute");
      if (Math.abs(seconds) < 86_400) return relative.format(Math.round(seconds / 3_600), "hour");
      return relative.format(Math.round(seconds / 86_400), "day");
    },
    plural: (value) => plural.select(value),
  };
}
