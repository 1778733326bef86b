// What the endpoints of Waypost answer, as far as the page reads it.

/** The states of a member, in the words of the API. */
export type State = "unknown" | "up" | "suspect" | "ejected" | "down";

export interface Inbound {
  tag: string;
  protocol: string;
  address: string;
  connections: number;
  /** All bytes since the start, from clients. */
  up: number;
  /** All bytes since the start, to clients. */
  down: number;
}

export interface Rule {
  index: number;
  label: string;
  line: number;
  file: string | null;
  text: string;
  action: string;
  /** The group or outbound; null where the action needs none. */
  to: string | null;
  hits: number;
}

export interface Member {
  tag: string;
  group: boolean;
  tier: string;
  state: State;
  /** What it is for connections now; null if it cannot carry TCP. */
  role: string | null;
  /** Milliseconds, or null if no probe has come back. */
  delay: number | null;
  connections: number;
  up: number;
  down: number;
  carried: number;
  failed: number;
  overtaken: number;
  silent: number;
  /** What was wrong when it last failed; null if it has not. */
  lastError: { time: string; reason: string } | null;
}

export interface Group {
  tag: string;
  type: string;
  strategy: string;
  tier: string;
  bootstrapping: boolean;
  now: string;
  members: Member[];
  lastChange: { time: string; reason: string } | null;
}

export interface Outbound {
  tag: string;
  type: string;
  connections: number;
  up: number;
  down: number;
  state: State;
  delay: number | null;
}

/** One frame of `/waypost/live`. */
export interface Frame {
  time: string;
  version: string;
  generation: number;
  uptime: number;
  rates: { up: number; down: number };
  totals: { up: number; down: number };
  connections: number;
  inbounds: Inbound[];
  rules: Rule[];
  default: { to: string; hits: number };
  groups: Group[];
  outbounds: Outbound[];
}

export interface Connection {
  id: string;
  rule: string;
  rulePayload: string;
  /** The leaf first, the outermost group last. */
  chains: string[];
  upload: number;
  download: number;
  start: string;
  metadata: {
    network: string;
    type: string;
    host: string;
    destinationIP: string;
    destinationPort: string;
    sourceIP: string;
    sourcePort: string;
  };
}

/** The record of a decision. */
export interface Why {
  id: string;
  start: string;
  network: string;
  target: string;
  source: string | null;
  inbound: string | null;
  user: string | null;
  protocol: string | null;
  sniffed: string | null;
  rule: string;
  chains: string[];
  why: string | null;
  key: string | null;
  attempts: { outbound: string; began_ms: number; took_ms: number; end: string }[];
  upload: number;
  download: number;
}

export interface Condition {
  name: string;
  wanted: string;
  verdict: "holds" | "fails" | "not needed";
  seen: string | null;
}

export interface Explained {
  network: string;
  target: string;
  rules: { index: number; rule: string | null; pass: string; holds: boolean; conditions: Condition[] }[];
  lookups: { name: string; addresses?: string[]; error?: string }[];
  rule: string | null;
  performed: string[];
  group: {
    tag: string;
    strategy: string;
    tier: string;
    bootstrapping: boolean;
    ruleSet: string | null;
    key: { text: string; empty: boolean; position: string } | null;
    members: { tag: string; tier: string; state: State; why: string; delayMs: number | null; role: string | null }[];
  } | null;
  outbounds: { outbound: string | null; chain: string[]; why: string }[];
  refused: string | null;
  dialledFirst: string[];
  text?: string;
}

export interface Configs {
  mode?: string;
  "mode-list"?: string[];
}
