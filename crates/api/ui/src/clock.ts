// The clock of Waypost, which need not be that of the browser.

let ahead = 0;

/** Takes the time of a frame that has just come. */
export function setTime(time: string): void {
  const then = Date.parse(time);
  if (!Number.isNaN(then)) ahead = then - Date.now();
}

/** Milliseconds since 1970, by the clock of Waypost. */
export function now(): number {
  return Date.now() + ahead;
}
