// Profiles a minute against the destination's ceiling: columns of equal spans of time, and one line.

import { useEffect, useRef, useState } from "preact/hooks";
import { useApp } from "../app/context";
import { getConfig } from "../app/session";
import { useNow, useStore } from "../app/store";
import { useI18n } from "../i18n";
import { lastPart } from "../model/names";

const HEIGHT = 168;
const BOTTOM = 22;
const TOP = 8;

/** Steps of the axis: a round number, so that there are two to five of them. */
export function axisStep(top: number): number {
  const raw = top / 3;
  const power = 10 ** Math.floor(Math.log10(Math.max(raw, 1)));
  return [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((step) => step >= raw) ?? 10 * power;
}

function useWidth() {
  const element = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(640);
  useEffect(() => {
    const found = element.current;
    if (!found) return;
    const observer = new ResizeObserver(([entry]) => setWidth(Math.max(240, Math.round(entry?.contentRect.width ?? 640))));
    observer.observe(found);
    return () => observer.disconnect();
  }, []);
  return [element, width] as const;
}

export function RateChart() {
  const { live } = useApp();
  const { t, format } = useI18n();
  const { exports, going } = useStore(live.snapshot);
  const now = useNow();
  const [range, setRange] = useState<0 | 1>(0);
  const [chosen, setChosen] = useState("");
  const [element, width] = useWidth();

  const connections = [...new Set([...exports.values()].map((found) => found.connection).filter(Boolean))].sort();
  const busiest = going.map((run) => exports.get(run.export)?.connection).find(Boolean);
  const connection = chosen || busiest || connections[0] || "";
  const own = [...exports.values()].filter((found) => !connection || found.connection === connection).map((found) => found.name);
  const scale = getConfig().developmentTimeScale ?? 1;
  const ceiling = live.ceiling * scale;
  const points = live.histories[range].perMinute(own, now);
  const pace = live.paceOf(own, Math.max(now, Date.now()));
  const peak = Math.max(pace, ...points.map((point) => point.value));

  const top = Math.max(ceiling, peak) * 1.12;
  const y = (value: number): number => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top);
  const step = axisStep(top);
  const ticks = Array.from({ length: Math.floor(top / step) + 1 }, (_, place) => place * step);
  const left = 8 + 7 * Math.max(...ticks.map((tick) => format.number(tick).length));
  const wide = (width - left) / points.length;
  const minutes = range === 0 ? 10 : 60;
  const span = t(range === 0 ? "chart.range.10" : "chart.range.60");
  const summary = t("chart.summary", {
    span, now: format.number(pace), peak: format.number(peak), ceiling: format.number(ceiling),
  });

  return (
    <section class="panel chart" aria-labelledby="chart-title">
      <header>
        <h2 id="chart-title">{t("chart.title")}</h2>
        {connections.length > 1 && (
          <label class="inline">
            <span class="unseen">{t("chart.connection")}</span>
            <select value={connection} onChange={(event) => setChosen(event.currentTarget.value)}>
              {connections.map((name) => <option key={name} value={name}>{lastPart(name)}</option>)}
            </select>
          </label>
        )}
        <fieldset class="segmented">
          <legend class="unseen">{t("chart.range")}</legend>
          {([0, 1] as const).map((value) => (
            <label key={value}>
              <input type="radio" name="range" checked={range === value} onChange={() => setRange(value)} />
              <span>{t(value === 0 ? "chart.range.10" : "chart.range.60")}</span>
            </label>
          ))}
        </fieldset>
      </header>
      <div class="chart-body">
        <dl class="chart-facts">
          <div class="big">
            <dt>{t("chart.now")}</dt>
            <dd>{format.number(pace)}</dd>
            <dd class="fine">{t("chart.ofCeiling", { percent: format.percent(pace / ceiling) })}</dd>
          </div>
          <div><dt>{t("chart.peak")}</dt><dd>{format.number(peak)}</dd></div>
          <div><dt><i class="key ceiling" />{t("chart.ceiling")}</dt><dd>{format.number(ceiling)}</dd></div>
        </dl>
        <div class="plot" ref={element}>
          <svg viewBox={`0 0 ${width} ${HEIGHT}`} role="img" aria-label={summary}>
            {ticks.map((tick) => (
              <g key={tick}>
                <line class="grid" x1={left} x2={width} y1={y(tick)} y2={y(tick)} />
                <text class="tick" x={left - 6} y={y(tick) + 4} text-anchor="end">{format.number(tick)}</text>
              </g>
            ))}
            {points.map((point, place) => {
              if (point.value <= 0) return null;
              const high = Math.max(y(0) - y(point.value), 1);
              return (
                <rect key={point.at} class="column" x={left + place * wide + wide * 0.12} width={wide * 0.76} y={y(0) - high} height={high} rx={Math.min(2, wide / 4)}>
                  <title>{`${format.clock(point.at)} · ${t("chart.perMinute", { n: format.number(point.value) })}`}</title>
                </rect>
              );
            })}
            <line class="ceiling" x1={left} x2={width} y1={y(ceiling)} y2={y(ceiling)} />
            {[minutes, minutes / 2].map((ago, place) => (
              <text key={ago} class="tick" x={left + (place * (width - left)) / 2} y={HEIGHT - 4}>{t("chart.ago", { n: ago })}</text>
            ))}
            <text class="tick" x={width} y={HEIGHT - 4} text-anchor="end">{t("chart.now")}</text>
            {peak === 0 && (
              <text class="nothing" x={left + (width - left) / 2} y={(y(0) + y(step)) / 2 + 4} text-anchor="middle">{t("chart.empty")}</text>
            )}
          </svg>
        </div>
      </div>
      <p class="fine">
        {t("chart.source", { n: format.number(live.ceiling) })}
        {scale > 1 && ` ${t("chart.scaled", { n: format.number(scale) })}`}
        {scale === 1 && peak > ceiling * 1.2 && ` ${t("chart.above")}`}
      </p>
    </section>
  );
}
