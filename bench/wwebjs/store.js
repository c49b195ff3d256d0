// Stores the profiles dataPath/RemoteAuth-{client} in the bucket as RemoteAuth does, one after another.
'use strict';

const { RemoteAuth, offline, settings, tell } = require('./parts.js');

(async () => {
  for (const client of settings.clients) {
    await offline(RemoteAuth, client).storeRemoteSession();
    tell('stored', { client });
  }
})();
