// The few helpers that the page makes its elements with. Names come from configuration files and hosts
// from clients: everything is inserted as text, never as markup.

type Child = Node | string;
type Attributes = Record<string, string | number | boolean>;

/** Makes an element. An attribute that is `false` is left out. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  setAttributes(element, attributes);
  element.append(...children);
  return element;
}

/** Makes an element of an SVG drawing. */
export function svg<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): SVGElementTagNameMap[K] {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  setAttributes(element, attributes);
  element.append(...children);
  return element;
}

function setAttributes(element: Element, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false) element.setAttribute(name, value === true ? "" : String(value));
  }
}

/** Makes a button that does something. */
export function button(label: string, attributes: Attributes, onClick: (event: MouseEvent) => void): HTMLButtonElement {
  const element = h("button", { type: "button", ...attributes }, label);
  element.addEventListener("click", onClick);
  return element;
}

/** Changes a text only if it is another one, so that nothing is laid out anew without need. */
export function setText(node: Node, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}

/** Changes an attribute only if it is another one; `null` takes it away. */
export function setAttribute(element: Element, name: string, value: string | null): void {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** An element that stands for one item of a list. */
export interface View<T> {
  element: Element;
  update(item: T): void;
}

/** Keeps children of `parent` in step with a list: those that stay are updated where they are. */
export class KeyedList<T> {
  private readonly views = new Map<string, View<T>>();

  constructor(
    private readonly parent: Element,
    private readonly keyOf: (item: T) => string,
    private readonly create: (item: T) => View<T>,
  ) {}

  /** Shows these items. */
  show(items: readonly T[]): void {
    const wanted = new Map(items.map((item) => [this.keyOf(item), item]));
    for (const [key, view] of this.views) {
      if (!wanted.has(key)) {
        view.element.remove();
        this.views.delete(key);
      }
    }
    let next = this.parent.firstElementChild;
    for (const [key, item] of wanted) {
      let view = this.views.get(key);
      if (view === undefined) {
        view = this.create(item);
        this.views.set(key, view);
      }
      view.update(item);
      if (view.element === next) {
        next = next.nextElementSibling;
      } else {
        this.parent.insertBefore(view.element, next);
      }
    }
  }
}

/** Draws a list up to a limit, with a button below that shows the rest. */
export class Cap {
  readonly element = h("p", { class: "cap", hidden: true });
  private readonly button: HTMLButtonElement;
  private showsAll = false;
  private n = 0;

  constructor(
    private limit: number,
    private readonly noun: string,
    onChange: () => void,
  ) {
    this.button = button("", { class: "quiet" }, () => {
      this.showsAll = !this.showsAll;
      this.describe();
      onChange();
    });
    this.element.append(this.button);
  }

  /** How many of `n` are to be drawn; another limit may hold from now on. */
  take(n: number, limit = this.limit): number {
    this.n = n;
    this.limit = limit;
    this.describe();
    return this.showsAll ? n : Math.min(n, this.limit);
  }

  private describe(): void {
    this.element.hidden = this.n <= this.limit;
    setText(this.button, this.showsAll ? `Show only ${this.limit} ${this.noun}` : `Show all ${this.n} ${this.noun}`);
    setAttribute(this.button, "aria-expanded", String(this.showsAll));
  }
}
