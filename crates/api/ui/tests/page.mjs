// Drives the own page in Chromium.
//
//   node tests/page.mjs BASE SECRET SCREENSHOTS [--down MEMBER]
//
// BASE is the address of the API, such as http://127.0.0.1:9090. There must be a selector with two members,
// and live connections, two at least. With `--down`, the line `take down MEMBER` is written once the page
// shows that member, and whoever runs this is to end it then.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

import { Api, check, launch, LIMIT_MS, main, options, picture, until, Watch } from "./browse.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export async function testPage({ base, secret, shots, down = null, takeDown = () => {} }) {
  const browser = await launch();
  try {
    const context = await browser.newContext({ viewport: { width: 1440, height: 1000 }, colorScheme: "light" });
    const page = await context.newPage();
    page.setDefaultTimeout(LIMIT_MS);
    // Chromium reports each answer of 4xx as an error; the page itself is to say what is wrong.
    const watch = new Watch(page, base, (text) => /the server responded with a status of 40[01]/.test(text));
    await signIn(page, base, secret);
    const api = new Api(base, secret);
    const frame = await api.get("/waypost/live");
    await showsTopology(page, frame);
    await explains(page, frame);
    await testsDelays(page, frame);
    await choosesByKeyboard(page, frame);
    await switchesMode(page, api);
    await isAccessible(page, "light");
    await picture(page, shots, "page-light", { fullPage: true });
    await page.emulateMedia({ colorScheme: "dark" });
    await isAccessible(page, "dark");
    await picture(page, shots, "page-dark", { fullPage: true });
    await page.setViewportSize({ width: 360, height: 740 });
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    check(overflow <= 0, `at a width of 360 pixels the page is ${overflow} pixels too wide`);
    await isAccessible(page, "narrow");
    await picture(page, shots, "page-narrow", { fullPage: true });
    await page.setViewportSize({ width: 1440, height: 1000 });
    if (down !== null) await showsChange(page, down, takeDown, shots);
    await overview(page, shots);
    await closesConnections(page, api, shots);
    check((await page.locator("main img, main script, main iframe").count()) === 0, "a name was inserted as markup");
    watch.done("the page");
    await survivesLostLink(context, base, secret, shots);
  } finally {
    await browser.close();
  }
}

/** The selector of an element of the topology. */
function node(id) {
  return `[data-node="${id.replaceAll(/["\\]/g, "\\$&").replaceAll("\n", "\\a ")}"]`;
}

/** The secret is asked for, a wrong one is refused in words, and it is in no address. */
async function signIn(page, base, secret) {
  await page.goto(new URL("/ui/", base).href);
  await page.getByLabel("Secret", { exact: true }).fill("not the secret");
  await page.keyboard.press("Enter");
  await page.getByText("does not accept that secret").waitFor();
  await page.getByLabel("Secret", { exact: true }).fill(secret);
  await page.keyboard.press("Enter");
  await page.locator('#link[data-link="live"]').waitFor();
  check(!page.url().includes(secret), "the secret is in the address");
  const other = await page.context().newPage();
  await other.goto(new URL(`/ui/#secret=${encodeURIComponent(secret)}`, base).href);
  await other.locator('#link[data-link="live"]').waitFor();
  check(!other.url().includes("secret"), "the secret stays in the address bar");
  await other.close();
}

async function showsTopology(page, frame) {
  const area = page.locator("#topology");
  for (const { tag } of frame.inbounds) await area.locator(".inbounds").getByText(tag, { exact: true }).first().waitFor();
  for (const group of frame.groups.slice(0, 12)) {
    await area.getByRole("heading", { name: group.tag, exact: true }).waitFor();
    for (const { tag } of group.members.slice(0, 8)) {
      const row = area.locator(node(`member:${group.tag}\n${tag}`));
      const text = await row.innerText();
      check(/\b(up|suspect|ejected|down|unknown)\b/.test(text), `no state of ${tag} in words: ${text}`);
    }
    check(group.lastChange === null || (await area.getByText(group.lastChange.reason).count()) > 0, `no reason of the last switch of ${group.tag}`);
  }
  const n = await until("lines between the elements", () => area.locator(".lines path[d]").count());
  const least = frame.inbounds.length + frame.groups.length;
  check(n > least, `expected more than ${least} lines, found ${n}`);
  const used = frame.rules.filter((rule) => rule.hits > 0).length;
  check(used > 0, "the server has carried no connection by a rule");
  const unused = page.locator("#rules tbody tr.unused");
  check((await unused.count()) === frame.rules.length - used, "rules never hit are not the ones that are marked");
}

