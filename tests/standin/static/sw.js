const CACHE = 'wa-standin-precache-v1';
self.addEventListener('install', (e) => {
  self.skipWaiting();
});
self.addEventListener('activate', (e) => {
  e.waitUntil(self.clients.claim());
});
async function precache() {
  const list = await (await fetch('/rsrc/manifest.json', { cache: 'no-store' })).json();
  const c = await caches.open(CACHE);
  for (const u of list) {
    if (await c.match(u)) continue;
    const r = await fetch(u, { cache: 'no-store' }); // not into the HTTP cache too
    if (r.ok) await c.put(u, r);
  }
  return list.length;
}
self.addEventListener('message', (e) => {
  if (e.data === 'precache')
    e.waitUntil(
      precache().then(
        (n) => e.source && e.source.postMessage({ precached: n }),
        (err) => e.source && e.source.postMessage({ precacheError: String(err) }),
      ),
    );
});
self.addEventListener('fetch', (e) => {
  const u = new URL(e.request.url);
  if (u.origin === location.origin && u.pathname.startsWith('/rsrc/s/'))
    e.respondWith(caches.match(e.request).then((r) => r || fetch(e.request)));
});
