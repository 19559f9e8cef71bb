// Adds a Copy button to what people paste elsewhere: addresses, secrets, senders. Without it the text can be selected and copied.
// Browsers offer the clipboard on https and on this machine only; elsewhere no button appears.

for (const text of navigator.clipboard ? document.querySelectorAll("[data-copy]") : []) {
  const button = document.createElement("button");
  const label = (verb) => {
    button.textContent = verb;
    button.setAttribute("aria-label", `${verb} ${text.dataset.copy}`);
  };
  button.type = "button";
  button.className = "small copy";
  label("Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text.textContent);
      label("Copied");
    } catch {
      getSelection().selectAllChildren(text); // the browser refused: the text is selected, so that the keyboard copies it
      label("Selected");
    }
  });
  button.addEventListener("blur", () => label("Copy"));
  text.after(button);
}