/** Explains a connection by keyboard alone, and refuses what is no target. */
async function explains(page, frame) {
  await page.locator("#explain-target").focus();
  await page.keyboard.type("www.example.com:443");
  await page.keyboard.press("Enter");
  await page.locator("#explain .verdict", { hasText: "www.example.com:443" }).waitFor();
  const answer = page.locator("#explain .answer");
  if (frame.rules.length > 0) {
    const verdicts = await answer.locator("td.is").allInnerTexts();
    check(verdicts.length > 0, "no verdict of any condition");
    check(verdicts.every((text) => /holds|fails|not needed/.test(text)), `verdicts are ${verdicts.join("|")}`);
  }
  await answer.getByText("Plan, tried in this order").waitFor();
  check((await answer.locator(".plan li").count()) > 0, "the plan is empty");
  await page.locator("#explain-target").fill("no target at all");
  await page.keyboard.press("Enter");
  await page.locator(".notice.failed").first().waitFor();
}

async function testsDelays(page, frame) {
  const { tag } = frame.groups[0];
  await page.getByRole("button", { name: `Test delays of ${tag}` }).click();
  await page.locator(".notice", { hasText: `${tag}: ` }).filter({ hasText: "answered" }).waitFor();
}

/** Goes with Tab from the top of the page to another member of a selector, and chooses it. */
async function choosesByKeyboard(page, frame) {
  const group = frame.groups.find(({ type, members }) => type === "Selector" && members.length > 1);
  check(group !== undefined, "there is no selector with two members");
  const { tag } = group.members.find((member) => member.tag !== group.now);
  await page.evaluate(() => {
    document.activeElement?.blur();
    window.scrollTo(0, 0);
  });
  await page.locator("h1").click();
  await page.keyboard.press("Tab");
  const label = `Use: ${tag} for ${group.tag}`;
  for (let n = 0; ; n += 1) {
    check(n < 300, `the button "${label}" cannot be reached with Tab`);
    const focused = await page.evaluate(() => {
      const element = document.activeElement;
      const style = element === null ? null : getComputedStyle(element);
      return { label: element?.getAttribute("aria-label"), ring: style?.outlineStyle, tag: element?.tagName };
    });
    check(focused.tag === "BODY" || focused.ring !== "none", `no visible focus on ${JSON.stringify(focused)}`);
    if (focused.label === label) break;
    await page.keyboard.press("Tab");
  }
  await page.keyboard.press("Space");
  await page.locator(`${node(`member:${group.tag}\n${tag}`)}.now`).waitFor();
  await page.locator(node(`group:${group.tag}`), { hasText: `now: ${tag}` }).waitFor();
}

/** Goes to another mode and back, where the rules ask for modes. */
async function switchesMode(page, api) {
  const { mode, "mode-list": modes = [] } = await api.get("/configs");
  const select = page.locator("#mode-select");
  if (modes.length < 2) return check((await select.count()) === 0, "a choice between modes where there is none");
  const other = modes.find((one) => one.toLowerCase() !== mode.toLowerCase());
  for (const next of [other, mode]) {
    await select.selectOption({ label: modes.find((one) => one.toLowerCase() === next.toLowerCase()) });
    await until(`the mode ${next}`, async () => (await api.get("/configs")).mode.toLowerCase() === next.toLowerCase());
  }
}

