// A stand-in for Waypost: serves the built page, or a dashboard, with plausible data that changes.
//
//   node tests/mock.mjs [--port 8090] [--secret S] [--ui FOLDER] [--big]
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

import { World } from "./model.mjs";
import { accept } from "./socket.mjs";

const DIST = fileURLToPath(new URL("../dist", import.meta.url));
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const TYPES = {
  ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml",
  ".json": "application/json", ".webmanifest": "application/manifest+json", ".png": "image/png", ".woff2": "font/woff2",
};

/** Listens on a loopback port, and returns `{ url, world, close() }`. */
export async function startMock({ port = 0, secret = "", ui = null, isBig = false } = {}) {
  const world = new World({ isBig });
  const sockets = new Set();
  const server = createServer((request, response) => void answer(request, response));
  const isAllowed = (request, url) =>
    secret === "" || request.headers.authorization === `Bearer ${secret}` || url.searchParams.get("token") === secret;

  async function answer(request, response) {
    const url = new URL(request.url, "http://localhost");
    const say = (status, value, headers = {}) => {
      response.writeHead(status, { "Content-Type": "application/json", ...headers });
      response.end(value === undefined ? "" : JSON.stringify(value));
    };
    if (url.pathname === "/ui") return say(307, undefined, { Location: "/ui/" });
    if (url.pathname.startsWith("/ui/")) return serve(response, url.pathname.slice(4), ui);
    if (!isAllowed(request, url)) return say(401, { message: "Unauthorized" });
    let text = "";
    for await (const part of request) text += part;
    const [status, value] = route(world, request.method, url, text === "" ? {} : JSON.parse(text));
    return say(status, value);
  }

  server.on("upgrade", (request, socket) => {
    const url = new URL(request.url, "http://localhost");
    if (!isAllowed(request, url)) return socket.end("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
    const streams = {
      "/waypost/live": () => world.frame(),
      "/connections": () => connections(world),
      "/traffic": () => world.rates,
      "/memory": () => ({ inuse: 24_000_000, oslimit: 0 }),
      "/logs": () => ({ type: "info", payload: `[${world.connections.size}] connection decided` }),
    };
    const stream = streams[url.pathname];
    if (stream === undefined) return socket.end("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    const link = accept(request, socket);
    const send = () => link.send(stream());
    send();
    const timer = setInterval(send, Number(url.searchParams.get("interval") ?? 1000));
    sockets.add(link);
    link.onEnd(() => {
      clearInterval(timer);
      sockets.delete(link);
    });
  });
  const ticking = setInterval(() => world.tick(), 1000);
  await new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    world,
    dropSockets: () => sockets.forEach((link) => link.close()),
    close: () => {
      clearInterval(ticking);
      sockets.forEach((link) => link.close());
      server.closeAllConnections();
      server.close();
    },
  };
}

function serve(response, path, ui) {
  const name = normalize(path === "" ? "index.html" : decodeURIComponent(path)).replace(/^(\.\.[/\\])+/, "");
  try {
    const bytes = readFileSync(join(ui ?? DIST, name));
    const policy = ui === null ? { "Content-Security-Policy": POLICY } : {};
    response.writeHead(200, { "Content-Type": TYPES[extname(name)] ?? "application/octet-stream", ...policy });
    response.end(bytes);
  } catch {
    response.writeHead(404).end();
  }
}

function connections(world) {
  const live = [...world.connections.values()].map(({ speed, ...connection }) => connection);
  return { downloadTotal: world.totals.down, uploadTotal: world.totals.up, connections: live, memory: 24_000_000 };
}

function proxies(world) {
  const history = (delay) => (delay === null ? [] : [{ time: new Date().toISOString(), delay: Math.round(delay) }]);
  const leaves = [...world.outbounds.values()].map(({ tag, type, delay }) => {
    return [tag, { name: tag, type, udp: true, history: history(delay) }];
  });
  const groups = world.groups.map(({ tag, type, now, members }) => {
    return [tag, { name: tag, type, udp: true, now, all: members.map((member) => member.tag), history: [] }];
  });
  const all = [...groups, ...leaves].map(([tag]) => tag);
  const global = ["GLOBAL", { name: "GLOBAL", type: "Fallback", udp: true, now: all[0], all, history: [] }];
  return Object.fromEntries([global, ...groups, ...leaves]);
}

/** Every request but those for files: `[status, value]`. */
function route(world, method, url, body) {
  const parts = url.pathname.split("/").slice(1).map(decodeURIComponent);
  const missing = [404, { message: "Resource not found" }];
  const delayOf = (tag) => world.outbounds.get(tag)?.delay ?? (world.groups.some((group) => group.tag === tag) ? 20 : null);
  const delays = (tag) => {
    const members = world.groups.find((group) => group.tag === tag)?.members ?? [];
    const known = members.map((member) => [member.tag, delayOf(member.tag)]).filter(([, delay]) => delay !== null);
    return Object.fromEntries(known.map(([name, delay]) => [name, Math.round(delay)]));
  };
  const delay = (tag) => (delayOf(tag) === null ? [503, { message: "An error occurred in the delay test" }] : [200, { delay: Math.round(delayOf(tag)) }]);
  switch (`${method} ${parts.map((part, index) => (index === 1 && parts[0] !== "waypost" && parts[0] !== "providers" ? ":" : part)).join("/")}`) {
    case "GET version":
      return [200, { version: "waypost 0.1.0", meta: true, premium: true }];
    case "GET configs":
      return [200, { port: 0, "socks-port": 0, mode: world.mode, "mode-list": ["Rule", "Global"], "log-level": "info", "allow-lan": false }];
    case "PATCH configs":
      world.mode = body.mode ?? world.mode;
      return [204];
    case "GET proxies":
      return [200, { proxies: proxies(world) }];
    case "GET group":
      return [200, { proxies: Object.values(proxies(world)).filter((proxy) => proxy.all !== undefined) }];
    case "GET proxies/:":
      return proxies(world)[parts[1]] === undefined ? missing : [200, proxies(world)[parts[1]]];
    case "PUT proxies/:": {
      const group = world.groups.find(({ tag }) => tag === parts[1]);
      if (group === undefined) return missing;
      if (!group.members.some(({ tag }) => tag === body.name)) return [400, { message: "Selector update error: not found" }];
      group.now = body.name;
      group.lastChange = { time: new Date().toISOString(), reason: `${body.name} was chosen by the API` };
      return [204];
    }
    case "GET proxies/:/delay":
      return delay(parts[1]);
    case "GET group/:/delay":
      return [200, delays(parts[1])];
    case "GET rules":
      return [200, { rules: world.rules.map(({ text, action, to }) => ({ type: "default", payload: text, proxy: to ?? action })) }];
    case "GET connections":
      return [200, connections(world)];
    case "DELETE connections":
      world.connections.clear();
      return [204];
    case "DELETE connections/:":
      return world.connections.delete(parts[1]) ? [204] : missing;
    case "GET providers/proxies":
    case "GET providers/rules":
      return [200, { providers: {} }];
    case "GET waypost/live":
      return [200, world.frame()];
    case "POST waypost/explain":
      return /:\d+$/.test(body.target ?? "") ? [200, world.explain(body)] : [400, { message: "expected `host:port` as target" }];
    default:
      return parts[0] === "waypost" && parts[1] === "why" ? why(world, parts[2]) : missing;
  }
}

function why(world, id) {
  const connection = world.connections.get(id);
  if (connection === undefined) return [404, { message: "no such connection" }];
  const { chains, rule, start, metadata, upload, download } = connection;
  const attempts = [{ outbound: chains[0], began_ms: 0, took_ms: 23, end: "stood" }];
  const facts = {
    id, start, network: metadata.network, target: `${metadata.host}:${metadata.destinationPort}`,
    source: `${metadata.sourceIP}:${metadata.sourcePort}`, inbound: metadata.type.split("/")[1], user: null,
    protocol: "tls", sniffed: metadata.host, rule, chains, why: "the key is nearest to it",
    key: `${metadata.sourceIP}|example.com`, attempts, upload, download,
  };
  return [200, facts];
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const option = (name) => {
    const at = process.argv.indexOf(name);
    return at < 0 ? undefined : process.argv[at + 1];
  };
  const mock = await startMock({
    port: Number(option("--port") ?? 8090),
    secret: option("--secret") ?? "",
    ui: option("--ui") ?? null,
    isBig: process.argv.includes("--big"),
  });
  console.log(`${mock.url}/ui/`);
}
