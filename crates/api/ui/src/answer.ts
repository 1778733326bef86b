// An explanation: every rule with the verdict of every condition, the group, the key, and the plan.

import { button, h } from "./dom";
import { delay, tagOr } from "./format";
import { StateMark } from "./states";
import type { Condition, Explained } from "./types";

/** So many rules are shown at once. */
const MOST_RULES = 40;

const MARKS: Record<Condition["verdict"], string> = { holds: "✓", fails: "✕", "not needed": "·" };

export function answerOf(explained: Explained): HTMLElement[] {
  const parts: HTMLElement[] = [];
  if (explained.lookups.length > 0) parts.push(lookups(explained));
  parts.push(rules(explained));
  if (explained.group !== null) parts.push(group(explained.group));
  if (explained.outbounds.length > 0) parts.push(plan(explained));
  return parts;
}

/** The answer in one sentence. */
export function verdictOf(explained: Explained): (Node | string)[] {
  const [first] = explained.outbounds;
  const parts: (Node | string)[] = [h("strong", {}, `${explained.network} ${explained.target}`)];
  parts.push(explained.rule === null ? " matches no rule" : ` is decided by ${explained.rule}`);
  if (explained.group !== null) parts.push(`, group ${explained.group.tag},`);
  if (explained.refused !== null) parts.push(` and is refused: ${explained.refused}`);
  else if (first !== undefined) parts.push(" and goes through ", h("strong", {}, tagOr(first.outbound)));
  return parts;
}

function lookups(explained: Explained): HTMLElement {
  const items = explained.lookups.map(({ name, addresses, error }) =>
    h("li", {}, error === undefined ? `${name} is ${(addresses ?? []).join(", ") || "nothing"}` : `${name} was not found: ${error}`),
  );
  return part("Look-ups", h("ul", { class: "plain-list" }, ...items));
}

function rules(explained: Explained): HTMLElement {
  const heads = ["Verdict", "Condition", "Wanted", "Seen"].map((name) => h("th", { scope: "col" }, name));
  const table = h("table", { class: "verdicts" }, h("thead", {}, h("tr", {}, ...heads)));
  const add = (some: Explained["rules"]): void => {
    for (const rule of some) table.append(ruleRows(rule));
  };
  const [shown, rest] = split(explained.rules);
  add(shown);
  const box = h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Verdicts of all conditions" }, table);
  const content: HTMLElement[] = [box];
  if (rest.length > 0) {
    const more = button(`Show all ${explained.rules.length} rules`, { class: "quiet" }, () => {
      table.querySelectorAll("tbody").forEach((body) => body.remove());
      add(explained.rules);
      more.remove();
      box.focus();
    });
    content.push(more);
  }
  if (explained.rules.length === 0) return part("Rules", h("p", { class: "muted" }, "There is no rule."));
  return part("Rules", ...content);
}

/** The first rules, and in any case the one that holds. */
function split(all: Explained["rules"]): [Explained["rules"], Explained["rules"]] {
  const isShown = (rule: Explained["rules"][number], place: number): boolean => place < MOST_RULES || rule.holds;
  return [all.filter(isShown), all.filter((rule, place) => !isShown(rule, place))];
}

function ruleRows(rule: Explained["rules"][number]): HTMLElement {
  const label = rule.rule ?? `rule ${rule.index + 1}`;
  const pass = rule.pass === "resolving" ? " (again, with the addresses of the name)" : "";
  const mark = h("span", { class: "mark", "aria-hidden": "true" }, rule.holds ? "✓" : "✕");
  const head = h("th", { scope: "rowgroup", colspan: 4 }, mark, `${label}${pass}: ${rule.holds ? "holds" : "does not hold"}`);
  const body = h("tbody", { class: rule.holds ? "holds" : "fails" }, h("tr", { class: "rule-row" }, head));
  for (const { name, wanted, verdict: is, seen } of rule.conditions) {
    const sign = h("span", { class: "mark", "aria-hidden": "true" }, MARKS[is]);
    const what = seen ?? (is === "not needed" ? "not looked at" : "–");
    const cells = [h("td", { class: `is ${is.replace(" ", "-")}` }, sign, is), h("td", {}, name)];
    body.append(h("tr", {}, ...cells, h("td", { class: "long" }, wanted), h("td", { class: "long" }, what)));
  }
  return body;
}

function group(chosen: NonNullable<Explained["group"]>): HTMLElement {
  const facts = h("dl", { class: "details" });
  const fact = (label: string, value: string | null): void => {
    if (value !== null) facts.append(h("dt", {}, label), h("dd", {}, value));
  };
  fact("Strategy", chosen.strategy.replaceAll("_", " "));
  fact("Tier", chosen.bootstrapping ? `${chosen.tier}, members not probed yet` : chosen.tier);
  fact("Rule set", chosen.ruleSet);
  if (chosen.key !== null) fact("Key", `${chosen.key.empty ? "(empty)" : chosen.key.text} at ${chosen.key.position}`);
  const heads = ["Member", "Tier", "State", "Role", "Delay"].map((name) => h("th", { scope: "col" }, name));
  const rows = chosen.members.map((member) => {
    const state = new StateMark();
    state.show(member.state);
    state.element.title = member.why;
    const role = member.role ?? "not for this connection";
    return h(
      "tr",
      {},
      h("th", { scope: "row" }, member.tag),
      h("td", {}, member.tier),
      h("td", {}, state.element),
      h("td", {}, role),
      h("td", { class: "num" }, delay(member.delayMs)),
    );
  });
  const table = h("table", {}, h("thead", {}, h("tr", {}, ...heads)), h("tbody", {}, ...rows));
  const box = h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `Members of ${chosen.tag}` }, table);
  return part(`Group ${chosen.tag}`, facts, box);
}

function plan(explained: Explained): HTMLElement {
  const steps = explained.outbounds.map(({ outbound, chain, why }) => {
    const through = chain.slice(1).map((tag) => `, through ${tag}`).join("");
    return h("li", {}, h("strong", {}, tagOr(outbound)), ` ${why}${through}`);
  });
  const content = [h("ol", { class: "plan" }, ...steps)];
  const title = "Plan, tried in this order";
  if (explained.dialledFirst.length === 0) return part(title, ...content);
  return part(title, ...content, h("p", { class: "muted" }, `Dialled first: ${explained.dialledFirst.join(", ")}`));
}

function part(title: string, ...content: HTMLElement[]): HTMLElement {
  return h("div", { class: "part" }, h("h3", {}, title), ...content);
}
