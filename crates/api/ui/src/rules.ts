// The table of all rules.

import { Cap, h, KeyedList, setAttribute, setText, type View } from "./dom";
import { count, plural } from "./format";
import type { Frame, Rule } from "./types";

const MOST_ROWS = 60;

interface Row {
  rule: Rule;
  /** Of all hits, from 0 to 1. */
  share: number;
}

export class Rules {
  readonly element: HTMLElement;
  private readonly list: KeyedList<Row>;
  private readonly cap: Cap;
  private readonly unusedOnly = h("input", { type: "checkbox", id: "unused-only" });
  private readonly state = h("p", { class: "muted" });
  private frame: Frame | null = null;

  constructor() {
    const again = (): void => this.draw();
    this.cap = new Cap(MOST_ROWS, "rules", again);
    this.unusedOnly.addEventListener("change", again);
    const body = h("tbody");
    this.list = new KeyedList<Row>(body, ({ rule }) => String(rule.index), rowView);
    const heads = ["Rule", "Conditions", "Action", "Hits"].map((name) => h("th", { scope: "col" }, name));
    const table = h("table", {}, h("caption", { class: "unseen" }, "Rules, in the order in which they are tried"));
    table.append(h("thead", {}, h("tr", {}, ...heads)), body);
    const filter = h("label", { class: "check", for: "unused-only" }, this.unusedOnly, "never hit only");
    this.element = h(
      "section",
      { id: "rules", "aria-labelledby": "rules-title", tabindex: -1 },
      h("div", { class: "section-head" }, h("h2", { id: "rules-title" }, "Rules"), this.state, filter),
      h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Table of rules" }, table),
      this.cap.element,
    );
  }

  show(frame: Frame): void {
    this.frame = frame;
    this.draw();
  }

  private draw(): void {
    const { frame } = this;
    if (frame === null) return;
    const last = frame.default;
    const total = frame.rules.reduce((sum, rule) => sum + rule.hits, last.hits);
    const unused = frame.rules.filter((rule) => rule.hits === 0);
    const rules = this.unusedOnly.checked ? unused : frame.rules;
    const rows = rules.slice(0, this.cap.take(rules.length)).map((rule) => ({ rule, share: rule.hits / Math.max(1, total) }));
    if (!this.unusedOnly.checked) {
      const action = `route(${last.to})`;
      const rule = { index: -1, label: "no rule matches", line: 0, file: null, text: "everything else", action };
      rows.push({ rule: { ...rule, to: last.to, hits: last.hits }, share: last.hits / Math.max(1, total) });
    }
    this.list.show(rows);
    setText(this.state, `${plural(frame.rules.length, "rule")}, ${unused.length} never hit`);
  }
}

function rowView(): View<Row> {
  const label = h("th", { scope: "row" });
  const text = h("td", { class: "conditions" });
  const action = h("td", { class: "nowrap" });
  const n = h("span", { class: "num" });
  const bar = h("meter", { min: 0, max: 1, "aria-label": "Share of all hits" });
  const badge = h("span", { class: "badge" }, "never hit");
  const element = h("tr", {}, label, text, action, h("td", { class: "hits" }, badge, n, bar));
  return {
    element,
    update({ rule, share }) {
      setText(label, rule.label);
      setAttribute(label, "title", rule.file);
      setText(text, rule.text);
      setText(action, rule.action);
      setText(n, count(rule.hits));
      const isUnused = rule.hits === 0 && rule.index >= 0;
      badge.hidden = !isUnused;
      n.hidden = isUnused;
      bar.hidden = isUnused;
      if (bar.value !== share) bar.value = share;
      element.classList.toggle("unused", isUnused);
    },
  };
}
