// A row of the table of connections, and why a connection went its way.

import { api } from "./api";
import { openDialog } from "./dialogs";
import { button, h, setAttribute, setText, type View } from "./dom";
import { bytes, clock, duration, hostPort, rate } from "./format";
import { attempt } from "./notices";
import type { Connection, Why } from "./types";

/** A connection and what is worked out for it. */
export interface Row {
  connection: Connection;
  /** Bytes per second, both ways. */
  rate: number;
  /** Milliseconds since 1970. */
  now: number;
}

export function hostOf({ metadata }: Connection): string {
  return hostPort(metadata.host === "" ? metadata.destinationIP : metadata.host, metadata.destinationPort);
}

/** The groups that led to an outbound, and the outbound. */
function wayOf(chains: readonly string[]): string {
  return [...chains].reverse().join(" → ");
}

export function connectionRow(first: Row, close: (id: string) => void): View<Row> {
  const { connection } = first;
  const { metadata } = connection;
  const host = hostOf(connection);
  const name = button(host, { class: "plain host", title: host, "aria-haspopup": "dialog" }, () => showWhy(connection));
  const from = `${metadata.network} · ${metadata.type} · ${hostPort(metadata.sourceIP, metadata.sourcePort)}`;
  const rule = h("td", { class: "rule-cell" });
  const way = h("td", { class: "way" });
  const cell = (): HTMLElement => h("td", { class: "num" });
  const [up, down, speed, age] = [cell(), cell(), cell(), cell()];
  age.title = clock(connection.start);
  const end = button("×", { class: "quiet", "aria-label": `Close ${host}` }, () => close(connection.id));
  const target = h("th", { scope: "row" }, name, h("span", { class: "muted from" }, from));
  const element = h("tr", { "data-connection": connection.id }, target, rule, way, up, down, speed, age, h("td", {}, end));
  return {
    element,
    update(row) {
      const text = [row.connection.rule, row.connection.rulePayload].filter((part) => part !== "").join(" ");
      setText(rule, text);
      setAttribute(rule, "title", text);
      setText(way, wayOf(row.connection.chains));
      setText(up, bytes(row.connection.upload));
      setText(down, bytes(row.connection.download));
      setText(speed, rate(row.rate));
      setText(age, duration((row.now - Date.parse(row.connection.start)) / 1000));
    },
  };
}

/** Shows the record of a decision. */
function showWhy(connection: Connection): void {
  void attempt(
    () => api.why(connection.id),
    (why) => {
      const facts = h("dl", { class: "details" });
      const fact = (label: string, value: string | null): void => {
        if (value !== null && value !== "") facts.append(h("dt", {}, label), h("dd", {}, value));
      };
      fact("Decision", why.id);
      fact("Since", new Date(why.start).toLocaleString());
      fact("Target", `${why.network} ${why.target}`);
      fact("From", why.source);
      fact("Inbound", why.inbound);
      fact("User", why.user);
      fact("Protocol", why.protocol);
      fact("Name seen inside", why.sniffed);
      fact("Rule", why.rule);
      fact("Way", wayOf(why.chains));
      fact("Because", why.why);
      fact("Key", why.key);
      fact("Carried", `${bytes(why.download)} to the client, ${bytes(why.upload)} from it`);
      openDialog(`Why ${hostOf(connection)} went this way`, facts, attemptsTable(why.attempts));
      return null;
    },
  );
}

function attemptsTable(attempts: Why["attempts"]): HTMLElement {
  if (attempts.length === 0) return h("p", { class: "muted" }, "No outbound was dialled.");
  const heads = ["Outbound", "Began after", "Took", "Ended with"].map((name) => h("th", { scope: "col" }, name));
  const rows = attempts.map((one) => {
    const cells = [one.outbound, `${one.began_ms} ms`, `${one.took_ms} ms`, one.end];
    return h("tr", {}, ...cells.map((text) => h("td", {}, text)));
  });
  const caption = h("caption", {}, "Attempts");
  return h("table", {}, caption, h("thead", {}, h("tr", {}, ...heads)), h("tbody", {}, ...rows));
}
