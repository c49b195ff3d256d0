// The service worker: fills a cache of the size that the real site keeps, and serves those files from it.
const CACHE = 'wa-standin-precache-v1';

async function precache() {
  const urls = await (await fetch('/rsrc/manifest.json', { cache: 'no-store' })).json();
  const cache = await caches.open(CACHE);
  for (const url of urls) {
    if (await cache.match(url)) continue;
    const response = await fetch(url, { cache: 'no-store' }); // not into the HTTP cache too
    if (response.ok) await cache.put(url, response);
  }
  return { precached: urls.length };
}

self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));
self.addEventListener('message', (event) => {
  if (event.data !== 'precache') return;
  const done = precache().catch((error) => ({ precacheError: String(error) }));
  event.waitUntil(done.then((outcome) => event.source && event.source.postMessage(outcome)));
});
self.addEventListener('fetch', (event) => {
  const url = new URL(event.request.url);
  if (url.origin !== location.origin || !url.pathname.startsWith('/rsrc/s/')) return;
  event.respondWith(caches.match(event.request).then((cached) => cached || fetch(event.request)));
});
