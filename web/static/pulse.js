// Keeps a page live: when the stream reports a change, the page is fetched again and its marked parts are replaced.
// The page always shows what the server renders; nothing is computed here. A form that somebody is typing in or has
// filled in, and a chart that somebody reads by its keys or under a pointer, stay as they are; what is folded out stays so.

const main = document.getElementById("main");
const state = document.getElementById("state");
const stateText = document.getElementById("state-text");
const silenceMs = 40_000; // the server sends a heartbeat at least every 15 s
const gatherMs = 250; // a fan-out changes many rows: one fetch for all of them
const againMs = 3_000;
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

function isFilledIn(field) {
  if (field.matches("select")) return field.selectedIndex !== Math.max(0, [...field.options].findLastIndex((each) => each.defaultSelected));
  if (field.matches("[type=checkbox], [type=radio]")) return field.checked !== field.defaultChecked;
  return field.value !== field.defaultValue;
}

function isBusy(part) {
  if (canHover && part.querySelector(".chart:hover")) return true;
  if ([...part.querySelectorAll("input, select, textarea")].some(isFilledIn)) return true;
  const focus = document.activeElement;
  return part.contains(focus) && focus.matches("input, select, textarea, .chart");
}

// What a part shows: tokens of forms differ at each fetch, and what is folded out is the reader's.
function shownBy(part) {
  const copy = part.cloneNode(true);
  for (const token of copy.querySelectorAll("[name=csrf], [name=once]")) token.removeAttribute("value");
  for (const each of copy.querySelectorAll("details")) each.removeAttribute("open");
  return copy.innerHTML;
}

function keepFolds(part, next) {
  const titleOf = (each) => each.querySelector("summary")?.textContent;
  const former = [...part.querySelectorAll("details")];
  for (const each of next.querySelectorAll("details")) {
    const at = former.findIndex((one) => titleOf(one) === titleOf(each));
    if (at >= 0) each.open = former.splice(at, 1)[0].open;
  }
}

async function renew() {
  waiting = 0;
  let text = "";
  let isAway = false;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html", "X-Only-Looks": "yes" }, redirect: "manual" });
    isAway = answer.status >= 500 || answer.status === 429;
    if (answer.ok) text = await answer.text();
  } catch {
    isAway = true;
  }
  if (isAway && !waiting) waiting = setTimeout(renew, againMs); // the stream does not tell the change a second time
  if (!text) return;
  const fresh = new DOMParser().parseFromString(text, "text/html");
  for (const part of document.querySelectorAll("[data-part]")) {
    const next = fresh.getElementById(part.id);
    if (!next || isBusy(part) || shownBy(next) === shownBy(part)) continue;
    keepFolds(part, next);
    part.replaceWith(document.adoptNode(next));
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
