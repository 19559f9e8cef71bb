// Keeps the live page live: adds rendered rows from the event stream, keeps the newest, counts again, and shows the state
// of the connection. The server renders and escapes the rows; nothing is computed about orders here.

const live = document.getElementById("live");
const body = document.getElementById("rows");
const state = document.getElementById("state");
const stateText = document.getElementById("state-text");
const rowsMax = Number(live.dataset.rowsMax);
const silenceMs = 40_000; // the server sends a heartbeat at least every 15 s

let lastHeard = Date.now();
let isOpen = false;
let newest = Number(live.dataset.after);
let source = null;

function show(kind, text) {
  if (state.dataset.state !== kind) state.dataset.state = kind;
  if (stateText.textContent !== text) stateText.textContent = text;
}

function showState() {
  const seconds = Math.round((Date.now() - lastHeard) / 1000);
  if (isOpen && Date.now() - lastHeard < silenceMs) show("live", "live");
  else show("lost", `reconnecting, last update ${seconds} s ago`);
}

function countAgain() {
  const families = new Map();
  const seen = new Set();
  for (const row of body.rows) {
    if (seen.has(row.dataset.copy)) continue;
    seen.add(row.dataset.copy);
    families.set(row.dataset.family, (families.get(row.dataset.family) ?? 0) + 1);
  }
  for (const counter of document.querySelectorAll(".counter")) {
    const count = families.get(counter.dataset.family) ?? 0;
    counter.querySelector(".counter-number").textContent = count;
    counter.classList.toggle("none", count === 0);
    if ("rare" in counter.dataset) counter.hidden = count === 0;
  }
}

function take(html) {
  const holder = document.createElement("template");
  holder.innerHTML = html;
  const fresh = [...holder.content.querySelectorAll("tr")].filter((row) => Number(row.dataset.sequence) > newest);
  if (!fresh.length) return;
  newest = Number(fresh[0].dataset.sequence);
  for (const row of fresh) row.classList.add("fresh");
  body.prepend(...fresh);
  while (body.rows.length > rowsMax) body.lastElementChild.remove();
  document.getElementById("empty").hidden = true;
  document.getElementById("outcomes").hidden = false;
  countAgain();
}

function heard() {
  lastHeard = Date.now();
  isOpen = true;
  showState();
}

function open() {
  source = new EventSource(`/events?after=${newest}`);
  source.addEventListener("open", heard);
  source.addEventListener("beat", heard);
  source.addEventListener("outcomes", (event) => {
    take(JSON.parse(event.data).html);
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
show("still", "connecting");
open();
