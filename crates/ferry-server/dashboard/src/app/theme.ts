// Light or dark, as the system has it or as it was chosen here. public/theme.js applies a choice before the first drawing.

export type Theme = "auto" | "light" | "dark";
export const THEMES: Theme[] = ["auto", "light", "dark"];
const STORED = "ferry.theme";

export function currentTheme(): Theme {
  const stored = localStorage.getItem(STORED) as Theme;
  return THEMES.includes(stored) ? stored : "auto";
}

export function applyTheme(theme: Theme): void {
  if (theme === "auto") {
    localStorage.removeItem(STORED);
    delete document.documentElement.dataset["theme"];
  } else {
    localStorage.setItem(STORED, theme);
    document.documentElement.dataset["theme"] = theme;
  }
}
