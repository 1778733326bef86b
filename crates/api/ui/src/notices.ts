// Short messages: what was done, what failed.

import { ApiError } from "./api";
import { button, h } from "./dom";

const SHOWN_MS = 8000;
const MOST = 3;

/** Shows a message; a screen reader reads it when it is idle. */
export function notify(text: string, kind: "done" | "failed" = "done"): void {
  const notices = document.getElementById("notices");
  if (notices === null) return;
  const notice = h("p", { class: `notice ${kind}` }, kind === "failed" ? "Failed: " : "", text);
  notice.append(button("×", { class: "quiet", "aria-label": "Dismiss" }, () => notice.remove()));
  notices.append(notice);
  while (notices.children.length > MOST) notices.firstElementChild?.remove();
  setTimeout(() => notice.remove(), SHOWN_MS);
}

/** Does something on request of the user, and says what became of it. */
export async function attempt<T>(action: () => Promise<T>, done: (result: T) => string | null): Promise<void> {
  try {
    const text = done(await action());
    if (text !== null) notify(text);
  } catch (error) {
    notify(error instanceof ApiError ? error.message : String(error), "failed");
  }
}

/** As [`attempt`], with a button that cannot be pressed again meanwhile. */
export async function attemptWith<T>(
  pressed: HTMLButtonElement,
  action: () => Promise<T>,
  done: (result: T) => string | null,
): Promise<void> {
  if (pressed.getAttribute("aria-disabled") === "true") return;
  // `disabled` would take the focus away.
  pressed.setAttribute("aria-disabled", "true");
  await attempt(action, done);
  pressed.removeAttribute("aria-disabled");
}
