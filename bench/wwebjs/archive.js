// Times compressing and extracting the profiles dataPath/RemoteAuth-{client}, without S3 and browsers.
//
// Tells for each way {step, way, seconds, bytes}; `bytes` of all zips. "as published" ends when RemoteAuth says that it
// is done, "complete" when all files have been written.
'use strict';

const fs = require('fs');
const { RemoteAuth, RepairedRemoteAuth, offline, settings, tell } = require('./parts.js');

const SETTLE_MS = 2000;
const zipOf = (auth) => `${auth.dataPath}/${auth.sessionName}.zip`;

const orders = {
  'one after another': async (all, one) => {
    for (const auth of all) await one(auth);
  },
  'all at once': (all, one) => Promise.all(all.map(one)),
};

async function timed(step, way, run) {
  const began = process.hrtime.bigint();
  await run();
  return { step, way, seconds: Number(process.hrtime.bigint() - began) / 1e9 };
}

async function compress(way) {
  const all = settings.clients.map((client) => offline(RemoteAuth, client));
  const found = await timed('compress', way, () => orders[way](all, (auth) => auth.compressSession()));
  tell('timed', { ...found, bytes: all.reduce((sum, auth) => sum + fs.statSync(zipOf(auth)).size, 0) });
}

async function extract(step, Strategy, way) {
  const all = settings.clients.map((client) => offline(Strategy, client));
  for (const auth of all) auth.userDataDir = `${auth.dataPath}/extracted/${auth.sessionName}`;
  // RemoteAuth deletes the zip that it extracts.
  for (const auth of all) fs.linkSync(zipOf(auth), `${zipOf(auth)}.kept`);
  tell('timed', await timed(step, way, () => orders[way](all, (auth) => auth.unCompressSession(zipOf(auth)))));
  for (const auth of all) fs.renameSync(`${zipOf(auth)}.kept`, zipOf(auth));
  // As published, files are still being written, and cannot be removed yet for the next.
  if (Strategy === RemoteAuth) await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  fs.rmSync(`${settings.dataPath}/extracted`, { recursive: true });
}

(async () => {
  for (const way of Object.keys(orders)) {
    await compress(way);
    await extract('extract, as published', RemoteAuth, way);
    await extract('extract, complete', RepairedRemoteAuth, way);
  }
})();