async function showsChange(page, down, takeDown, shots) {
  const state = page.locator(`[data-member="${down}"] .state`).first();
  await until(`${down} is up`, async () => (await state.innerText()) === "up");
  await takeDown(down);
  await until(`${down} is no longer up`, async () => /suspect|ejected|down/.test(await state.innerText()));
  await page.locator("#topology .change", { hasText: down }).first().waitFor();
  await picture(page, shots, "page-member-down");
}

/** The pictures of the documentation. */
async function overview(page, shots) {
  await page.locator("#explain-target").fill("www.example.com:443");
  await page.keyboard.press("Enter");
  await page.locator("h1").click();
  await page.setViewportSize({ width: 1440, height: 1180 });
  const dismiss = page.locator(".notice button");
  while ((await dismiss.count()) > 0) await dismiss.first().click();
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    await page.evaluate(() => window.scrollTo(0, 0));
    await picture(page, shots, `overview-${colorScheme}`);
  }
}

async function closesConnections(page, api, shots) {
  await page.locator("#connections").scrollIntoViewIfNeeded();
  const rows = page.locator("#connections tbody tr");
  const first = rows.first();
  await first.waitFor();
  const id = await first.getAttribute("data-connection");
  const row = page.locator(`[data-connection="${id}"]`);
  await row.locator(".host").focus();
  await page.keyboard.press("Enter");
  const dialog = page.getByRole("dialog");
  await dialog.getByText("Attempts").waitFor();
  for (const words of ["Target", "Rule", "Way"]) await dialog.getByText(words, { exact: true }).waitFor();
  await picture(page, shots, "page-why");
  await isAccessible(page, "dialog");
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  const filter = page.getByLabel("Filter connections");
  await filter.fill("no connection has this");
  await page.getByText("No connection has these words.").waitFor();
  await filter.fill("");
  await row.getByRole("button", { name: /^Close / }).click();
  await row.waitFor({ state: "detached" });
  check(!(await api.connections()).includes(id), "a connection that was closed is still there");
  const live = await shownConnections(page);
  await page.getByRole("button", { name: "Close all" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Close all" }).click();
  await page.locator(".notice", { hasText: "closed" }).waitFor();
  // Clients may have come back by now, as new connections.
  await until("no row of them", async () => (await shownConnections(page)).every((one) => !live.includes(one)));
  const left = await api.connections();
  check(live.every((one) => !left.includes(one)), "connections that were closed are still there");
}

function shownConnections(page) {
  return page.locator("#connections tbody tr").evaluateAll((rows) => rows.map((row) => row.dataset.connection));
}

/** No violation of serious or critical impact, by the rules of axe. */
async function isAccessible(page, name) {
  await page.evaluate(AXE);
  const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  const bad = found.violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  const lines = bad.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.slice(0, 5).map(({ html }) => html).join(" ")}`);
  check(bad.length === 0, `axe, ${name}:\n  ${lines.join("\n  ")}`);
}

/** The link breaks: the page says so, and comes back by itself. */
async function survivesLostLink(context, base, secret, shots) {
  const page = await context.newPage();
  page.setDefaultTimeout(LIMIT_MS);
  const sockets = [];
  await page.routeWebSocket(/\/waypost\/live/, (socket) => {
    sockets.push(socket);
    socket.connectToServer();
  });
  await page.goto(new URL(`/ui/#secret=${encodeURIComponent(secret)}`, base).href);
  const link = page.locator("#link");
  await page.locator('#link[data-link="live"]').waitFor();
  await context.setOffline(true);
  await sockets.at(-1).close();
  await page.locator('#link[data-link="lost"]').waitFor();
  check((await link.innerText()).includes("link lost"), "the lost link is not said in words");
  await picture(page, shots, "page-link-lost");
  await context.setOffline(false);
  await page.locator('#link[data-link="live"]').waitFor();
  await page.close();
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  await main(async () => {
    const [[base, secret, shots], { down = null }] = options(process.argv.slice(2));
    check(shots !== undefined, "expected: page.mjs BASE SECRET SCREENSHOTS [--down MEMBER]");
    await testPage({ base, secret, shots, down, takeDown: (member) => console.log(`take down ${member}`) });
    console.log("the page passed");
  });
}
