// The language of the page: which one, its messages, and how it writes numbers and times.

import { createContext } from "preact";
import { useContext } from "preact/hooks";
import { type Format, formatOf, type Language } from "../model/format";
import { KINDS, REASONS, REJECTIONS, TERMS, type Text } from "./codes";
import { de } from "./de";
import { en, type Key, type Messages } from "./en";
import { pt } from "./pt";

export const LANGUAGES: Language[] = ["en", "de", "pt"];
export const LANGUAGE_NAMES: Record<Language, string> = { en: "English", de: "Deutsch", pt: "Português" };
export const TABLES: Record<Language, Messages> = { en, de, pt };

type Values = Record<string, string | number>;

export interface I18n {
  language: Language;
  format: Format;
  t(key: Key, values?: Values): string;
  /** A message with a singular and a plural, by the number `n`. */
  count(key: Key, n: number): string;
  reason(code: string): string | undefined;
  rejection(code: string): string;
  kind(code: string): string;
  term(name: string): string;
}

export function fill(message: string, values: Values = {}): string {
  return message.replace(/\{(\w+)\}/g, (place, name: string) => String(values[name] ?? place));
}

export function i18nOf(language: Language, timeZone?: string): I18n {
  const table = TABLES[language];
  const format = formatOf(language, timeZone);
  const place = LANGUAGES.indexOf(language);
  const look = (texts: Record<string, Text>, code: string): string | undefined => texts[code]?.[place];
  return {
    language,
    format,
    t: (key, values) => fill(table[key], values),
    count: (key, n) => {
      const [one = "", other = one] = table[key].split("|");
      return fill(format.plural(n) === "one" ? one : other, { n: format.number(n) });
    },
    reason: (code) => look(REASONS, code),
    rejection: (code) => look(REJECTIONS, code) ?? code,
    kind: (code) => look(KINDS, code) ?? code,
    term: (name) => look(TERMS, name) ?? name,
  };
}

const STORED = "ferry.language";

export function preferredLanguage(): Language {
  const wanted = [localStorage.getItem(STORED) ?? "", ...navigator.languages].map((tag) => tag.slice(0, 2).toLowerCase());
  return wanted.find((tag): tag is Language => LANGUAGES.includes(tag as Language)) ?? "en";
}

export function storeLanguage(language: Language): void {
  localStorage.setItem(STORED, language);
}

export const I18nContext = createContext<I18n>(i18nOf("en"));
export const useI18n = (): I18n => useContext(I18nContext);
