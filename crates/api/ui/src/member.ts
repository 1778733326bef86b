// A member of a group.

import { api } from "./api";
import { openDialog } from "./dialogs";
import { button, h, setAttribute, setText, type View } from "./dom";
import { bytes, clock, count, delay, plural } from "./format";
import { nodeId } from "./lines";
import { SpeedText } from "./nodes";
import { attemptWith } from "./notices";
import type { Speed } from "./speeds";
import { StateMark } from "./states";
import type { Group, Member } from "./types";

/** A member in its group. */
export interface MemberItem {
  member: Member;
  group: Group;
  speed: Speed;
}

export function memberView(first: MemberItem): View<MemberItem> {
  let item = first;
  const { tag } = first.member;
  const group = first.group.tag;
  const state = new StateMark();
  const role = h("span", { class: "role" });
  const late = h("span", { class: "delay num" });
  const load = h("span", { class: "load num" });
  const speed = new SpeedText();
  const name = button(tag, { class: "tag plain", "aria-haspopup": "dialog" }, () => showDetails(item));
  const choose = button("Use", { class: "quiet" }, () => {
    void attemptWith(choose, () => api.choose(group, tag), () => `${group} goes through ${tag} now`);
  });
  const attributes = { class: "member", "data-node": nodeId("member", `${group}\n${tag}`), "data-member": tag };
  const facts = h("span", { class: "facts" }, role, late, load, speed.element);
  const element = h("li", attributes, state.element, name, facts, choose);
  return {
    element,
    update(next) {
      item = next;
      const { member } = next;
      const isNow = next.group.now === member.tag;
      state.show(member.state);
      setText(role, roleOf(next));
      role.classList.toggle("chosen", isNow);
      setText(late, delay(member.delay));
      setText(load, member.connections === 0 ? "idle" : `${count(member.connections)} conn.`);
      speed.show(next.speed);
      element.classList.toggle("now", isNow);
      choose.hidden = next.group.type !== "Selector";
      const word = isNow ? "In use" : "Use";
      setText(choose, word);
      setAttribute(choose, "aria-label", `${word}: ${tag} for ${group}`);
    },
  };
}

function roleOf({ member, group }: MemberItem): string {
  const isSelector = group.type === "Selector";
  const words = isSelector ? "" : group.now === member.tag ? "now" : (member.role ?? "not for TCP");
  return member.group ? (words === "" ? "group" : `group, ${words}`) : words;
}

/** Shows everything that is known of a member. */
function showDetails({ member, group }: MemberItem): void {
  const rows: [string, string][] = [
    ["State", member.state],
    ["Tier", member.tier],
    ["Role", member.role ?? "cannot carry TCP"],
    ["Delay", member.delay === null ? "no probe has come back" : delay(member.delay)],
    ["Live connections", count(member.connections)],
    ["To clients", bytes(member.down)],
    ["From clients", bytes(member.up)],
    ["Carried", plural(member.carried, "connection")],
    ["Failed", plural(member.failed, "attempt")],
    ["Overtaken by another", plural(member.overtaken, "attempt")],
    ["Silent after its yes", plural(member.silent, "connection")],
  ];
  if (member.lastError !== null) {
    rows.push(["Last failure", `${clock(member.lastError.time)}: ${member.lastError.reason}`]);
  }
  const list = h("dl", { class: "details" });
  for (const [label, value] of rows) list.append(h("dt", {}, label), h("dd", {}, value));
  const content: Node[] = [h("p", { class: "muted" }, `Since the start, as a member of ${group.tag}.`), list];
  openDialog(member.tag, ...content);
}
