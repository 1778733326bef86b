// Checks what a build has made: exactly these files, nothing inline, nothing from elsewhere, and small.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

const FILES = ["app.css", "app.js", "icon.svg", "index.html"];
const MAX_COMPRESSED_BYTES = 60 * 1024;
// The name space of SVG is a name, nothing that is fetched.
const NAMES = ["http://www.w3.org/2000/svg"];

const folder = process.argv[2] ?? "dist";
const problems = [];
const found = readdirSync(folder).sort();
if (found.join() !== FILES.join()) {
  problems.push(`expected the files ${FILES.join(", ")}, found ${found.join(", ")}`);
}
let total = 0;
for (const name of found) {
  const bytes = readFileSync(join(folder, name));
  const text = bytes.toString("utf8");
  const size = gzipSync(bytes, { level: 9 }).length;
  total += size;
  console.log(`${name.padEnd(12)} ${String(bytes.length).padStart(7)} B ${String(size).padStart(7)} B compressed`);
  for (const address of text.match(/\b(?:https?|wss?):\/\/[^\s"'`)<]+/g) ?? []) {
    if (!NAMES.includes(address)) problems.push(`${name} has the address ${address}`);
  }
  if (name.endsWith(".html")) {
    if (/<script(?![^>]*\bsrc=)/.test(text) || /<style|\sstyle=|\son[a-z]+=/.test(text)) {
      problems.push(`${name} has an inline script or style`);
    }
  }
}
console.log(`${"total".padEnd(12)} ${String(total).padStart(19)} B compressed, ${MAX_COMPRESSED_BYTES} B allowed`);
if (total > MAX_COMPRESSED_BYTES) problems.push(`${total} B compressed are more than ${MAX_COMPRESSED_BYTES}`);
for (const problem of problems) console.error(`error: ${problem}`);
process.exit(problems.length > 0 ? 1 : 0);
