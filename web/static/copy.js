// Puts a button beside what people paste elsewhere: addresses, secrets, senders. Without this the text can be marked and copied by hand.
// The clipboard is there on https and on this machine only; elsewhere no button appears.

for (const text of navigator.clipboard ? document.querySelectorAll("[data-copy]") : []) {
  const button = document.createElement("button");
  const tell = (verb) => {
    button.textContent = verb;
    button.setAttribute("aria-label", `${verb} ${text.dataset.copy}`);
  };
  button.type = "button";
  button.className = "small copy";
  tell("Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text.textContent);
      tell("Copied");
    } catch {
      getSelection().selectAllChildren(text); // the browser refused: marked, so that the keyboard copies it
      tell("Marked");
    }
  });
  button.addEventListener("blur", () => tell("Copy"));
  text.after(button);
}
