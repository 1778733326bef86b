// The way of connections: inbound → rule → group → tier → member.

import { Cap, h, KeyedList } from "./dom";
import { groupView, type GroupContext } from "./group";
import { Lines, nodeId, TRUNK } from "./lines";
import { inboundView, looseView, ruleView, type RuleItem } from "./nodes";
import { inboundKey, memberKey, outboundKey, type Speeds } from "./speeds";
import { STATES } from "./states";
import type { Frame, Group, Inbound, Outbound } from "./types";

const MOST_INBOUNDS = 12;
const MOST_RULES = 12;
const MOST_GROUPS = 12;
const MOST_LOOSE = 8;

/** What is drawn in the column of groups: a group with its members, or an outbound of its own. */
type Way = { kind: "group"; group: Group } | { kind: "outbound"; outbound: Outbound };

export class Topology {
  readonly element: HTMLElement;
  private readonly graph = h("div", { class: "graph-area" });
  private readonly lines: Lines;
  private readonly inbounds: KeyedList<Inbound>;
  private readonly rules: KeyedList<RuleItem>;
  private readonly ways: KeyedList<Way>;
  private readonly caps: { inbounds: Cap; rules: Cap; groups: Cap; loose: Cap };
  private readonly empty = h("p", { class: "muted" }, "There is no group and no outbound.");
  private readonly context: GroupContext;
  private frame: Frame | null = null;

  constructor(private readonly speeds: Speeds) {
    const again = (): void => this.draw();
    this.caps = {
      inbounds: new Cap(MOST_INBOUNDS, "inbounds", again),
      rules: new Cap(MOST_RULES, "rules", again),
      groups: new Cap(MOST_GROUPS, "groups", again),
      loose: new Cap(MOST_LOOSE, "outbounds", again),
    };
    const column = (name: string, title: string, ...caps: Cap[]): [HTMLElement, HTMLElement] => {
      const list = h("ul", { class: "nodes" });
      const heading = h("h3", { id: `column-${name}` }, title);
      const attributes = { class: `column ${name}`, role: "group", "aria-labelledby": `column-${name}` };
      return [h("div", attributes, heading, list, ...caps.map((cap) => cap.element)), list];
    };
    const [inbounds, inboundList] = column("inbounds", "Inbounds", this.caps.inbounds);
    const [rules, ruleList] = column("rules", "Rules, tried in order", this.caps.rules);
    const [ways, wayList] = column("ways", "Groups, tiers and members", this.caps.groups, this.caps.loose);
    this.lines = new Lines(this.graph);
    this.graph.append(this.lines.element, inbounds, rules, ways);
    this.context = { speeds, outbounds: new Map(), drawn: new Map(), onShape: again };
    this.inbounds = new KeyedList<Inbound>(
      inboundList,
      (inbound) => inbound.tag,
      (inbound) => inboundView(inbound, speeds),
    );
    this.rules = new KeyedList<RuleItem>(ruleList, ({ rule }) => String(rule.index), ruleView);
    this.ways = new KeyedList<Way>(wayList, wayKey, (way) => this.wayView(way));
    this.empty.hidden = true;
    this.element = h(
      "section",
      { id: "topology", "aria-labelledby": "topology-title", tabindex: -1 },
      h(
        "div",
        { class: "section-head" },
        h("h2", { id: "topology-title" }, "Topology"),
        h("p", { class: "muted" }, "A member has the figures of its outbound, whichever way leads there."),
        legend(),
      ),
      this.graph,
      this.empty,
    );
  }

  show(frame: Frame): void {
    this.frame = frame;
    this.draw();
  }

