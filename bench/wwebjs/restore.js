// Restores all clients at once and stays; who started it ends it and its browsers.
//
// SETTINGS has besides: {repaired, puppeteer}.
'use strict';

const { RemoteAuth, RepairedRemoteAuth, settings, strategy, tell } = require('./parts.js');
const { Client, RepairedClient } = require('./client.js');

const Strategy = settings.repaired ? RepairedRemoteAuth : RemoteAuth;
const OneClient = settings.repaired ? RepairedClient : Client;

function restore(client) {
  const one = new OneClient({
    authStrategy: strategy(Strategy, client),
    puppeteer: settings.puppeteer,
    webVersionCache: { type: 'none' },
  });
  for (const event of ['authenticated', 'ready', 'qr', 'auth_failure']) one.on(event, () => tell(event, { client }));
  return one.initialize().then(
    () => tell('initialized', { client }),
    (error) => tell('failed', { client, error: String((error && error.message) || error).slice(0, 200) }),
  );
}

// RemoteAuth's own late errors reject nowhere else; they cost the session that they belong to, and are told.
process.on('unhandledRejection', (error) => tell('unhandled', { error: String(error).slice(0, 200) }));

Promise.all(settings.clients.map(restore));
setInterval(() => {}, 60_000);
