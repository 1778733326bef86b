// Frames of `/waypost/live`, for as long as the page is open.

import { api, ApiError, openSocket } from "./api";
import type { Frame } from "./types";

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;
/** A socket that says nothing for so long is dead; a frame is due every second. */
const SILENCE_MS = 8000;

/** What is known of the link to Waypost. */
export type Link = { kind: "connecting" } | { kind: "live" } | { kind: "lost"; why: string };

/** Calls `onFrame` with each frame and `onLink` with each change of the link, for ever. */
export async function follow(onFrame: (frame: Frame) => void, onLink: (link: Link) => void): Promise<never> {
  let pause = FIRST_PAUSE_MS;
  onLink({ kind: "connecting" });
  for (;;) {
    let why: string;
    try {
      // A WebSocket that is refused does not say why: a request asks for the secret if that is it.
      onFrame(await api.live());
      why = await listen((frame) => {
        pause = FIRST_PAUSE_MS;
        onLink({ kind: "live" });
        onFrame(frame);
      });
    } catch (error) {
      why = error instanceof ApiError ? error.message : String(error);
    }
    onLink({ kind: "lost", why });
    await interruptiblePause(pause * (0.8 + 0.4 * Math.random()));
    pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
  }
}

/** Listens until the socket ends, and says why it did. */
function listen(onFrame: (frame: Frame) => void): Promise<string> {
  return new Promise((resolve) => {
    const socket = openSocket("waypost/live?interval=1000");
    let timer: ReturnType<typeof setTimeout>;
    const end = (why: string): void => {
      clearTimeout(timer);
      socket.close();
      resolve(why);
    };
    const expectMore = (): void => {
      clearTimeout(timer);
      timer = setTimeout(() => end("Waypost has gone silent"), SILENCE_MS);
    };
    expectMore();
    socket.addEventListener("message", (message: MessageEvent<string>) => {
      expectMore();
      onFrame(JSON.parse(message.data) as Frame);
    });
    socket.addEventListener("close", () => end("the link was closed"));
  });
}

/** Waits, but no longer than until the machine has a network again or somebody looks at the page. */
function interruptiblePause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    const go = (): void => {
      if (document.hidden) return;
      clearTimeout(timer);
      window.removeEventListener("online", go);
      document.removeEventListener("visibilitychange", go);
      resolve();
    };
    const timer = setTimeout(() => {
      window.removeEventListener("online", go);
      document.removeEventListener("visibilitychange", go);
      resolve();
    }, ms);
    window.addEventListener("online", go);
    document.addEventListener("visibilitychange", go);
  });
}
