// What a browser loads, packed: at most 150 KiB.

import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const MOST = 150 * 1024;
const dist = new URL("../dist/", import.meta.url);
const files = readdirSync(dist, { recursive: true, withFileTypes: true }).filter((file) => file.isFile() && file.name !== "licenses.txt");
const total = files.reduce((sum, file) => sum + gzipSync(readFileSync(`${file.parentPath ?? file.path}/${file.name}`), { level: 9 }).length, 0);
console.log(`${files.length} files, ${total} bytes packed (at most ${MOST})`);
process.exit(total > MOST ? 1 : 0);
