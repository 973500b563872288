// Copy and print: for recovery codes, the authenticator key and the demo's codes. The text stands on the page anyway.
"use strict";

const textOf = (id) => {
  const box = document.getElementById(id);
  const items = [...box.querySelectorAll("li")].map((item) => item.textContent.trim());
  return items.length ? items.join("\n") : box.textContent.replace(/\s+/g, "");
};

const say = (button, text) => {
  const status = document.getElementById(button.dataset.status);
  status.textContent = "";
  setTimeout(() => { status.textContent = text; }, 50); // emptied first, so that the same words are announced again
};

async function copy(button) {
  try {
    await navigator.clipboard.writeText(textOf(button.dataset.copies));
    say(button, button.dataset.done);
  } catch {
    getSelection().selectAllChildren(document.getElementById(button.dataset.copies));
    say(button, button.dataset.failed);
  }
}

const able = { copies: copy, prints: () => window.print() };
for (const [kind, act] of Object.entries(able)) {
  for (const button of document.querySelectorAll(`button[data-${kind}]`)) {
    button.hidden = false;
    button.addEventListener("click", () => act(button));
  }
}
