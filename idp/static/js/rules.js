// Tick the password rules while the person types. It only helps: the server checks every rule again, and some only there.
"use strict";

const list = document.querySelector("ul[data-rules-for]");
const input = list && document.getElementById(list.dataset.rulesFor);
const status = list && document.getElementById(list.dataset.status);

const number = (pattern) => (text) => (text.match(pattern) || []).length;
const counts = {
  length: (text) => [...text].length,
  upper: number(/\p{Uppercase}/gu),
  lower: number(/\p{Lowercase}/gu),
  digit: number(/\p{Nd}/gu),
  special: number(/[\p{P}\p{S}\p{Z}]/gu),
};

// The numbers stand in the rule's own sentence: "At least 12 characters; up to 256".
function met(item, text) {
  const [least = 1, most = Infinity] = (item.querySelector(".text").textContent.match(/\d+/g) || []).map(Number);
  const have = counts[item.dataset.rule](text.normalize("NFC"));
  return have >= least && have <= most;
}

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
