// Show or hide what was typed into a password field. Without this script the button stays hidden and the field works.
"use strict";

for (const button of document.querySelectorAll("button[data-reveals]")) {
  const input = document.getElementById(button.dataset.reveals);
  const status = document.getElementById(button.dataset.status);

  const show = (visible) => {
    input.type = visible ? "text" : "password";
    button.setAttribute("aria-pressed", String(visible));
  };

  button.hidden = false;
  button.addEventListener("click", () => {
    const visible = input.type === "password";
    show(visible);
    status.textContent = visible ? button.dataset.shown : button.dataset.hiddenNow;
  });
  // Back to masked before it is sent, so that no browser keeps the text among ordinary form entries.
  input.form.addEventListener("submit", () => show(false));
  window.addEventListener("pagehide", () => show(false));
}
