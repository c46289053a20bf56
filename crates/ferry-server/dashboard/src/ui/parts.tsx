// Small parts that every page uses.

import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Code } from "@connectrpc/connect";
import type { Problem } from "../api/details";
import type { Key } from "../i18n/en";
import { type I18n, useI18n } from "../i18n";
import { Run_Phase as Phase, Run_State as State } from "../gen/ferry/v1/run_pb";
import { Icon, type IconName } from "./icons";

export type Tone = "idle" | "busy" | "good" | "warn" | "bad";

const STATES: Record<State, { key: Key; tone: Tone; icon: IconName }> = {
  [State.UNSPECIFIED]: { key: "state.unspecified", tone: "idle", icon: "dots" },
  [State.QUEUED]: { key: "state.queued", tone: "idle", icon: "clock" },
  [State.PROCESSING]: { key: "state.processing", tone: "busy", icon: "play" },
  [State.AWAITING_APPROVAL]: { key: "state.awaitingApproval", tone: "warn", icon: "hand" },
  [State.PAUSED]: { key: "state.paused", tone: "warn", icon: "pause" },
  [State.CANCELLING]: { key: "state.cancelling", tone: "warn", icon: "stop" },
  [State.SUCCEEDED]: { key: "state.succeeded", tone: "good", icon: "check" },
  [State.FAILED]: { key: "state.failed", tone: "bad", icon: "cross" },
  [State.SKIPPED]: { key: "state.skipped", tone: "idle", icon: "skip" },
  [State.CANCELLED]: { key: "state.cancelled", tone: "idle", icon: "stop" },
  [State.TIMED_OUT]: { key: "state.timedOut", tone: "bad", icon: "clock" },
};

export const stateKey = (state: State): Key => (STATES[state] ?? STATES[State.UNSPECIFIED]).key;

/** A state is told by word and shape, never by colour alone. */
export function StateMark({ state }: { state: State }) {
  const { t } = useI18n();
  const { key, tone, icon } = STATES[state] ?? STATES[State.UNSPECIFIED];
  return <Mark tone={tone} icon={icon}>{t(key)}</Mark>;
}

export function Mark({ tone, icon, children }: { tone: Tone; icon: IconName; children: ComponentChildren }) {
  return (
    <span class={`mark ${tone}`}>
      <Icon name={icon} />
      {children}
    </span>
  );
}

const PHASES: [Phase, Key][] = [
  [Phase.READING, "phase.reading"],
  [Phase.PLANNING, "phase.planning"],
  [Phase.SENDING, "phase.sending"],
  [Phase.SETTLING, "phase.settling"],
];

/** The four phases of a run, and which of them it is in. */
export function Phases({ phase }: { phase: Phase }) {
  const { t } = useI18n();
  return (
    <ol class="phases" aria-label={t("phase.label")}>
      {PHASES.map(([one, key]) => (
        <li key={key} class={one < phase ? "done" : one === phase ? "now" : ""} aria-current={one === phase ? "step" : undefined}>
          {t(key)}
        </li>
      ))}
    </ol>
  );
}

export function Button(props: {
  children: ComponentChildren;
  onClick?: () => void;
  kind?: "primary" | "danger" | "quiet";
  icon?: IconName;
  disabled?: boolean;
  submit?: boolean;
  label?: string;
}) {
  return (
    <button
      type={props.submit ? "submit" : "button"}
      class={`button ${props.kind ?? ""}`}
      onClick={props.onClick}
      disabled={props.disabled}
      aria-label={props.label}
    >
      {props.icon && <Icon name={props.icon} />}
      <span>{props.children}</span>
    </button>
  );
}

export function Empty({ title, children, action }: { title: string; children?: ComponentChildren; action?: ComponentChildren }) {
  return (
    <div class="empty">
      <svg class="waves" viewBox="0 0 120 32" aria-hidden="true" focusable="false">
        <path d="M4 22q9-8 18.600 0t18.600 0 18.600 0 18.600 0 18.600 0 18.600 0" />
        <path d="M40 14h34l-6 5H46zM56 3h2v9h-2zM60 4l8 8h-8z" class="boat" />
      </svg>
      <h3>{title}</h3>
      {children && <p>{children}</p>}
      {action}
    </div>
  );
}

/** Holds the place of what is being read, so that nothing jumps when it comes. */
export function Waiting({ rows = 3, tall = false }: { rows?: number; tall?: boolean }) {
  const { t } = useI18n();
  return (
    <div class="waiting" role="status">
      <span class="unseen">{t("app.loading")}</span>
      {Array.from({ length: rows }, (_, row) => <div key={row} class={tall ? "bone tall" : "bone"} />)}
    </div>
  );
}

/** What went wrong in plain words, by the reason where there is one, else by the code. */
export function wordsOf(problem: Problem, { t, reason }: I18n): string {
  const known = problem.reason && reason(problem.reason);
  if (known && problem.reason !== "INVALID_FIELDS") return known;
  switch (problem.code) {
    case Code.Unauthenticated: return t("problem.unauthenticated");
    case Code.PermissionDenied: return t("problem.denied");
    case Code.NotFound: return t("problem.notFound");
    case Code.Unimplemented: return t("problem.unimplemented");
    case Code.ResourceExhausted: return t("problem.exhausted");
    case Code.Unavailable: return t("problem.unavailable");
    case Code.DeadlineExceeded: return t("problem.deadline");
    case Code.Internal: return problem.requestId ? t("problem.internal") : t("problem.offline");
    case Code.Unknown: return t("problem.offline");
    default: return t("problem.other");
  }
}

export function ProblemBox({ problem, onRetry }: { problem: Problem; onRetry?: () => void }) {
  const i18n = useI18n();
  const { t } = i18n;
  return (
    <div class="box bad" role="alert">
      <Icon name="alert" />
      <div>
        <h3>{t("problem.title")}</h3>
        <p>{wordsOf(problem, i18n)}</p>
        {problem.message && problem.reason && <p class="fine">{t("run.errorServer")}: <span lang="en">{problem.message}</span></p>}
        {problem.requestId && <p class="fine">{t("problem.requestId", { id: problem.requestId })}</p>}
        {onRetry && <Button onClick={onRetry}>{t("problem.retry")}</Button>}
      </div>
    </div>
  );
}

/** A modal dialog: the browser keeps the focus inside and gives it back. */
export function Dialog({ title, children, onClose }: { title: string; children: ComponentChildren; onClose: () => void }) {
  const { t } = useI18n();
  const element = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const dialog = element.current;
    dialog?.showModal();
    return () => dialog?.close();
  }, []);
  return (
    <dialog
      ref={element}
      aria-labelledby="dialog-title"
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => event.target === element.current && onClose()}
    >
      <div class="dialog">
        <header>
          <h2 id="dialog-title">{title}</h2>
          <button type="button" class="button quiet only-icon" aria-label={t("dialog.close")} onClick={onClose}><Icon name="cross" /></button>
        </header>
        {children}
      </div>
    </dialog>
  );
}

export function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div class="fact">
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** The page's heading takes the focus when the page changes, so that a reader knows where they are. */
export function Title({ children, aside }: { children: string; aside?: ComponentChildren }) {
  const element = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${children} · Ferry`;
  }, [children]);
  useEffect(() => {
    if (document.activeElement === document.body || document.activeElement?.closest("main, nav")) element.current?.focus();
  }, []);
  return (
    <div class="title">
      <h1 tabIndex={-1} ref={element}>{children}</h1>
      {aside}
    </div>
  );
}
