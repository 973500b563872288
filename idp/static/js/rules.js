// Tick the password rules while the person types. It only helps: the server checks every rule again, and some only there.
"use strict";

const list = document.querySelector("ul[data-rules-for]");
const input = list && document.getElementById(list.dataset.rulesFor);
const status = list && document.getElementById(list.dataset.status);

const letters = (pattern) => (text) => (text.match(pattern) || []).length;
const counts = {
  min_length: (text) => [...text.normalize("NFC")].length,
  min_upper: letters(/\p{Lu}/gu),
  min_lower: letters(/\p{Ll}/gu),
  min_digits: letters(/\p{Nd}/gu),
  min_special: letters(/[^\p{L}\p{N}\s]/gu),
};

const met = (item, text) => counts[item.dataset.rule](text) >= Number(item.dataset.count || 1);

function tick() {
  const left = [];
  for (const item of list.querySelectorAll("li[data-rule]")) {
    if (!(item.dataset.rule in counts)) continue;
    const good = met(item, input.value);
    item.classList.toggle("met", good);
    item.classList.remove("missed");
    item.querySelector(".state").textContent = good ? list.dataset.met : "";
    if (!good) left.push(item.querySelector(".text").textContent);
  }
  return left;
}

if (input) {
  let pause;
  input.addEventListener("input", () => {
    const left = tick();
    clearTimeout(pause);
    pause = setTimeout(() => {
      status.textContent = left.length ? list.dataset.left + " " + left.join(" ") : list.dataset.done;
    }, 900);
  });
}
