// The lines between the elements of the topology. They are drawn for the eye only: what they say is
// also in words.

import { setAttribute, svg } from "./dom";

/** The line that passes all rules, which every inbound leads to. */
export const TRUNK = "trunk";

/** The attribute by which a line finds its ends. */
export function nodeId(kind: string, name: string): string {
  return `${kind}:${name}`;
}

interface Line {
  path: SVGPathElement;
  from: string;
  to: string;
  isWanted: boolean;
}

interface Box {
  left: number;
  right: number;
  middle: number;
}

/** Below this width columns lie under each other, and lines would say nothing. */
const NARROW = "(max-width: 899px)";

export class Lines {
  readonly element = svg("svg", { class: "lines", "aria-hidden": "true" });
  private readonly lines = new Map<string, Line>();
  private readonly trunk = svg("path", { class: "trunk" });
  private isDue = false;
  private readonly narrow = window.matchMedia(NARROW);

  constructor(private readonly area: HTMLElement) {
    this.element.append(this.trunk);
    new ResizeObserver(() => this.layOutSoon()).observe(area);
    this.narrow.addEventListener("change", () => this.layOutSoon());
    for (const name of ["pointerover", "focusin"]) area.addEventListener(name, (event) => this.light(event.target));
    area.addEventListener("pointerleave", () => this.light(null));
    area.addEventListener("focusout", () => this.light(null));
  }

  /** Starts to name the lines there are. */
  begin(): void {
    for (const line of this.lines.values()) line.isWanted = false;
  }

  /** There is a line between two nodes, with so much on it. */
  connect(from: string, to: string, bytesPerSecond: number, connections: number, state = ""): void {
    const key = `${from}\u0000${to}`;
    let line = this.lines.get(key);
    if (line === undefined) {
      line = { path: svg("path"), from, to, isWanted: true };
      this.lines.set(key, line);
      this.element.append(line.path);
    }
    line.isWanted = true;
    const load = bytesPerSecond >= 1 ? "moving" : connections > 0 ? "open" : "idle";
    setAttribute(line.path, "data-load", load);
    setAttribute(line.path, "data-state", state);
    setAttribute(line.path, "stroke-width", width(bytesPerSecond, connections).toFixed(1));
  }

  /** Takes away the lines that were not named again. */
  finish(): void {
    for (const [key, line] of this.lines) {
      if (!line.isWanted) {
        line.path.remove();
        this.lines.delete(key);
      }
    }
  }

  /** Finds the ends of all lines once the page has been laid out. */
  layOutSoon(): void {
    if (this.isDue) return;
    this.isDue = true;
    requestAnimationFrame(() => {
      this.isDue = false;
      this.layOut();
    });
  }

  private layOut(): void {
    if (this.narrow.matches) return;
    const origin = this.area.getBoundingClientRect();
    const boxes = new Map<string, Box>();
    let rulesLeft = 0;
    const rules: number[] = [];
    // All places are read before any path is written: one layout for the whole graph.
    for (const element of this.area.querySelectorAll<HTMLElement>("[data-node]")) {
      const id = element.dataset["node"] ?? "";
      const rect = element.getBoundingClientRect();
      const middle = rect.top + rect.height / 2 - origin.top;
      boxes.set(id, { left: rect.left - origin.left, right: rect.right - origin.left, middle });
      if (id.startsWith("rule:")) {
        rulesLeft = rect.left - origin.left;
        rules.push(middle);
      }
    }
    const trunkX = rulesLeft - 18;
    const top = Math.min(...rules);
    if (rules.length > 0) {
      boxes.set(TRUNK, { left: trunkX, right: trunkX, middle: top });
      const ticks = rules.map((y) => `M${trunkX},${y}H${rulesLeft}`).join("");
      setAttribute(this.trunk, "d", `M${trunkX},${top}V${Math.max(...rules)}${ticks}`);
    } else {
      setAttribute(this.trunk, "d", null);
    }
    setAttribute(this.element, "width", String(origin.width));
    setAttribute(this.element, "height", String(origin.height));
    for (const { path, from, to } of this.lines.values()) {
      const a = boxes.get(from);
      const b = boxes.get(to);
      setAttribute(path, "d", a === undefined || b === undefined ? null : curve(a, b));
    }
  }

  /** Brings out the lines at the node that is pointed at or has the focus. */
  private light(target: EventTarget | null): void {
    const node = target instanceof Element ? target.closest<HTMLElement>("[data-node]") : null;
    const lit = node?.dataset["node"];
    for (const { path, from, to } of this.lines.values()) {
      path.classList.toggle("lit", lit !== undefined && (from === lit || to === lit));
    }
  }
}

function curve(from: Box, to: Box): string {
  const [x1, y1, x2, y2] = [from.right, from.middle, to.left, to.middle];
  const bend = Math.max(12, (x2 - x1) / 2);
  return `M${x1.toFixed(1)},${y1.toFixed(1)}C${(x1 + bend).toFixed(1)},${y1.toFixed(1)} ${(x2 - bend).toFixed(1)},${y2.toFixed(1)} ${x2.toFixed(1)},${y2.toFixed(1)}`;
}

/** From one to five pixels, by the logarithm of what moves. */
function width(bytesPerSecond: number, connections: number): number {
  if (bytesPerSecond < 1) return connections > 0 ? 1.6 : 1.2;
  return Math.min(5, 1.6 + Math.max(0, Math.log10(bytesPerSecond) - 1) * 0.55);
}
