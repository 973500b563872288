// A page of somebody who is signed in: warns before the session ends, and says so when it has. The server decides; we only ask it.
"use strict";

// Leaving a shared workstation by keyboard.
document.addEventListener("keydown", (event) => {
  if (!event.altKey || !event.shiftKey || event.ctrlKey || event.metaKey) return;
  const button = document.querySelector(`button[data-key="${CSS.escape(event.code)}"]`);
  if (button) button.click();
});

(() => {
  const box = document.getElementById("session-end");
  if (!box) return;
  const warning = box.querySelector("[data-warning]");
  const over = box.querySelector("[data-over]");
  const extended = document.getElementById("session-extended");
  const stay = box.querySelector("[data-stay]");
  const last = box.querySelector("[data-last]");
  const lead = Math.max(60, Math.min(120, Number(box.dataset.idleLeft) / 2)); // seconds before the end
  let timer;

  const after = (seconds, work) => {
    clearTimeout(timer);
    timer = setTimeout(work, Math.min(Math.max(seconds, 1) * 1000, 2 ** 31 - 1));
  };

  const ask = async (form) => {
    const answer = await fetch(box.dataset.url, form ? { method: "POST", body: form } : { cache: "no-store" });
    if (!answer.ok) throw new Error(String(answer.status));
    return answer.json();
  };

  const show = () => {
    box.setAttribute("role", "alert"); // what appears in it is read out
    box.hidden = false;
  };

  const end = () => {
    clearTimeout(timer);
    show();
    warning.hidden = true;
    over.hidden = false;
    for (const part of document.querySelectorAll("[data-private]")) part.replaceChildren();
    document.title = over.dataset.title;
    over.querySelector("a").focus();
  };

  const plan = (left) => {
    if (left.ended) return end();
    const soonest = Math.min(left.idle_left_s, left.left_s);
    if (soonest > lead) {
      box.hidden = true;
      return after(soonest - lead, look);
    }
    show();
    const final = left.left_s <= left.idle_left_s;
    stay.hidden = final;
    last.hidden = !final;
    warning.hidden = false;
    after(soonest + 1, look);
  };

  // Another tab may have used the session since: never warn, or say that it is over, on our own count alone.
  const look = () => ask().then(plan, () => after(10, look));

  stay.addEventListener("click", async (event) => {
    event.preventDefault();
    try {
      const left = await ask(new FormData(box.querySelector("form")));
      plan(left);
      if (!left.ended) extended.textContent = extended.dataset.done;
    } catch {
      location.assign(stay.href);
    }
  });

  // A page out of the browser's memory shows what may be somebody else's by now: it is asked for anew.
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });
  document.addEventListener("visibilitychange", () => document.hidden || look());
  plan({ idle_left_s: Number(box.dataset.idleLeft), left_s: Number(box.dataset.left) });
})();
