// Every page: a form is sent once (a second click would spend a one-time code twice) and may take along what was typed in another;
// times speak the reader's zone.
"use strict";

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.repeats) return; // its answer is a file, and the page stays
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "yes";
  for (const copy of form.querySelectorAll("[data-mirrors]")) copy.value = document.getElementById(copy.dataset.mirrors).value;
  if (event.submitter) event.submitter.setAttribute("aria-busy", "true");
});

// A page that comes back from the browser's history must be usable again.
window.addEventListener("pageshow", () => {
  for (const form of document.forms) delete form.dataset.sent;
  for (const button of document.querySelectorAll("[aria-busy]")) button.removeAttribute("aria-busy");
});

const zoned = new Intl.DateTimeFormat(document.documentElement.lang || undefined, { dateStyle: "medium", timeStyle: "short" });
for (const time of document.querySelectorAll("time[datetime]:not([data-zoned])")) {
  const at = new Date(time.dateTime);
  if (Number.isNaN(at.getTime())) continue;
  time.title = time.textContent;
  time.textContent = zoned.format(at);
}
