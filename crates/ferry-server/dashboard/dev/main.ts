// `npm run fake`: the built dashboard on made-up data. For development alone.

import { fileURLToPath } from "node:url";
import { startFake } from "./fake";
import { token } from "./tokens";

const fake = await startFake({
  port: Number(process.env["PORT"] ?? 5_050),
  dist: fileURLToPath(new URL("../dist", import.meta.url)),
  speed: Number(process.env["SPEED"] ?? 1),
  oidc: process.env["OIDC"] === "1",
});
console.log(`The dashboard on made-up data: ${fake.url}`);
for (const role of ["administrator", "contributor", "viewer"] as const) {
  console.log(`\nA token of a ${role}:\n${token("maria.santos@acme.example", { acme: role, quiet: role })}`);
}
