// Keeps a page live: when the stream reports a change, the page is fetched again and its marked parts are replaced.
// The page always shows what the server renders; nothing is computed here. A form that somebody is typing in,
// and a chart that somebody reads by its keys or under a pointer, stay as they are.

const main = document.getElementById("main");
const state = document.getElementById("state");
const stateText = document.getElementById("state-text");
const silenceMs = 40_000; // the server sends a heartbeat at least every 15 s
const gatherMs = 250; // a fan-out changes many rows: one fetch for all of them
const settleMs = 5_000; // the books follow within seconds: pages that show them are fetched once more
const canHover = matchMedia("(hover: hover)").matches; // elsewhere a chart that was touched once would never be renewed

let lastHeard = Date.now();
let isOpen = false;
let after = Number(main.dataset.pulse);
let source = null;
let waiting = 0;
let settling = 0;

function show(kind, text) {
  if (state.dataset.state !== kind) state.dataset.state = kind;
  if (stateText.textContent !== text) stateText.textContent = text;
}

function showState() {
  const seconds = Math.round((Date.now() - lastHeard) / 1000);
  if (isOpen && Date.now() - lastHeard < silenceMs) show("live", "live");
  else show("lost", `reconnecting; this page is ${seconds} s old`);
}

function isBusy(part) {
  if (canHover && part.querySelector(".chart:hover")) return true;
  const focus = document.activeElement;
  return part.contains(focus) && focus.matches("input, select, textarea, .chart");
}

async function renew() {
  waiting = 0;
  const answer = await fetch(location.href, { headers: { Accept: "text/html", "X-Only-Looks": "yes" }, redirect: "manual" });
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of document.querySelectorAll("[data-part]")) {
    const next = fresh.getElementById(part.id);
    if (next && !isBusy(part) && next.innerHTML !== part.innerHTML) part.replaceWith(document.adoptNode(next));
  }
  document.dispatchEvent(new Event("parts-renewed"));
}

function settle() {
  clearTimeout(settling);
  if (document.querySelector("[data-settles]")) settling = setTimeout(renew, settleMs);
}

function heard() {
  lastHeard = Date.now();
  isOpen = true;
  showState();
}

function open() {
  source = new EventSource(`/pulse?after=${after}`);
  source.addEventListener("open", heard);
  source.addEventListener("beat", heard);
  source.addEventListener("changed", (event) => {
    after = Number(event.lastEventId);
    if (!waiting) waiting = setTimeout(renew, gatherMs);
    settle();
    heard();
  });
  source.addEventListener("error", () => {
    isOpen = false;
    showState();
    if (source.readyState === EventSource.CLOSED) setTimeout(open, 3000); // refused, not just interrupted
  });
}

setInterval(() => {
  showState();
  if (isOpen && Date.now() - lastHeard >= silenceMs) {
    source.close(); // open but silent: a dead tunnel
    isOpen = false;
    open();
  }
}, 1000);
document.querySelector(".nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" }); // a phone shows only a part of it
show("still", "connecting");
settle();
open();
