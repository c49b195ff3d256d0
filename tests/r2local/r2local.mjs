// Cloudflare's local R2 on loopback: one Node process and its workerd child, without network access.
//
//   node r2local.mjs DATA_DIR PORT BUCKET[,BUCKET] [tls]
//
// Environment: S3_ACCESS_KEY, S3_SECRET_KEY; with `tls`, TLS_KEY and TLS_CERT name PEM files. PORT 0 lets the system
// choose. Buckets cannot be created over S3 here, so they are declared. Prints `r2local ready URL` once it listens,
// and ends on SIGTERM, SIGINT and, if its standard input is a pipe, when that is closed: so it never outlives its test.
import fs from "node:fs";
import { Miniflare } from "miniflare";

const [dataDir, port, buckets, tls] = process.argv.slice(2);
const { S3_ACCESS_KEY, S3_SECRET_KEY, TLS_KEY, TLS_CERT } = process.env;
if (!dataDir || !port || !buckets || !S3_ACCESS_KEY || !S3_SECRET_KEY) {
  console.error("usage: S3_ACCESS_KEY=... S3_SECRET_KEY=... node r2local.mjs DATA_DIR PORT BUCKET[,BUCKET] [tls]");
  process.exit(64);
}
fs.mkdirSync(dataDir, { recursive: true });
const s3Credentials = { accessKeyId: S3_ACCESS_KEY, secretAccessKey: S3_SECRET_KEY };

const miniflare = new Miniflare({
  name: "r2local",
  modules: true,
  compatibilityDate: "2026-01-01",
  script: 'export default { fetch() { return new Response("r2local\\n"); } };',
  host: "127.0.0.1",
  port: Number(port),
  cf: false,
  telemetry: { enabled: false },
  r2Persist: dataDir,
  r2Buckets: Object.fromEntries(buckets.split(",").map((id, index) => [`B${index}`, { id, s3Credentials }])),
  ...(tls && {
    https: true,
    httpsKey: fs.readFileSync(TLS_KEY, "utf8"),
    httpsCert: fs.readFileSync(TLS_CERT, "utf8"),
  }),
});

async function leave() {
  await miniflare.dispose();
  process.exit(0);
}
process.on("SIGINT", leave);
process.on("SIGTERM", leave);
const url = await miniflare.ready;
const input = fs.fstatSync(0);
if (input.isFIFO() || input.isSocket()) process.stdin.on("end", leave).resume();
console.log(`r2local ready ${url.origin}/cdn-cgi/local/r2/s3`);
