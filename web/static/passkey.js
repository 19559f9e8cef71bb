// Asks the browser for a passkey and sends its answer with the form around the button. The server says what is to be signed
// and verifies it; nothing is decided here.

const words = {
  NotAllowedError: "Nothing was signed: it was cancelled, took too long, or this device has no passkey of this installation.",
  InvalidStateError: "This device or key already has a passkey of yours.",
  NotSupportedError: "This device or key cannot be used: it must verify who you are by a PIN, a finger or a face.",
  ConstraintError: "This device or key cannot be used: it must verify who you are by a PIN, a finger or a face.",
};

function bytes(text) {
  return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (each) => each.charCodeAt(0));
}

function text(buffer) {
  const binary = String.fromCharCode(...new Uint8Array(buffer));
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

function toSign(options) {
  const withBytes = (each) => ({ ...each, id: bytes(each.id) });
  const asked = { ...options, challenge: bytes(options.challenge) };
  if (options.user) asked.user = withBytes(options.user);
  for (const list of ["allowCredentials", "excludeCredentials"]) if (options[list]) asked[list] = options[list].map(withBytes);
  return asked;
}

function written(credential) {
  const response = {};
  for (const part of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (credential.response[part]) response[part] = text(credential.response[part]);
  }
  return JSON.stringify({ id: credential.id, rawId: text(credential.rawId), type: credential.type, response });
}

async function use(part, form) {
  const once = form.elements.once ? `?form=${encodeURIComponent(form.elements.once.value)}` : "";
  const answer = await fetch(part.dataset.options + once, { headers: { Accept: "application/json" }, redirect: "manual" });
  if (answer.type === "opaqueredirect") return form.submit(); // a factor is asked for first
  if (!answer.ok) throw new Error(`The server answered ${answer.status}. Load this page again.`);
  const publicKey = toSign(await answer.json());
  const credential = await navigator.credentials[part.dataset.passkey]({ publicKey });
  part.querySelector("input").value = written(credential);
  form.submit();
}

for (const part of document.querySelectorAll("[data-passkey]")) {
  const form = part.closest("form");
  const button = part.querySelector("button");
  const hint = part.querySelector(".hint");
  const problem = part.querySelector(".field-error");
  const say = (sentence) => {
    problem.textContent = sentence;
    problem.hidden = !sentence;
  };
  let isBusy = false;

  async function run() {
    if (isBusy) return;
    isBusy = true;
    say("");
    try {
      await use(part, form);
    } catch (error) {
      say(words[error.name] ?? error.message);
    }
    isBusy = false;
  }

  const elsewhere = location.origin !== part.dataset.origin;
  if (!window.PublicKeyCredential || elsewhere) {
    if (elsewhere && hint) hint.textContent = `Passkeys of this installation work at ${part.dataset.origin} only.`;
    continue;
  }
  if (hint) hint.hidden = true;
  if (button) {
    button.hidden = false;
    button.addEventListener("click", () => {
      for (const instead of form.querySelectorAll("[name=factor], [name=code]")) instead.required = false;
      if (form.reportValidity()) run();
    });
  } else {
    form.addEventListener("submit", (event) => { // nothing else proves who sends it
      event.preventDefault();
      run();
    });
  }
}
