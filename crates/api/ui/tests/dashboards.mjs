// Drives the dashboard zashboard, which Waypost serves as `external_ui`, in Chromium: every page shows what
// it must, and there is no script error.
//
//   node tests/dashboards.mjs BASE SECRET SCREENSHOTS --url TEST_ADDRESS
//
// BASE is the address of the API, such as http://127.0.0.1:9090, with the dashboard at /ui/. There must be a
// selector with two members that answer, live connections, three at least, and new ones now and then.
// TEST_ADDRESS is what delay tests ask for; the dashboard's own is on the internet.
import { pathToFileURL } from "node:url";

import { Api, check, launch, LIMIT_MS, main, options, picture, until, Watch } from "./browse.mjs";

export async function testZashboard({ base, secret, shots, testUrl }) {
  const browser = await launch();
  try {
    const context = await browser.newContext({
      viewport: { width: 1440, height: 900 },
      locale: "en-US",
      serviceWorkers: "block",
    });
    await keepAtHome(context, base);
    await context.addInitScript(
      ([url]) => {
        localStorage.setItem("config/speedtest-url", url);
        localStorage.setItem("config/log-level", "debug");
        localStorage.setItem("config/auto-ip-check", "false");
        localStorage.setItem("config/auto-connection-check", "false");
      },
      [testUrl],
    );
    const page = await context.newPage();
    page.setDefaultTimeout(LIMIT_MS);
    const api = new Api(base, secret);
    const watch = new Watch(page, base, (text) => isKnown(text, base));
    const go = async (name) => {
      await page.goto(new URL(`/ui/#/${name}`, base).href);
      await until(`the page ${name}`, () => page.url().endsWith(`/${name}`));
    };
    await setUp(page, base, secret, shots);
    await go("overview");
    await overview(page, api, shots);
    await go("proxies");
    await proxies(page, api, shots);
    await go("rules");
    await rules(page, api, shots);
    await go("connections");
    await connections(page, api, shots);
    await go("logs");
    await logs(page, shots);
    watch.done("zashboard");
  } finally {
    await browser.close();
  }
}

/** What the dashboard asks of others is answered here: a test sends nothing to the internet. */
async function keepAtHome(context, base) {
  const { host } = new URL(base);
  await context.route(
    (url) => url.host !== host,
    (route) => {
      const headers = { "access-control-allow-origin": "*" };
      // It tries the port that Clash usually has: nobody is there. Whether there is a release is asked elsewhere.
      const status = new URL(route.request().url()).hostname === "127.0.0.1" ? 404 : 200;
      return route.fulfill({ status, headers, contentType: "application/json", body: '{"tag_name":"v0"}' });
    },
  );
}

/** Things that are so with every core: a store that only one has, and what the dashboard asks of others. */
function isKnown(text, base) {
  return (
    text.includes("/storage/zashboard") ||
    text.startsWith("console: Failed to sync settings after login") ||
    text.startsWith("a request to another origin") ||
    (text.startsWith("console: Failed to load resource") && !text.includes(`(${base}`))
  );
}

/** Waits for the answer to a request that something makes the dashboard send. */
async function answerOf(page, method, path, act) {
  const isIt = (response) => {
    return response.request().method() === method && path.test(new URL(response.url()).pathname);
  };
  const [response] = await Promise.all([page.waitForResponse(isIt, { timeout: LIMIT_MS }), act()]);
  check(response.ok(), `${method} ${response.url()} answers ${response.status()}: ${await response.text()}`);
  return response;
}

