// The box that asks which way a connection would go, and the answer.

import { api } from "./api";
import { h } from "./dom";
import { answerOf, verdictOf } from "./answer";
import { attemptWith } from "./notices";
import type { Frame } from "./types";

export class Explain {
  readonly element: HTMLElement;
  private readonly answer = h("div", { class: "answer" });
  private readonly verdict = h("p", { class: "verdict", role: "status" });
  private readonly inbound = h("select", { id: "explain-inbound", name: "inbound" }, h("option", { value: "" }, "any"));
  private inbounds = "";

  constructor() {
    const field = (label: string, input: HTMLElement, css = ""): HTMLElement =>
      h("div", { class: `field ${css}` }, h("label", { for: input.id }, label), input);
    const plain = { autocomplete: "off", autocapitalize: "none", spellcheck: "false" };
    const target = h("input", {
      id: "explain-target",
      name: "target",
      required: true,
      placeholder: "www.example.com:443",
      ...plain,
    });
    const network = h("select", { id: "explain-network", name: "network" });
    for (const name of ["tcp", "udp"]) network.append(h("option", { value: name }, name));
    const text = (name: string, hint: string): HTMLInputElement =>
      h("input", { id: `explain-${name}`, name, placeholder: hint, ...plain });
    const ask = h("button", { type: "submit", class: "primary" }, "Explain");
    const form = h(
      "form",
      { class: "explain" },
      field("Host and port", target, "wide"),
      field("Network", network),
      field("Source", text("source", "192.0.2.7")),
      field("Inbound", this.inbound),
      field("User", text("user", "")),
      field("Protocol", text("protocol", "tls")),
      ask,
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.ask(form, ask);
    });
    this.element = h(
      "section",
      { id: "explain", "aria-labelledby": "explain-title", tabindex: -1 },
      h(
        "div",
        { class: "section-head" },
        h("h2", { id: "explain-title" }, "Explain"),
        h("p", { class: "muted" }, "Which way would a connection go, and why?"),
      ),
      form,
      this.verdict,
      this.answer,
    );
  }

  /** Offers the inbounds there are. */
  show(frame: Frame): void {
    const tags = frame.inbounds.map((inbound) => inbound.tag);
    const known = tags.join("\n");
    if (known === this.inbounds) return;
    this.inbounds = known;
    const chosen = this.inbound.value;
    this.inbound.replaceChildren(h("option", { value: "" }, "any"), ...tags.map((tag) => h("option", { value: tag }, tag)));
    if (tags.includes(chosen)) this.inbound.value = chosen;
  }

  private async ask(form: HTMLFormElement, pressed: HTMLButtonElement): Promise<void> {
    const question: Record<string, string> = {};
    for (const [name, value] of new FormData(form)) {
      const text = String(value).trim();
      if (text !== "") question[name] = text;
    }
    await attemptWith(
      pressed,
      () => api.explain(question),
      (explained) => {
        this.verdict.replaceChildren(...verdictOf(explained));
        this.answer.replaceChildren(...answerOf(explained));
        return null;
      },
    );
  }
}
