// The table of live connections.

import { api } from "./api";
import { now } from "./clock";
import { confirmThat } from "./dialogs";
import { button, Cap, h, KeyedList, setText } from "./dom";
import { plural } from "./format";
import { attempt } from "./notices";
import { connectionRow, hostOf, type Row } from "./connection";
import type { Connection } from "./types";

const MOST_ROWS = 50;
const INTERVAL_MS = 2000;

type Order = "start" | "upload" | "download" | "host";

export class Connections {
  readonly element: HTMLElement;
  private readonly list: KeyedList<Row>;
  private readonly cap: Cap;
  private readonly filter = h("input", { type: "search", id: "connection-filter", placeholder: "host, rule, outbound" });
  private readonly state = h("p", { class: "muted" });
  private readonly empty = h("p", { class: "muted empty" }, "No connection.");
  private readonly heads = new Map<Order, HTMLElement>();
  private order: Order = "start";
  private connections: Connection[] = [];
  private rates = new Map<string, number>();
  private old: { at: number; moved: Map<string, number> } = { at: 0, moved: new Map() };
  private isVisible = true;
  private isAsking = false;

  constructor() {
    const again = (): void => this.draw();
    this.cap = new Cap(MOST_ROWS, "connections", again);
    this.filter.addEventListener("input", again);
    const body = h("tbody");
    this.list = new KeyedList<Row>(
      body,
      ({ connection }) => connection.id,
      (row) => connectionRow(row, (id) => this.close(id)),
    );
    const plain = (name: string): HTMLElement => h("th", { scope: "col" }, name);
    const head = h(
      "tr",
      {},
      this.sortable("host", "Host"),
      plain("Rule"),
      plain("Way"),
      this.sortable("upload", "Up"),
      this.sortable("download", "Down"),
      plain("Rate"),
      this.sortable("start", "Age"),
      h("th", { scope: "col" }, h("span", { class: "unseen" }, "Close")),
    );
    const table = h("table", {}, h("caption", { class: "unseen" }, "Live connections"), h("thead", {}, head), body);
    const closeAll = button("Close all", { class: "danger" }, () => void this.closeAll());
    const label = h("label", { class: "unseen", for: "connection-filter" }, "Filter connections");
    this.element = h(
      "section",
      { id: "connections", "aria-labelledby": "connections-title", tabindex: -1 },
      h(
        "div",
        { class: "section-head" },
        h("h2", { id: "connections-title" }, "Connections"),
        this.state,
        label,
        this.filter,
        closeAll,
      ),
      h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Table of connections" }, table),
      this.empty,
      this.cap.element,
    );
    this.showOrder();
    // What nobody looks at is not asked for.
    new IntersectionObserver(([entry]) => {
      this.isVisible = entry?.isIntersecting ?? true;
      if (this.isVisible) void this.refresh();
    }, { rootMargin: "200px" }).observe(this.element);
    setInterval(() => {
      if (this.isVisible && !document.hidden) void this.refresh();
    }, INTERVAL_MS);
  }

  /** Asks for the connections, unless an answer is still awaited. */
  async refresh(): Promise<void> {
    if (this.isAsking) return;
    this.isAsking = true;
    try {
      this.connections = (await api.connections()).connections ?? [];
      this.measure();
      this.draw();
    } catch {
      // The link to Waypost is lost, which is shown on top of the page.
    } finally {
      this.isAsking = false;
    }
  }

  private measure(): void {
    const at = performance.now();
    const seconds = (at - this.old.at) / 1000;
    const moved = new Map(this.connections.map(({ id, upload, download }) => [id, upload + download]));
    this.rates = new Map();
    for (const [id, n] of moved) {
      const before = this.old.moved.get(id);
      if (before !== undefined && seconds > 0.2) this.rates.set(id, Math.max(0, n - before) / seconds);
    }
    this.old = { at, moved };
  }

  private draw(): void {
    const words = this.filter.value.toLowerCase().split(/\s+/).filter((word) => word !== "");
    const isWanted = (connection: Connection): boolean => {
      if (words.length === 0) return true;
      const { rule, rulePayload, chains, metadata } = connection;
      const text = [hostOf(connection), rule, rulePayload, metadata.type, metadata.sourceIP, ...chains].join(" ").toLowerCase();
      return words.every((word) => text.includes(word));
    };
    const found = this.connections.filter(isWanted).sort(COMPARE[this.order]);
    const time = now();
    const rows = found.slice(0, this.cap.take(found.length));
    this.list.show(rows.map((connection) => ({ connection, rate: this.rates.get(connection.id) ?? 0, now: time })));
    this.empty.hidden = rows.length > 0;
    setText(this.empty, this.connections.length === 0 ? "No connection." : "No connection has these words.");
    const of = words.length === 0 ? "" : `${found.length} of `;
    setText(this.state, `${of}${plural(this.connections.length, "connection")}`);
  }

  private sortable(order: Order, name: string): HTMLElement {
    const head = h("th", { scope: "col" });
    head.append(
      button(name, { class: "plain sort" }, () => {
        this.order = order;
        this.showOrder();
        this.draw();
      }),
    );
    this.heads.set(order, head);
    return head;
  }

  private showOrder(): void {
    for (const [order, head] of this.heads) {
      const direction = order === "host" || order === "start" ? "ascending" : "descending";
      head.setAttribute("aria-sort", order === this.order ? direction : "none");
    }
  }

  private close(id: string): void {
    void attempt(
      () => api.close(id),
      () => {
        this.connections = this.connections.filter((connection) => connection.id !== id);
        this.draw();
        return null;
      },
    );
  }

  private async closeAll(): Promise<void> {
    const n = this.connections.length;
    if (!(await confirmThat("Close all connections? Clients will see them end.", "Close all"))) return;
    await attempt(() => api.closeAll(), () => `${plural(n, "connection")} closed`);
    await this.refresh();
  }
}

/** Young first, much first, names from A to Z. */
const COMPARE: Record<Order, (a: Connection, b: Connection) => number> = {
  start: (a, b) => Date.parse(b.start) - Date.parse(a.start),
  upload: (a, b) => b.upload - a.upload,
  download: (a, b) => b.download - a.download,
  host: (a, b) => hostOf(a).localeCompare(hostOf(b)),
};
