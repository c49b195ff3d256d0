// What the page keeps in the browser profile: IndexedDB under the data-base names of WhatsApp Web, the identity in
// Local Storage, and the signing keys, which no script can export.
(function (g) {
  'use strict';
  const core = g.__standin;
  const { encodeB64 } = core.N('WABase64');

  const SCHEMA = {
    wawc_db_enc: ['keys'],
    'signal-storage': [
      'signal-meta-store',
      'prekey-store',
      'signed-prekey-store',
      'session-store',
      'identity-store',
      'senderkey-store',
      'baseKey-store',
    ],
    wawc: ['user', 'wam-meta', 'offd_prefs'],
    'model-storage': ['chat', 'contact', 'message', 'group-metadata', 'participant', 'sync-keys', 'collection-version'],
  };
  const opened = {};
  const randomBytes = (length) => crypto.getRandomValues(new Uint8Array(length));
  const randomText = (length) => encodeB64(randomBytes(length));

  const settled = (request) =>
    new Promise((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });

  function open(name) {
    if (!opened[name]) {
      const request = indexedDB.open(name, 10);
      request.onupgradeneeded = () => {
        for (const store of SCHEMA[name]) request.result.createObjectStore(store, { keyPath: 'id' });
      };
      opened[name] = settled(request);
    }
    return opened[name];
  }

  async function get(database, store, id) {
    const transaction = (await open(database)).transaction(store, 'readonly');
    return settled(transaction.objectStore(store).get(id));
  }

  async function all(database, store) {
    const transaction = (await open(database)).transaction(store, 'readonly');
    return settled(transaction.objectStore(store).getAll());
  }

  // Resolves once the rows are on disk: `strict` makes Chromium flush before it reports the transaction complete.
  async function put(database, store, rows) {
    const transaction = (await open(database)).transaction(store, 'readwrite', { durability: 'strict' });
    for (const row of [].concat(rows)) transaction.objectStore(store).put(row);
    return new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onerror = transaction.onabort = () => reject(transaction.error);
    });
  }

  let keys = null;
  async function loadOrMakeKeys() {
    const stored = await get('wawc_db_enc', 'keys', 'noise');
    if (stored) return stored;
    const pair = () => crypto.subtle.generateKey({ name: 'Ed25519' }, false, ['sign', 'verify']);
    const raw = async (key) => new Uint8Array(await crypto.subtle.exportKey('raw', key.publicKey));
    const noise = await pair();
    const ident = await pair();
    const made = {
      id: 'noise',
      noise,
      ident,
      noisePub: await raw(noise),
      identityPub: await raw(ident),
      registrationId: crypto.getRandomValues(new Uint16Array(1))[0],
      adv: randomText(32),
    };
    await put('wawc_db_enc', 'keys', made);
    return made;
  }
  core.keys = () => (keys = keys || loadOrMakeKeys());

  // What a first sync leaves behind, in kind and in size.
  async function rememberPairing(me, adv) {
    const { registrationId, identityPub } = await core.keys();
    const prekeys = Array.from({ length: 500 }, (_, i) => ({ id: i + 1, k: randomBytes(64) }));
    await put('signal-storage', 'prekey-store', prekeys);
    await put('signal-storage', 'signal-meta-store', [
      { id: 'registration', registrationId, identityPub },
      { id: 'login-counter', value: 0 },
      { id: 'adv', value: adv },
    ]);
    await put('wawc', 'user', me);
    const syncKeys = Array.from({ length: 24 }, (_, i) => ({ id: 'k' + i, keyData: randomBytes(64).buffer }));
    await put('model-storage', 'sync-keys', syncKeys);
    rememberIdentity(me);
  }

  function rememberIdentity(me) {
    const noise = { pubKey: randomText(192), privKey: randomText(192), recoveryToken: randomText(192) };
    const rows = {
      'last-wid-md': JSON.stringify(me.jid.replace('@', `:${me.deviceId}@`)),
      WALid: JSON.stringify(me.lid),
      'me-display-name': JSON.stringify(me.pushname),
      WANoiseInfo: JSON.stringify(noise),
      WANoiseInfoIv: JSON.stringify([randomText(16), randomText(16), randomText(16)]),
      WAWebEncKeySalt: JSON.stringify(randomText(128)),
      WABrowserId: JSON.stringify(randomText(16)),
      'mobile-platform': JSON.stringify(me.platform),
      'Session-ab-props': randomText(9600),
      WAWebTimeSpentSession: JSON.stringify({ sessionId: 1 }),
      'md-opted-in': 'true',
    };
    for (const [key, value] of Object.entries(rows)) localStorage.setItem(key, value);
  }

  // Counts log-ins inside the profile. The server marks a log-in whose number it has seen: an old backup, or a clone.
  async function nextLoginCounter() {
    const row = (await get('signal-storage', 'signal-meta-store', 'login-counter')) || {
      id: 'login-counter',
      value: 0,
    };
    row.value += 1;
    await put('signal-storage', 'signal-meta-store', row);
    return row.value;
  }

  async function wipe() {
    for (const name of Object.keys(SCHEMA)) {
      if (opened[name]) (await opened[name]).close();
      delete opened[name];
      await new Promise((resolve) => {
        const request = indexedDB.deleteDatabase(name);
        request.onsuccess = request.onerror = request.onblocked = resolve;
      });
    }
    localStorage.clear();
    keys = null;
    core.state.me = null;
  }

  core.storage = { get, all, put, rememberPairing, nextLoginCounter, wipe };
})(self);
