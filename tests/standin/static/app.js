// Starts the page: waits as a cold machine would, connects, and fills the caches in the background.
(function (g) {
  'use strict';
  const core = g.__standin;
  const { N, cfg, history, session, storage } = core;
  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

  // Under Trusted Types a worker's address has to pass a policy. Not one named `default`: it would let every script in.
  const policy = g.trustedTypes && g.trustedTypes.createPolicy('standin', { createScriptURL: (url) => url });
  const workerUrl = policy ? policy.createScriptURL('/sw.js') : '/sw.js';

  async function precache() {
    navigator.serviceWorker.addEventListener('message', (event) => (core.sw = event.data));
    const registration = await navigator.serviceWorker.register(workerUrl);
    const worker = registration.active || registration.installing || registration.waiting;
    const start = () => registration.active && registration.active.postMessage('precache');
    if (registration.active) start();
    else worker.addEventListener('statechange', () => worker.state === 'activated' && start());
  }

  async function fillCaches() {
    if (cfg.sw && navigator.serviceWorker) {
      // A client may have turned service workers off (wppconnect does); the page lives without.
      await precache().catch((e) => (core.sw = { error: String(e) }));
    }
    for (const [url] of cfg.httpFiles) await (await fetch(url)).arrayBuffer();
    core.httpDone = cfg.httpFiles.length;
  }

  async function start() {
    await sleep(cfg.coldMs);
    // Clients take this as the sign that the page's main script has run.
    setTimeout(() => (g.Debug = { VERSION: cfg.version }), 120);
    // Half a profile is no log-in: an identity without its key could never answer the server.
    if (core.state.me && !(await storage.get('wawc_db_enc', 'keys', 'noise'))) await storage.wipe();
    if (core.state.me) await history.openChats();
    session.connect();
    fillCaches().catch((e) => console.error('[standin] caches', e));
  }

  start().catch((e) => {
    console.error('[standin] start', e);
    N('WAWebBackendEventBus').BackendEventBus.trigger('storage_initialization_error', e);
  });
})(self);
