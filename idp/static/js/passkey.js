// Passkeys: ask the server for options, the browser for a proof, and send the proof with an ordinary form.
// Without this script, or without WebAuthn, the form shows its text in place of the button.
"use strict";

const form = document.querySelector("form[data-passkey]");
const kind = form?.dataset.passkey;
const able = Boolean(window.PublicKeyCredential && navigator.credentials);
const problem = form?.querySelector("[data-passkey-problem]");
const status = form?.querySelector("[data-passkey-status]");
let running = null; // the AbortController of the ceremony that waits

const toBytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (letter) => letter.charCodeAt(0));
const toText = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

function say(text) {
  status.textContent = "";
  problem.hidden = !text;
  if (text) problem.setAttribute("role", "alert"); // not before: a page without a problem claims none
  problem.querySelector("p").textContent = text || "";
}

// Options come as JSON with base64url where WebAuthn wants bytes; older browsers cannot read that by themselves.
function decoded(options) {
  const bytes = { ...options, challenge: toBytes(options.challenge) };
  for (const list of ["allowCredentials", "excludeCredentials"]) {
    if (options[list]) bytes[list] = options[list].map((one) => ({ ...one, id: toBytes(one.id) }));
  }
  if (options.user) bytes.user = { ...options.user, id: toBytes(options.user.id) };
  return bytes;
}

function encoded(made) {
  const response = { clientDataJSON: toText(made.response.clientDataJSON) };
  for (const part of ["attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (made.response[part]) response[part] = toText(made.response[part]);
  }
  if (made.response.getTransports) response.transports = made.response.getTransports();
  const attachment = made.authenticatorAttachment ? { authenticatorAttachment: made.authenticatorAttachment } : {};
  return JSON.stringify({ id: made.id, rawId: toText(made.rawId), type: made.type, response, ...attachment });
}

class Told extends Error {} // its message is for the person

async function asked(signal) {
  const body = new URLSearchParams({ csrf: form.elements.csrf.value });
  let answer;
  try {
    answer = await fetch(form.dataset.options, { method: "POST", body, headers: { Accept: "application/json" }, signal });
  } catch (failure) {
    if (failure.name === "AbortError") throw failure;
    throw new Told(form.dataset.offline);
  }
  const said = await answer.json();
  if (!answer.ok) throw new Told(said.error_description || form.dataset.unable);
  return decoded(said);
}

async function run(mediation) {
  running?.abort();
  const mine = new AbortController();
  running = mine;
  const publicKey = await asked(mine.signal);
  const made = kind === "create"
    ? await navigator.credentials.create({ publicKey, signal: mine.signal })
    : await navigator.credentials.get({ publicKey, signal: mine.signal, ...(mediation ? { mediation } : {}) });
  form.elements.credential.value = encoded(made);
  form.requestSubmit();
}

function explained(failure) {
  if (failure instanceof Told) return failure.message;
  if (failure.name === "InvalidStateError") return form.dataset.exists;
  return failure.name === "NotAllowedError" ? form.dataset.cancelled : form.dataset.unable;
}

async function pressed() {
  say("");
  status.textContent = form.dataset.waiting;
  try {
    await run();
  } catch (failure) {
    if (failure.name === "AbortError") return;
    say(explained(failure));
    if (kind === "sign-in") offer();
  }
}

// The browser's list of saved usernames offers passkeys too; nothing is said about failures, for nobody asked.
async function offer() {
  if (!(await PublicKeyCredential.isConditionalMediationAvailable?.())) return;
  try {
    await run("conditional");
  } catch { /* closed, aborted by the button or the password form, or not to be had */ }
}

if (form && able) {
  const start = form.querySelector("[data-passkey-start]");
  form.querySelector("[data-passkey-missing]").hidden = true;
  start.hidden = false;
  start.addEventListener("click", pressed);
  document.addEventListener("submit", (event) => { if (event.target !== form) running?.abort(); });
  window.addEventListener("pagehide", () => running?.abort());
  if (kind === "sign-in") offer();
  else if (!document.querySelector("#problem")) start.focus();
}
