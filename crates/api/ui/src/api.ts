// Requests to Waypost, and the secret they carry.

import type { Configs, Connection, Explained, Frame, Why } from "./types";

/** The page is served below the API, so that this holds behind a proxy with a path of its own, too. */
const BASE = new URL("../", document.baseURI);
const KEY = "waypost.secret";

/** An answer other than 2xx, or none at all (`status` 0). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

let secret = takeSecretFromAddress() ?? sessionStorage.getItem(KEY) ?? "";
let askForSecret: (wasWrong: boolean) => Promise<string> = () => Promise.reject(new ApiError(401, "no secret"));
let asking: Promise<void> | null = null;

/** Says how the user is asked for the secret. */
export function onSecretNeeded(ask: (wasWrong: boolean) => Promise<string>): void {
  askForSecret = ask;
}

/** The secret may come in the fragment, which is not sent to any server and not kept in the history. */
function takeSecretFromAddress(): string | null {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const given = fragment.get("secret");
  if (given === null) return null;
  fragment.delete("secret");
  const rest = fragment.toString();
  history.replaceState(null, "", location.pathname + location.search + (rest === "" ? "" : `#${rest}`));
  sessionStorage.setItem(KEY, given);
  return given;
}

/** Makes a request. If the secret is missing or wrong, the user is asked, once for all requests that wait. */
async function request<T>(method: string, path: string, body?: unknown): Promise<T> {
  for (;;) {
    const used = secret;
    const headers = new Headers();
    if (used !== "") headers.set("Authorization", `Bearer ${used}`);
    if (body !== undefined) headers.set("Content-Type", "application/json");
    let response: Response;
    try {
      const text = body === undefined ? null : JSON.stringify(body);
      response = await fetch(new URL(path, BASE), { method, headers, body: text, cache: "no-store" });
    } catch {
      throw new ApiError(0, "Waypost does not answer");
    }
    if (response.status === 401) {
      if (used === secret) await renewSecret(used !== "");
      continue;
    }
    const text = await response.text();
    if (!response.ok) throw new ApiError(response.status, messageOf(text) ?? `HTTP ${response.status}`);
    return (text === "" ? undefined : JSON.parse(text)) as T;
  }
}

function messageOf(text: string): string | null {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && "message" in value) return String(value.message);
  } catch {
    // An answer of somebody else, such as a proxy in between.
  }
  return null;
}

function renewSecret(wasWrong: boolean): Promise<void> {
  asking ??= askForSecret(wasWrong)
    .then((given) => {
      secret = given;
      sessionStorage.setItem(KEY, given);
    })
    .finally(() => {
      asking = null;
    });
  return asking;
}

const name = encodeURIComponent;

export const api = {
  live: (): Promise<Frame> => request("GET", "waypost/live"),
  explain: (question: Record<string, string>): Promise<Explained> => request("POST", "waypost/explain", question),
  why: (id: string): Promise<Why> => request("GET", `waypost/why/${name(id)}`),
  connections: (): Promise<{ connections: Connection[] | null }> => request("GET", "connections"),
  close: (id: string): Promise<void> => request("DELETE", `connections/${name(id)}`),
  closeAll: (): Promise<void> => request("DELETE", "connections"),
  configs: (): Promise<Configs> => request("GET", "configs"),
  setMode: (mode: string): Promise<void> => request("PATCH", "configs", { mode }),
  choose: (group: string, member: string): Promise<void> => request("PUT", `proxies/${name(group)}`, { name: member }),
  /** Tests all members of a group with its own address. */
  testGroup: (group: string): Promise<Record<string, number>> =>
    request("GET", `group/${name(group)}/delay?timeout=5000&url=`),
};

/** Opens a WebSocket. Browsers let no header be set there: the secret is in the address. */
export function openSocket(path: string): WebSocket {
  const url = new URL(path, BASE);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  if (secret !== "") url.searchParams.set("token", secret);
  return new WebSocket(url);
}
