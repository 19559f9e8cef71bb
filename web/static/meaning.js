// Asks the server what the terms mean as they are typed, and shows its answer. Nothing is computed here and nothing is
// stored; without JavaScript the button "Preview" shows the same.

const form = document.getElementById("terms");
const meaning = document.getElementById("meaning");
const pauseMs = 350;

let waiting = 0;
let asked = 0;

async function ask() {
  const turn = ++asked;
  const body = new URLSearchParams(new FormData(form));
  const answer = await fetch(form.action.replace(/follow$/, "meaning"), {
    method: "POST", body, headers: { Accept: "text/html", "X-Only-Looks": "yes" }, redirect: "manual",
  });
  if (!answer.ok || turn !== asked) return; // an older answer never overwrites a newer one
  const text = await answer.text();
  if (turn === asked) meaning.replaceChildren(...new DOMParser().parseFromString(text, "text/html").body.childNodes);
}

form.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(ask, pauseMs);
});
