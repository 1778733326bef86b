// Rates, made of the totals of two frames.

import type { Frame } from "./types";

/** Bytes per second both ways. */
export interface Speed {
  up: number;
  down: number;
}

const SHORTEST_S = 0.3;
const LONGEST_S = 30;
const STILL: Speed = { up: 0, down: 0 };

/** What has moved between two frames. */
export class Speeds {
  private totals = new Map<string, Speed>();
  private hits = new Map<number, number>();
  private time = 0;
  private generation = 0;
  private speeds = new Map<string, Speed>();
  private hitRates = new Map<number, number>();

  /** Takes the next frame. After a reload or a restart counters may begin anew: then nothing moves. */
  take(frame: Frame): void {
    const time = Date.parse(frame.time);
    const seconds = (time - this.time) / 1000;
    // Two frames in one moment say nothing of speed.
    if (seconds >= 0 && seconds < SHORTEST_S && frame.generation === this.generation) return;
    const isComparable = seconds > 0 && seconds < LONGEST_S && frame.generation === this.generation;
    const totals = new Map<string, Speed>();
    for (const inbound of frame.inbounds) totals.set(inboundKey(inbound.tag), inbound);
    for (const outbound of frame.outbounds) totals.set(outboundKey(outbound.tag), outbound);
    for (const group of frame.groups) {
      for (const member of group.members) totals.set(memberKey(group.tag, member.tag), member);
    }
    const hits = new Map(frame.rules.map((rule) => [rule.index, rule.hits]));
    hits.set(-1, frame.default.hits);
    this.speeds = new Map();
    this.hitRates = new Map();
    if (isComparable) {
      for (const [key, { up, down }] of totals) {
        const old = this.totals.get(key);
        if (old === undefined) continue;
        const speed = { up: Math.max(0, up - old.up) / seconds, down: Math.max(0, down - old.down) / seconds };
        this.speeds.set(key, speed);
      }
      for (const [index, n] of hits) {
        this.hitRates.set(index, Math.max(0, n - (this.hits.get(index) ?? n)) / seconds);
      }
    }
    this.totals = totals;
    this.hits = hits;
    this.time = time;
    this.generation = frame.generation;
  }

  of(key: string): Speed {
    return this.speeds.get(key) ?? STILL;
  }

  /** Hits per second of a rule; -1 is what no rule matches. */
  hitRate(index: number): number {
    return this.hitRates.get(index) ?? 0;
  }
}

export const inboundKey = (tag: string): string => `in ${tag}`;
export const outboundKey = (tag: string): string => `out ${tag}`;
export const memberKey = (group: string, member: string): string => `member ${group}\n${member}`;
