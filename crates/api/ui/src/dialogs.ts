// What comes up over the page.

import { button, h } from "./dom";

/** Opens a dialog with a heading and a button that closes it. It is gone when it is closed. */
export function openDialog(title: string, ...content: (Node | string)[]): HTMLDialogElement {
  const dialog = h("dialog", { class: "sheet", "aria-labelledby": "dialog-title" });
  const close = button("Close", { class: "quiet" }, () => dialog.close());
  const head = h("div", { class: "sheet-head" }, h("h2", { id: "dialog-title" }, title), close);
  dialog.append(head, h("div", { class: "sheet-body", tabindex: 0, role: "region", "aria-label": title }, ...content));
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  document.body.append(dialog);
  dialog.showModal();
  close.focus();
  return dialog;
}

/** Asks something that can be answered with yes or no. */
export function confirmThat(question: string, yes: string): Promise<boolean> {
  return new Promise((resolve) => {
    let isYes = false;
    const dialog = h("dialog", { class: "sheet small", "aria-label": question }, h("p", {}, question));
    const agree = button(yes, { class: "danger" }, () => {
      isYes = true;
      dialog.close();
    });
    const cancel = button("Cancel", {}, () => dialog.close());
    dialog.append(h("div", { class: "row end" }, cancel, agree));
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(isYes);
    });
    document.body.append(dialog);
    dialog.showModal();
    cancel.focus();
  });
}

/** Asks for the secret of the API until one is given. */
export function askForSecret(wasWrong: boolean): Promise<string> {
  return new Promise((resolve) => {
    const input = h("input", {
      id: "secret",
      type: "password",
      autocomplete: "current-password",
      required: true,
      "aria-describedby": "secret-help",
    });
    const help = h(
      "p",
      { id: "secret-help", class: wasWrong ? "problem" : "muted" },
      wasWrong
        ? "Waypost does not accept that secret."
        : "It is in the configuration, or Waypost has printed it at its start. It is kept until this tab is closed.",
    );
    const form = h(
      "form",
      {},
      h("h2", { id: "secret-title" }, "The secret of Waypost"),
      h("label", { for: "secret" }, "Secret"),
      input,
      help,
      h("div", { class: "row end" }, h("button", { type: "submit", class: "primary" }, "Continue")),
    );
    const dialog = h("dialog", { class: "sheet small", "aria-labelledby": "secret-title" }, form);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      dialog.close();
    });
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(input.value);
    });
    document.body.append(dialog);
    dialog.showModal();
    input.focus();
  });
}
