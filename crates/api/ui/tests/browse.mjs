// What the browser tests share: Chromium, what a page may not do, and small waits.
import { mkdirSync } from "node:fs";
import { join } from "node:path";

import { chromium } from "playwright-core";

/** Longer than anything takes on a busy machine. */
export const LIMIT_MS = 30_000;

/** Where Chromium is: `CHROMIUM`, or where Debian puts it. */
export const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";

export function launch() {
  // Its sandbox cannot be had by root in a container; every page here is the project's own or on loopback.
  return chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
}

/** Fails with a message if something does not hold. */
export function check(holds, message) {
  if (!holds) throw new Error(message);
}

/** Waits until a function returns something true, and returns that. */
export async function until(what, seen, limit = LIMIT_MS) {
  const end = Date.now() + limit;
  for (;;) {
    const result = await seen();
    if (result) return result;
    check(Date.now() < end, `not seen within ${limit} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Records what a page does that it should not: script errors, error messages, requests to elsewhere. */
export class Watch {
  constructor(page, base, isExpected = () => false) {
    this.problems = [];
    this.isExpected = isExpected;
    const { host } = new URL(base);
    const note = (text) => {
      if (!this.isExpected(text)) this.problems.push(text);
    };
    page.on("pageerror", (error) => note(`script error: ${error.stack ?? error}`));
    page.on("console", (message) => {
      if (message.type() === "error") note(`console: ${message.text()} (${message.location().url})`);
    });
    const visit = (address) => {
      const url = new URL(address);
      const isLocal = ["data:", "blob:"].includes(url.protocol) || url.host === host;
      if (!isLocal) note(`a request to another origin: ${address}`);
    };
    page.on("request", (request) => visit(request.url()));
    page.on("websocket", (socket) => visit(socket.url()));
  }

  /** Fails if there was anything. */
  done(where) {
    check(this.problems.length === 0, `${where}:\n  ${this.problems.join("\n  ")}`);
  }
}

/** Waypost itself, to see what a page has done. */
export class Api {
  constructor(base, secret) {
    this.base = base;
    this.headers = { Authorization: `Bearer ${secret}` };
  }

  async get(path) {
    const response = await fetch(new URL(path, this.base), { headers: this.headers });
    check(response.ok, `GET ${path} answers ${response.status}`);
    return response.json();
  }

  async connections() {
    return (await this.get("/connections")).connections.map(({ id }) => id);
  }
}

/** Takes a picture into a folder. */
export async function picture(page, folder, name, options = {}) {
  mkdirSync(folder, { recursive: true });
  // What fades in is waited for, what turns for ever is not.
  await page.evaluate(() => {
    const finite = document.getAnimations().filter((one) => one.effect?.getComputedTiming().endTime !== Infinity);
    const all = Promise.allSettled(finite.map((one) => one.finished));
    return Promise.race([all, new Promise((resolve) => setTimeout(resolve, 2000))]).then(() => {});
  });
  await page.screenshot({ path: join(folder, `${name}.png`), ...options });
}

/** Runs a test from the command line: says what failed, and exits with it. */
export async function main(test) {
  try {
    await test();
  } catch (error) {
    console.error(`error: ${error.message ?? error}`);
    process.exitCode = 1;
  }
}

/** Splits `A B --name value` into `[["A", "B"], { name: "value" }]`. */
export function options(given) {
  const [plain, named] = [[], {}];
  for (let at = 0; at < given.length; at += 1) {
    if (given[at].startsWith("--")) named[given[at].slice(2)] = given[++at];
    else plain.push(given[at]);
  }
  return [plain, named];
}
