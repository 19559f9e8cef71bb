// Lets a browser install RexAlgo as an app, and show a page of its own while it cannot be reached.

if ("serviceWorker" in navigator) navigator.serviceWorker.register("/service-worker.js").catch(() => {}); // http beyond this machine: not offered
