// The strip on top: rates with their last minute, totals, and what runs.

import { h, setAttribute, setText, svg } from "./dom";
import { bytes, count, duration, plural, rate } from "./format";
import type { Frame } from "./types";

const N_SAMPLES = 60;
const WIDTH = 120;
const HEIGHT = 28;

/** A number with its name. */
class Figure {
  readonly element: HTMLElement;
  private readonly value = h("dd");

  constructor(label: string, extra?: Element) {
    this.element = h("div", { class: "figure" }, h("dt", {}, label), this.value);
    if (extra !== undefined) this.element.append(h("dd", { class: "graph" }, extra));
  }

  show(text: string): void {
    setText(this.value, text);
  }
}

/** A line of the last minute. */
class Sparkline {
  readonly element = svg("svg", {
    class: "spark",
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    preserveAspectRatio: "none",
    "aria-hidden": "true",
  });
  private readonly line = svg("path");
  private readonly area = svg("path", { class: "area" });
  private readonly samples: number[] = [];

  constructor() {
    this.element.append(this.area, this.line);
  }

  add(value: number): void {
    this.samples.push(value);
    if (this.samples.length > N_SAMPLES) this.samples.shift();
    const most = Math.max(1, ...this.samples);
    const step = WIDTH / (N_SAMPLES - 1);
    const start = WIDTH - (this.samples.length - 1) * step;
    const points = this.samples.map((sample, index) => {
      const y = HEIGHT - 1.5 - (sample / most) * (HEIGHT - 4);
      return `${(start + index * step).toFixed(1)},${y.toFixed(1)}`;
    });
    setAttribute(this.line, "d", `M${points.join("L")}`);
    setAttribute(this.area, "d", `M${start.toFixed(1)},${HEIGHT}L${points.join("L")}L${WIDTH},${HEIGHT}Z`);
  }
}

export class Totals {
  readonly element = h("section", { class: "totals", "aria-label": "Totals" });
  private readonly downLine = new Sparkline();
  private readonly upLine = new Sparkline();
  private readonly down = new Figure("To clients", this.downLine.element);
  private readonly up = new Figure("From clients", this.upLine.element);
  private readonly downTotal = new Figure("Total to clients");
  private readonly upTotal = new Figure("Total from clients");
  private readonly connections = new Figure("Connections");
  private readonly members = new Figure("Outbounds up");
  private readonly about = document.getElementById("about");

  constructor() {
    const figures = [this.down, this.up, this.connections, this.members, this.downTotal, this.upTotal];
    this.element.append(h("dl", {}, ...figures.map((figure) => figure.element)));
  }

  show(frame: Frame, isNew: boolean): void {
    if (isNew) {
      this.downLine.add(frame.rates.down);
      this.upLine.add(frame.rates.up);
    }
    this.down.show(rate(frame.rates.down));
    this.up.show(rate(frame.rates.up));
    this.downTotal.show(bytes(frame.totals.down));
    this.upTotal.show(bytes(frame.totals.up));
    this.connections.show(count(frame.connections));
    const tested = frame.outbounds.filter((outbound) => outbound.state !== "unknown");
    const up = tested.filter((outbound) => outbound.state === "up").length;
    this.members.show(tested.length === 0 ? "not tested" : `${up} of ${tested.length}`);
    if (this.about !== null) {
      const parts = [`Waypost ${frame.version}`, `configuration ${frame.generation}`];
      parts.push(`up for ${duration(frame.uptime)}`, plural(frame.rules.length, "rule"));
      setText(this.about, parts.join(" · "));
    }
  }
}
