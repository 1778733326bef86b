// The smaller elements of the topology: inbounds, rules, and outbounds of their own.

import { h, setAttribute, setText, type View } from "./dom";
import { count, delay, plural, rate } from "./format";
import { nodeId } from "./lines";
import { inboundKey, type Speed, type Speeds } from "./speeds";
import { StateMark } from "./states";
import type { Inbound, Outbound, Rule } from "./types";

/** A rule, and how often it is hit now. */
export interface RuleItem {
  rule: Rule;
  /** Per second. */
  hitRate: number;
}

/** Both directions of a rate; the arrows have words for those who hear the page. */
export class SpeedText {
  readonly element: HTMLElement;
  private readonly down = h("span", { class: "num" });
  private readonly up = h("span", { class: "num" });

  constructor() {
    const way = (sign: string, words: string, value: HTMLElement): HTMLElement =>
      h("span", { class: "arrow" }, h("span", { "aria-hidden": "true" }, sign), h("span", { class: "unseen" }, words), value);
    this.element = h("span", { class: "speed" }, way("↓", "to clients ", this.down), way("↑", "from clients ", this.up));
  }

  show(speed: Speed): void {
    setText(this.down, rate(speed.down));
    setText(this.up, rate(speed.up));
    this.element.classList.toggle("still", speed.up + speed.down < 1);
  }
}

export function inboundView(first: Inbound, speeds: Speeds): View<Inbound> {
  const where = h("span", { class: "muted" });
  const load = h("span", { class: "load" });
  const speed = new SpeedText();
  const name = h("strong", { class: "tag" }, first.tag);
  const line = h("div", { class: "line" }, name, load);
  const element = h("li", { class: "node", "data-node": nodeId("inbound", first.tag) }, line, where, speed.element);
  return {
    element,
    update(inbound) {
      setText(where, `${inbound.protocol} ${inbound.address}`);
      setText(load, plural(inbound.connections, "connection"));
      speed.show(speeds.of(inboundKey(inbound.tag)));
    },
  };
}

export function ruleView({ rule: first }: RuleItem): View<RuleItem> {
  const name = h("span", { class: "tag" });
  const hits = h("span", { class: "load" });
  const text = h("span", { class: "conditions" });
  const action = h("span", { class: "to" });
  const line = h("div", { class: "line" }, name, hits);
  const id = nodeId("rule", String(first.index));
  const element = h("li", { class: "node rule", "data-node": id }, line, text, action);
  return {
    element,
    update({ rule, hitRate }) {
      setText(name, rule.label);
      setText(text, rule.text);
      text.hidden = rule.text === "";
      setAttribute(text, "title", rule.text);
      setText(action, rule.to === null ? rule.action || "refused" : `→ ${rule.to}`);
      const each = hitRate > 0 ? `, ${hitRate < 10 ? hitRate.toFixed(1) : count(hitRate)}/s` : "";
      setText(hits, rule.hits === 0 ? "never hit" : `${plural(rule.hits, "hit")}${each}`);
      element.classList.toggle("unused", rule.hits === 0);
      element.classList.toggle("busy", hitRate > 0);
    },
  };
}

/** An outbound that rules name themselves. */
export function looseView(first: Outbound, speedOf: (tag: string) => Speed): View<Outbound> {
  const state = new StateMark();
  const kind = h("span", { class: "muted" });
  const load = h("span", { class: "load" });
  const late = h("span", { class: "delay num" });
  const speed = new SpeedText();
  const name = h("strong", { class: "tag" }, first.tag);
  const attributes = { class: "node loose", "data-node": nodeId("outbound", first.tag) };
  const element = h("li", attributes, name, kind, state.element, late, load, speed.element);
  return {
    element,
    update(outbound) {
      setText(kind, outbound.type.toLowerCase());
      state.element.hidden = outbound.state === "unknown";
      late.hidden = outbound.delay === null;
      state.show(outbound.state);
      setText(late, delay(outbound.delay));
      setText(load, outbound.connections === 0 ? "idle" : plural(outbound.connections, "connection"));
      speed.show(speedOf(outbound.tag));
    },
  };
}
