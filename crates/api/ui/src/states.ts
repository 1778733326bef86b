// States of members: a shape and a word, and a colour on top of them.

import { h, setAttribute, setText } from "./dom";
import type { State } from "./types";

/** In the order in which they are counted. */
export const STATES: readonly State[] = ["up", "suspect", "ejected", "down", "unknown"];

/** A mark that says what state a member is in. */
export class StateMark {
  readonly element: HTMLElement;
  private readonly word: HTMLElement;

  constructor() {
    this.word = h("span", { class: "word" });
    this.element = h("span", { class: "state" }, h("span", { class: "shape", "aria-hidden": "true" }), this.word);
  }

  show(state: State): void {
    setAttribute(this.element, "data-state", state);
    setText(this.word, state);
  }
}

/** How many members are in which state, such as "2 up, 1 down". */
export function summary(states: readonly State[]): string {
  const parts = STATES.map((state) => [state, states.filter((other) => other === state).length] as const);
  const present = parts.filter(([, n]) => n > 0);
  return present.map(([state, n]) => `${n} ${state}`).join(", ");
}
