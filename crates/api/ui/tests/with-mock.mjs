// Drives the own page against the mock server: `npm test`.
import { fileURLToPath } from "node:url";

import { check, launch, LIMIT_MS, main, picture, until, Watch } from "./browse.mjs";
import { startMock } from "./mock.mjs";
import { testPage } from "./page.mjs";

const SECRET = "a secret & more";
const SHOTS = fileURLToPath(new URL("../../../../target/screenshots/mock", import.meta.url));

await main(async () => {
  const shots = process.argv[2] ?? SHOTS;
  await withMock({}, async (mock) => {
    const [connection] = mock.world.connections.values();
    connection.metadata.host = '<img src="x" onerror="alert(1)">';
    const takeDown = (member) => mock.world.takeDown(member);
    await testPage({ base: mock.url, secret: SECRET, shots, down: "ams-2", takeDown });
  });
  await withMock({ isBig: true }, (mock) => testBig(mock, shots));
  console.log("the page passed against the mock server");
});

async function withMock(options, test) {
  const mock = await startMock({ secret: SECRET, ...options });
  try {
    await test(mock);
  } finally {
    mock.close();
  }
}

/** 53 groups, 2,500 members, 300 rules and 1,000 connections: little of it is drawn until it is asked for. */
async function testBig({ url: base, world }, shots) {
  let frames = 0;
  const frame = world.frame.bind(world);
  world.frame = () => {
    frames += 1;
    return frame();
  };
  const browser = await launch();
  try {
    const page = await browser.newPage({ viewport: { width: 1440, height: 1000 } });
    page.setDefaultTimeout(LIMIT_MS);
    const watch = new Watch(page, base);
    await page.goto(new URL(`/ui/#secret=${encodeURIComponent(SECRET)}`, base).href);
    const count = (selector) => page.locator(selector).count();
    await page.locator("#connections").scrollIntoViewIfNeeded();
    await until("the first rows", async () => (await count("#connections tbody tr")) > 0);
    const drawn = { "#topology .group": 12, "#topology .rule": 13, "#rules tbody tr": 61, "#connections tbody tr": 50 };
    for (const [selector, most] of Object.entries(drawn)) {
      const n = await count(selector);
      check(n > 0 && n <= most, `expected at most ${most} of ${selector}, found ${n}`);
    }
    check((await count("#topology .member")) <= 12 * 16, "too many members are drawn");
    await picture(page, shots, "page-big");
    for (const [name, selector, all] of [
      [/^Show all \d+ connections$/, "#connections tbody tr", 1000],
      [/^Show all 50 members of group-0$/, '#topology .group:has(#group-group-0) .member', 50],
      [/^Show all 53 groups$/, "#topology .group", 53],
    ]) {
      await page.getByRole("button", { name }).click();
      await until(`${all} of ${selector}`, async () => (await count(selector)) >= all);
    }
    // The same element is still there after the next frames: rows are updated, not made anew.
    const row = await page.locator('[data-node="group:group-0"]').elementHandle();
    const before = frames;
    await until("two more frames", () => frames > before + 2);
    check(await row.evaluate((element) => element.isConnected), "a group was made anew by a frame");
    watch.done("the page with much to show");
  } finally {
    await browser.close();
  }
}
