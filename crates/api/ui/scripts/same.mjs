// Checks that two folders hold the same files: the committed page is what its source builds.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const [built, committed] = process.argv.slice(2);
const names = new Set([...readdirSync(built), ...readdirSync(committed)]);
const read = (folder, name) => {
  try {
    return readFileSync(join(folder, name));
  } catch {
    return Buffer.from("(absent)");
  }
};
const different = [...names].filter((name) => !read(built, name).equals(read(committed, name)));
if (different.length > 0) {
  console.error(`error: ${different.join(", ")} in ${committed} is not what the source builds: run \`npm run build\``);
  process.exit(1);
}
console.log(`${committed} is what the source builds`);
