// The bar of a run: confirmed, refused, under way, and what is left.

import type { Progress } from "../model/account";
import { useI18n } from "../i18n";

const WIDTH = 1_000;

export function Bar({ progress, label, waiting }: { progress: Progress; label: string; waiting: boolean }) {
  const { t, format } = useI18n();
  const { total, settled, refused, sent } = progress;
  const share = (people: number): number => (total > 0 ? (people / total) * WIDTH : 0);
  const text = total > 0
    ? `${t("runs.sentOf", { sent: format.number(sent), total: format.number(total) })}, ${t("runs.settledOf", { n: format.number(settled) })}`
    : t("runs.unknownYet");
  return (
    <svg
      class={waiting && total === 0 ? "bar unknown" : "bar"}
      viewBox={`0 0 ${WIDTH} 10`}
      preserveAspectRatio="none"
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={total > 0 ? total : undefined}
      aria-valuenow={total > 0 ? sent : undefined}
      aria-valuetext={text}
    >
      <rect class="bar-ground" width={WIDTH} height="10" />
      <rect class="bar-sent" width={share(sent)} height="10" />
      <rect class="bar-refused" width={share(settled)} height="10" />
      <rect class="bar-settled" width={share(settled - refused)} height="10" />
    </svg>
  );
}

/** How much of the whole one line of an account is. */
export function Share({ value, total, name }: { value: number; total: number; name: string }) {
  return (
    <svg class={`share ${name}`} viewBox={`0 0 ${WIDTH} 10`} preserveAspectRatio="none" aria-hidden="true" focusable="false">
      <rect class="bar-ground" width={WIDTH} height="10" />
      <rect class="share-fill" width={total > 0 ? Math.max((value / total) * WIDTH, value > 0 ? 4 : 0) : 0} height="10" />
    </svg>
  );
}
