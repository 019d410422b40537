// Cuts a picture to a height and writes it with few colours: crop.mjs IN.png OUT.png HEIGHT NODE_MODULES
import { readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";

const [from, to, height, modules] = process.argv.slice(2);
const UPNG = createRequire(`${modules}/`)("upng-js");

const bytes = await readFile(from);
const picture = UPNG.decode(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
const pixels = new Uint8Array(UPNG.toRGBA8(picture)[0]);
const kept = pixels.slice(0, picture.width * Math.min(height, picture.height) * 4);
await writeFile(to, new Uint8Array(UPNG.encode([kept.buffer], picture.width, kept.length / 4 / picture.width, 64)));
