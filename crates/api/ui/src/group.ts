// A group of the topology: what it is, its tiers, and its members.

import { api } from "./api";
import { now } from "./clock";
import { button, Cap, h, KeyedList, setAttribute, setText, type View } from "./dom";
import { ago, clock, delay, plural } from "./format";
import { nodeId } from "./lines";
import { memberView, type MemberItem } from "./member";
import { attemptWith } from "./notices";
import { memberKey, type Speeds } from "./speeds";
import { summary } from "./states";
import type { Group, Member, Outbound } from "./types";

/** Of each tier, so that the one in use is always to be seen. */
const MOST_MEMBERS = 8;
/** How long after a switch its reason stands out. */
const FRESH_MS = 60_000;

export interface GroupContext {
  speeds: Speeds;
  /** By tag. */
  outbounds: ReadonlyMap<string, Outbound>;
  /** The members that each group shows. */
  drawn: Map<string, Member[]>;
  /** The group shows other elements now. */
  onShape: () => void;
}

/** The types of the API, in words. */
const KINDS: Record<string, string> = {
  Balancer: "balancer",
  Fallback: "fallback",
  LoadBalance: "load balance",
  Selector: "selector",
  URLTest: "URL test",
};

/** A tier with the members of it that are drawn. */
interface Tier {
  name: string;
  isServing: boolean;
  items: MemberItem[];
}

export function groupView(first: Group, context: GroupContext): View<Group> {
  const { tag } = first;
  const kind = h("span", { class: "muted" });
  const current = h("p", { class: "now" });
  const states = h("p", { class: "muted" });
  const change = h("p", { class: "change" });
  const test = button("Test delays", { "aria-label": `Test delays of ${tag}` }, () => {
    void attemptWith(test, () => api.testGroup(tag), (delays) => tested(tag, delays));
  });
  const heading = h("h4", { class: "tag", id: `group-${encodeURIComponent(tag)}`, tabindex: -1 }, tag);
  const pills = h("ul", { class: "pills", "aria-label": `Tiers of ${tag}` });
  const card = h(
    "div",
    { class: "group-card", "data-node": nodeId("group", tag) },
    h("div", { class: "line" }, heading, test),
    kind,
    current,
    states,
    change,
    pills,
  );
  const tiers = h("ul", { class: "tiers" });
  const cap = new Cap(MOST_MEMBERS, `members of ${tag}`, context.onShape);
  const element = h("li", { class: "group" }, card, h("div", { class: "members" }, tiers, cap.element));
  const list = new KeyedList<Tier>(tiers, (tier) => tier.name, (tier) => tierView(tag, tier));
  const pillList = new KeyedList<Tier>(pills, (tier) => tier.name, (tier) => pillView(tag, tier));
  return {
    element,
    update(reported) {
      const group = withOutbounds(reported, context.outbounds);
      setText(kind, describe(group));
      setText(current, group.now === "" ? "spreads over its members" : `now: ${group.now}`);
      setText(states, summary(group.members.map((member) => member.state)));
      showChange(change, group);
      const drawn = membersToDraw(group, cap);
      context.drawn.set(tag, drawn);
      const shown = tiersOf(group, drawn, context.speeds);
      pillList.show(shown);
      list.show(shown);
    },
  };
}

/** A group that makes no probes of its own, such as a selector, shows what is known of the outbounds. */
function withOutbounds(group: Group, outbounds: ReadonlyMap<string, Outbound>): Group {
  const members = group.members.map((member) => {
    const outbound = member.state === "unknown" ? outbounds.get(member.tag) : undefined;
    return outbound === undefined ? member : { ...member, state: outbound.state, delay: member.delay ?? outbound.delay };
  });
  return { ...group, members };
}

function membersToDraw({ members }: Group, cap: Cap): Member[] {
  const seen = new Map<string, number>();
  const first = members.filter(({ tier }) => {
    const n = (seen.get(tier) ?? 0) + 1;
    seen.set(tier, n);
    return n <= MOST_MEMBERS;
  });
  return cap.take(members.length, first.length) < members.length ? first : members;
}

function tiersOf(group: Group, drawn: Member[], speeds: Speeds): Tier[] {
  const names = [...new Set(drawn.map((member) => member.tier))];
  return names.map((name) => ({
    name,
    isServing: name === group.tier,
    items: drawn
      .filter((member) => member.tier === name)
      .map((member) => ({ member, group, speed: speeds.of(memberKey(group.tag, member.tag)) })),
  }));
}

function tierView(group: string, first: Tier): View<Tier> {
  const members = h("ul", { class: "member-list", "aria-label": `${first.name} members of ${group}` });
  const element = h("li", { class: "tier" }, members);
  const list = new KeyedList<MemberItem>(members, ({ member }) => member.tag, memberView);
  return {
    element,
    update(tier) {
      element.classList.toggle("serving", tier.isServing);
      list.show(tier.items);
    },
  };
}

/** The name of a tier at the edge of its group, where the lines to its members begin. */
function pillView(group: string, { name }: Tier): View<Tier> {
  const element = h("li", { class: "pill", "data-node": nodeId("tier", `${group}\n${name}`) });
  return {
    element,
    update(tier) {
      setText(element, tier.isServing ? `${name}, in use` : name);
      element.classList.toggle("serving", tier.isServing);
    },
  };
}

/** The kind of a group, in words. */
export function describe(group: Group): string {
  const kind = KINDS[group.type] ?? group.type;
  const strategy = group.strategy.replaceAll(/[_-]/g, " ");
  const plain = (text: string): string => text.replaceAll(" ", "").toLowerCase();
  const parts = [plain(kind) === plain(strategy) ? kind : `${kind}, ${strategy}`];
  if (group.bootstrapping) parts.push("first probes running");
  return parts.join(", ");
}

function showChange(element: HTMLElement, group: Group): void {
  const { lastChange } = group;
  const time = now();
  element.hidden = lastChange === null;
  if (lastChange === null) return;
  setText(element, `${ago(lastChange.time, time)}: ${lastChange.reason}`);
  setAttribute(element, "title", `Last switch, ${clock(lastChange.time)}`);
  element.classList.toggle("fresh", time - Date.parse(lastChange.time) < FRESH_MS);
}

function tested(tag: string, delays: Record<string, number>): string {
  const answered = Object.entries(delays).sort(([, a], [, b]) => a - b);
  const [fastest] = answered;
  if (fastest === undefined) return `${tag}: no member answered`;
  return `${tag}: ${plural(answered.length, "member")} answered, ${fastest[0]} first after ${delay(fastest[1])}`;
}
