// Shows a page that says so when this installation cannot be reached. It keeps that page and its look, which hold nothing
// of anybody, and never keeps or answers anything else. The server writes ``kept`` and ``version`` in front.

const name = `offline-${version}`;

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(name).then((cache) => cache.addAll(kept)).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  const outdated = (names) => Promise.all(names.filter((each) => each !== name).map((each) => caches.delete(each)));
  event.waitUntil(caches.keys().then(outdated).then(() => self.clients.claim()));
});

self.addEventListener("fetch", (event) => {
  const { pathname, search } = new URL(event.request.url);
  if (event.request.method !== "GET") return;
  if (event.request.mode === "navigate") {
    event.respondWith(fetch(event.request).catch(() => caches.match(kept[0])));
  } else if (kept.slice(1).includes(pathname + search)) {
    event.respondWith(fetch(event.request).catch(() => caches.match(event.request.url)));
  }
});
