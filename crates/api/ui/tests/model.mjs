// A small world that changes by itself: what the mock server shows.

/** The same numbers in every run. */
function randomFrom(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

const HOSTS = [
  "www.example.com",
  "cdn.example.net",
  "api.shop.example",
  "video.media.example",
  "mail.example.org",
  "git.code.example",
  "updates.vendor.example",
  "static.images.example",
];

const RULES = [
  ["protocol=dns", "hijack-dns", null],
  ["domain_keyword=ads domain_suffix=.tracker.example", "reject", null],
  ["domain_suffix=.corp.example ip_cidr=10.0.0.0/8 ip_cidr=192.168.0.0/16", "route(direct)", "direct"],
  ["geosite=video network=tcp", "route(video)", "video"],
  ["domain_suffix=.example port=443", "route(balanced)", "balanced"],
  ["domain_suffix=.shop.example", "route(choice)", "choice"],
  ["port=25", "reject", null],
];

export class World {
  constructor({ isBig = false } = {}) {
    this.random = randomFrom(7);
    this.start = Date.now();
    this.mode = "Rule";
    this.nextId = 1;
    this.connections = new Map();
    this.totals = { up: 0, down: 0 };
    this.rates = { up: 0, down: 0 };
    this.generation = 1;
    this.rules = RULES.map(([text, action, to], index) => {
      const line = 12 + 4 * index;
      return { index, label: `rule ${index + 1} (line ${line})`, line, file: null, text, action, to, hits: 0 };
    });
    this.inbounds = [
      { tag: "lan", protocol: "mixed", address: "127.0.0.1:1080", connections: 0, up: 0, down: 0 },
      { tag: "gateway", protocol: "redirect", address: "127.0.0.1:12345", connections: 0, up: 0, down: 0 },
    ];
    this.defaultHits = 0;
    this.outbounds = new Map();
    for (const [tag, delay] of [["ams-1", 18], ["ams-2", 23], ["fra-1", 31], ["lon-1", 42], ["nyc-1", 97], ["sgp-1", 181]]) {
      this.addOutbound(tag, "Socks", delay);
    }
    this.addOutbound("direct", "Direct", null);
    this.outbounds.get("direct").state = "unknown";
    const lb = ["ams-1", "ams-2", "fra-1"].map((tag) => this.member(tag, "primary"));
    lb.push(this.member("nyc-1", "backup"));
    const video = ["fra-1", "lon-1", "sgp-1"].map((tag) => this.member(tag, "primary"));
    const choice = ["ams-1", "lon-1", "nyc-1", "balanced"].map((tag) => this.member(tag, "primary"));
    this.groups = [
      this.group("balanced", "LoadBalance", "consistent_hash", "", lb),
      this.group("video", "URLTest", "url_test", "fra-1", video),
      this.group("choice", "Selector", "selector", "ams-1", choice),
    ];
    if (isBig) this.grow();
    for (let n = 0; n < (isBig ? 1000 : 14); n += 1) this.open();
    for (let n = 0; n < 30; n += 1) this.tick();
  }

  grow() {
    for (let g = 0; g < 50; g += 1) {
      const members = [];
      for (let m = 0; m < 50; m += 1) {
        const tag = `node-${g}-${m}`;
        this.addOutbound(tag, "Socks", 10 + ((g * 7 + m * 13) % 200));
        members.push(this.member(tag, m < 40 ? "primary" : "backup"));
      }
      this.groups.push(this.group(`group-${g}`, "LoadBalance", "consistent_hash", "", members));
    }
    for (let index = this.rules.length; index < 300; index += 1) {
      const to = `group-${index % 50}`;
      const text = `domain_suffix=.site${index}.example`;
      const place = { label: `rule ${index + 1} (line ${4 * index})`, line: 4 * index, file: null };
      this.rules.push({ index, ...place, text, action: `route(${to})`, to, hits: index % 3 });
    }
  }

  addOutbound(tag, type, delay) {
    this.outbounds.set(tag, { tag, type, connections: 0, up: 0, down: 0, state: "up", delay, base: delay });
  }

  member(tag, tier) {
    return { tag, tier, carried: 0, failed: 0, overtaken: 0, silent: 0, up: 0, down: 0, lastError: null };
  }

  group(tag, type, strategy, now, members) {
    const lastChange = { time: new Date(Date.now() - 125_000).toISOString(), reason: "first round of probes is over" };
    return { tag, type, strategy, tier: "primary", bootstrapping: false, now, members, lastChange };
  }

  pick(list) {
    return list[Math.floor(this.random() * list.length)];
  }

  /** A new connection, by a rule, through a group. */
  open() {
    const rule = this.pick(this.rules.filter(({ to }) => to !== null));
    rule.hits += 1;
    const group = this.groups.find(({ tag }) => tag === rule.to);
    const chains = group === undefined ? [rule.to] : this.chain(group);
    const id = String(this.nextId++);
    const metadata = {
      network: "tcp",
      type: this.pick(["mixed/lan", "redirect/gateway"]),
      host: this.pick(HOSTS),
      destinationIP: `203.0.113.${1 + Math.floor(this.random() * 250)}`,
      destinationPort: this.pick(["443", "443", "80"]),
      sourceIP: `192.168.1.${20 + Math.floor(this.random() * 9)}`,
      sourcePort: String(40_000 + Math.floor(this.random() * 20_000)),
      processPath: "",
      dnsMode: "normal",
    };
    const start = new Date(Date.now() - Math.floor(this.random() * 90_000)).toISOString();
    const speed = this.random() < 0.35 ? 4000 + this.random() ** 3 * 2_500_000 : 0;
    this.connections.set(id, {
      id, metadata, upload: 400, download: 1800, start, chains, rule: rule.label, rulePayload: rule.text, speed,
    });
    if (group !== undefined) group.members.find(({ tag }) => chains.includes(tag)).carried += 1;
  }

  /** The leaf first, then the groups that led to it. */
  chain(group) {
    const usable = group.members.filter(({ tag, tier }) => tier === group.tier && (this.stateOf(tag) === "up"));
    const tag = group.now !== "" ? group.now : this.pick(usable.length > 0 ? usable : group.members).tag;
    const inner = this.groups.find((other) => other.tag === tag);
    return inner === undefined ? [tag, group.tag] : [...this.chain(inner), group.tag];
  }

  stateOf(tag) {
    return this.outbounds.get(tag)?.state ?? "up";
  }

  /** A second passes. */
  tick() {
    this.rates = { up: 0, down: 0 };
    for (const connection of this.connections.values()) {
      const down = Math.round(connection.speed * (0.5 + this.random()));
      this.carry(connection, Math.round(down / 25), down);
    }
    if (this.random() < 0.5) {
      this.open();
      const [oldest] = this.connections.keys();
      if (this.connections.size > 14) this.connections.delete(oldest);
    }
    if (this.random() < 0.2) this.defaultHits += 1;
    if (this.random() < 0.6) this.rules[1].hits += 1;
    for (const outbound of this.outbounds.values()) {
      if (outbound.base !== null && outbound.delay !== null) outbound.delay = outbound.base * (0.9 + 0.25 * this.random());
    }
  }

  carry(connection, up, down) {
    connection.upload += up;
    connection.download += down;
    const inbound = this.inbounds.find(({ tag }) => connection.metadata.type.endsWith(tag));
    const outbound = this.outbounds.get(connection.chains[0]);
    const places = [this.totals, this.rates, inbound, outbound];
    for (const [index, tag] of connection.chains.entries()) {
      const group = this.groups.find((other) => other.tag === tag);
      if (group !== undefined) places.push(group.members.find((member) => member.tag === connection.chains[index - 1]));
    }
    for (const place of places) {
      if (place === undefined) continue;
      place.up += up;
      place.down += down;
    }
  }

  /** Somebody pulls the plug of a member. */
  takeDown(tag) {
    const outbound = this.outbounds.get(tag);
    outbound.state = "down";
    outbound.delay = null;
    for (const group of this.groups) {
      const member = group.members.find((one) => one.tag === tag);
      if (member === undefined) continue;
      member.failed += 3;
      if (group.now === tag) group.now = group.members.find((one) => this.stateOf(one.tag) === "up")?.tag ?? "";
      group.lastChange = { time: new Date().toISOString(), reason: `${tag} went down: 3 probes failed in a row` };
    }
  }

  liveOn(filter) {
    return [...this.connections.values()].filter(filter).length;
  }

  frame() {
    const members = (group) =>
      group.members.map((member) => {
        const inner = this.groups.find(({ tag }) => tag === member.tag);
        const { state, delay } = this.outbounds.get(member.tag) ?? { state: "up", delay: 20 };
        const isServing = member.tier === group.tier && state === "up";
        const through = ({ chains }) => {
          const at = chains.indexOf(group.tag);
          return at > 0 && chains[at - 1] === member.tag;
        };
        const role = state === "down" ? "down" : isServing ? "candidate" : "standby";
        return { ...member, group: inner !== undefined, state, role, delay, connections: this.liveOn(through) };
      });
    return {
      time: new Date().toISOString(),
      version: "0.1.0",
      generation: this.generation,
      uptime: (Date.now() - this.start) / 1000 + 5000,
      rates: this.rates,
      totals: this.totals,
      connections: this.connections.size,
      inbounds: this.inbounds.map((inbound) => {
        return { ...inbound, connections: this.liveOn(({ metadata }) => metadata.type.endsWith(inbound.tag)) };
      }),
      rules: this.rules,
      default: { to: "direct", hits: this.defaultHits },
      groups: this.groups.map((group) => ({ ...group, members: members(group) })),
      outbounds: [...this.outbounds.values()].map(({ base, ...outbound }) => {
        return { ...outbound, connections: this.liveOn(({ chains }) => chains[0] === outbound.tag) };
      }),
    };
  }

  explain({ target, network = "tcp" }) {
    const host = target.replace(/:\d+$/, "");
    const rules = [];
    let chosen = null;
    for (const rule of this.rules.slice(0, 7)) {
      const conditions = rule.text.split(" ").map((part) => {
        const [name, wanted] = part.split("=");
        const holds = name === "port" ? target.endsWith(`:${wanted}`) : name === "domain_suffix" && host.endsWith(wanted);
        return { name, wanted, verdict: holds ? "holds" : "fails", seen: name === "port" ? target.split(":").pop() : host };
      });
      const holds = conditions.every(({ verdict }) => verdict === "holds");
      if (!holds && conditions.length > 1) Object.assign(conditions[1], { verdict: "not needed", seen: null });
      rules.push({ index: rule.index, rule: rule.label, pass: "first", holds, conditions });
      if (holds) {
        chosen = rule;
        break;
      }
    }
    const to = chosen === null ? "direct" : chosen.to;
    const group = this.frame().groups.find(({ tag }) => tag === to);
    const plan = (group?.members ?? [{ tag: to, tier: "" }]).map((member, index) => {
      const why = group === undefined ? "the rule names it" : index === 0 ? "key is nearest to it" : "next on the ring";
      return { outbound: member.tag, chain: group === undefined ? [] : [group.tag], why };
    });
    return {
      network, target, rules, lookups: [], rule: chosen?.label ?? null, performed: [],
      group: group === undefined ? null : {
        tag: group.tag, strategy: group.strategy, tier: group.tier, bootstrapping: false, ruleSet: null,
        key: { text: `192.0.2.7|${host}`, empty: false, position: "9f3c1d5a77e0b412" },
        members: group.members.map(({ tag, tier, state, role, delay }) => ({ tag, tier, state, why: state, delayMs: delay, role })),
      },
      outbounds: to === null ? [] : plan, refused: to === null ? "the rule rejects it" : null, dialledFirst: [],
      text: "",
    };
  }
}