async function setUp(page, base, secret, shots) {
  const { hostname, port } = new URL(base);
  await page.goto(new URL("/ui/", base).href);
  await page.locator('input[placeholder="127.0.0.1"]').fill(hostname);
  await page.locator('input[placeholder="9090"]').fill(port);
  await page.locator('input[type="password"]').fill(secret);
  await picture(page, shots, "zashboard-setup");
  await page.getByRole("button", { name: "Submit" }).click();
  await until("the dashboard behind its set-up", () => /#\/(proxies|overview)$/.test(page.url()));
}

async function overview(page, api, shots) {
  const { version } = await api.get("/version");
  await page.getByText(version, { exact: false }).first().waitFor();
  const body = page.locator("body");
  await until("the number of connections", async () => /CONNECTIONS\s+[1-9]/i.test(await body.innerText()));
  await until("the memory", async () => /Memory usage\s+[1-9]/i.test(await body.innerText()));
  await picture(page, shots, "zashboard-overview");
}

async function proxies(page, api, shots) {
  const all = (await api.get("/proxies")).proxies;
  const groups = Object.values(all).filter((proxy) => Array.isArray(proxy.all) && proxy.name !== "GLOBAL");
  for (const { name } of groups) await group(page, name).waitFor();
  const balancer = groups.find(({ type, now }) => type === "LoadBalance" && now === "");
  if (balancer !== undefined) await group(page, balancer.name).getByText("Load balancing").waitFor();
  const selector = groups.find((one) => one.type === "Selector" && one.all.length > 1);
  check(selector !== undefined, "there is no selector with two members");
  const leaf = selector.all.find((name) => name !== selector.now && all[name].all === undefined);
  const box = group(page, selector.name);
  await box.getByText(selector.name, { exact: true }).click();
  const card = box.locator(".collapse-motion-body").getByText(leaf, { exact: true });
  await card.waitFor();
  await answerOf(page, "PUT", /^\/proxies\/[^/]+$/, () => card.click());
  const { now } = await api.get(`/proxies/${encodeURIComponent(selector.name)}`);
  check(now === leaf, `expected ${leaf} to be in use, found ${now}`);
  await until("the choice", async () => (await box.locator(".collapse-motion-header").innerText()).includes(leaf));
  // The number on a card is its delay, and the button that measures it.
  const cards = box.locator(".collapse-motion-body [class*='cursor-pointer'], .collapse-motion-body .card");
  const tag = cards.filter({ hasText: leaf }).locator(".latency-tag").first();
  await answerOf(page, "GET", /^\/proxies\/[^/]+\/delay$/, () => tag.click());
  await until("the delay of a member", async () => /^\d+$/.test((await tag.innerText()).trim()));
  const whole = box.locator(".collapse-motion-header .latency-tag");
  await answerOf(page, "GET", /^\/(group|proxies)\/[^/]+\/delay$/, () => whole.click());
  await until("the delay of a group", async () => /^\d+$/.test((await whole.innerText()).trim()));
  if (balancer !== undefined) {
    const tested = group(page, balancer.name).locator(".collapse-motion-header .latency-tag");
    // Without the mouse: the hint that the dashboard shows beside it looks up the delays of the member in
    // use, and fails in a group that has no single one.
    await answerOf(page, "GET", /^\/(group|proxies)\/[^/]+\/delay$/, () => tested.dispatchEvent("click"));
  }
  await picture(page, shots, "zashboard-proxies");
}

/** The box of a group. */
function group(page, name) {
  return page.locator(`[data-group-name="${name}"]`);
}

async function rules(page, api, shots) {
  const { rules: all } = await api.get("/rules");
  check(all.length > 0, "there is no rule");
  for (const { payload, proxy } of all.slice(0, 8)) {
    if (payload !== "") await page.getByText(payload.slice(0, 40), { exact: false }).first().waitFor();
    // It shows the target of a `route(target)` alone.
    await page.getByText(proxy.replace(/^route\((.*)\)$/, "$1"), { exact: false }).first().waitFor();
  }
  await picture(page, shots, "zashboard-rules");
}

async function connections(page, api, shots) {
  const { connections: live } = await api.get("/connections");
  check(live.length >= 3, `expected three live connections, found ${live.length}`);
  const rows = page.locator("tbody tr").filter({ has: page.locator("button") });
  await until("a row for each connection", async () => (await rows.count()) >= 3);
  const { host, destinationIP, destinationPort } = live[0].metadata;
  await page.getByText(`${host === "" ? destinationIP : host}:${destinationPort}`).first().waitFor();
  const text = await page.locator("tbody").innerText();
  check(!/undefined|NaN/.test(text), `the table of connections shows: ${text.match(/.*(undefined|NaN).*/)?.[0]}`);
  await picture(page, shots, "zashboard-connections");
  const closing = await answerOf(page, "DELETE", /^\/connections\/[^/]+$/, () => rows.first().locator("button").first().click());
  const id = new URL(closing.url()).pathname.split("/").pop();
  await until("one connection less", async () => !(await api.connections()).includes(id));
  // The buttons on top have no names: the last of them closes all.
  const top = page.locator("button.btn-circle.btn-sm:visible");
  const before = await api.connections();
  await answerOf(page, "DELETE", /^\/connections(\/[^/]+)?$/, async () => {
    await top.last().click();
    const sure = page.getByRole("button", { name: /^(confirm|ok|yes|close)$/i });
    if (await sure.first().isVisible().catch(() => false)) await sure.first().click();
  });
  await until("all of them closed", async () => {
    const after = await api.connections();
    return before.every((other) => !after.includes(other));
  });
}

async function logs(page, shots) {
  const body = page.locator("body");
  await until("a line of the log", async () => /\b(DEBUG|INFO)\b\s+\d\d:\d\d:\d\d\s+\S/i.test(await body.innerText()));
  await picture(page, shots, "zashboard-logs");
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  await main(async () => {
    const [[base, secret, shots], { url }] = options(process.argv.slice(2));
    check(shots !== undefined && url !== undefined, "expected: dashboards.mjs BASE SECRET SCREENSHOTS --url ADDRESS");
    await testZashboard({ base, secret, shots, testUrl: url });
    console.log("zashboard passed");
  });
}