  private draw(): void {
    const { frame, caps, speeds } = this;
    if (frame === null) return;
    this.context.drawn.clear();
    this.context.outbounds = new Map(frame.outbounds.map((outbound) => [outbound.tag, outbound]));
    this.inbounds.show(frame.inbounds.slice(0, caps.inbounds.take(frame.inbounds.length)));
    this.rules.show(this.rulesToDraw(frame));
    this.ways.show(this.waysToDraw(frame));
    this.empty.hidden = frame.groups.length + frame.outbounds.length > 0;
    this.lines.begin();
    for (const inbound of frame.inbounds) {
      const speed = speeds.of(inboundKey(inbound.tag));
      this.lines.connect(nodeId("inbound", inbound.tag), TRUNK, speed.up + speed.down, inbound.connections);
    }
    for (const { rule, hitRate } of this.rulesToDraw(frame)) {
      if (rule.to === null) continue;
      const kind = frame.groups.some((group) => group.tag === rule.to) ? "group" : "outbound";
      this.lines.connect(nodeId("rule", String(rule.index)), nodeId(kind, rule.to), hitRate * 1000, hitRate);
    }
    for (const group of frame.groups) this.connectMembers(group);
    this.lines.finish();
    // A text that is longer than before moves what is below it.
    this.lines.layOutSoon();
  }

  private connectMembers(group: Group): void {
    const { speeds } = this;
    for (const member of this.context.drawn.get(group.tag) ?? []) {
      const speed = speeds.of(memberKey(group.tag, member.tag));
      const from = nodeId("tier", `${group.tag}\n${member.tier}`);
      const moved = speed.up + speed.down;
      this.lines.connect(from, nodeId("member", `${group.tag}\n${member.tag}`), moved, member.connections, member.state);
    }
  }

  /** The rules that are used most, in their order, and last what takes the rest. */
  private rulesToDraw(frame: Frame): RuleItem[] {
    const n = this.caps.rules.take(frame.rules.length);
    const byHits = [...frame.rules].sort((a, b) => b.hits - a.hits || a.index - b.index);
    const chosen = byHits.slice(0, n).sort((a, b) => a.index - b.index);
    const items = chosen.map((rule) => ({ rule, hitRate: this.speeds.hitRate(rule.index) }));
    const { to, hits } = frame.default;
    const words = { label: "no rule matches", line: 0, file: null, text: "", action: "" };
    items.push({ rule: { index: -1, ...words, to, hits }, hitRate: this.speeds.hitRate(-1) });
    return items;
  }

  /** The groups, and the outbounds that no group has. */
  private waysToDraw(frame: Frame): Way[] {
    const members = new Set(frame.groups.flatMap((group) => group.members.map((member) => member.tag)));
    const targets = new Set([...frame.rules.map((rule) => rule.to), frame.default.to]);
    const loose = frame.outbounds.filter(({ tag }) => !members.has(tag) || targets.has(tag));
    const groups = frame.groups.slice(0, this.caps.groups.take(frame.groups.length));
    const outbounds = loose.slice(0, this.caps.loose.take(loose.length));
    return [
      ...groups.map((group) => ({ kind: "group" as const, group })),
      ...outbounds.map((outbound) => ({ kind: "outbound" as const, outbound })),
    ];
  }

  private wayView(way: Way): { element: Element; update(way: Way): void } {
    if (way.kind === "group") {
      const view = groupView(way.group, this.context);
      return { element: view.element, update: (next) => next.kind === "group" && view.update(next.group) };
    }
    const view = looseView(way.outbound, (tag) => this.speeds.of(outboundKey(tag)));
    return { element: view.element, update: (next) => next.kind === "outbound" && view.update(next.outbound) };
  }
}

function wayKey(way: Way): string {
  return way.kind === "group" ? `group ${way.group.tag}` : `outbound ${way.outbound.tag}`;
}

function legend(): HTMLElement {
  const list = h("ul", { class: "legend", "aria-label": "States" });
  for (const state of STATES) {
    const mark = h("span", { class: "state", "data-state": state }, h("span", { class: "shape", "aria-hidden": "true" }));
    mark.append(h("span", { class: "word" }, state));
    list.append(h("li", {}, mark));
  }
  return list;
}
