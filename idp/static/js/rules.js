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
  letter: number(/\p{L}/gu),
  special: number(/[\p{P}\p{S}\p{Z}]/gu),
};

// The server names each rule and its numbers: <li data-rule="length" data-least="12" data-most="256">.
function met(item, text) {
  const have = counts[item.dataset.rule](text.normalize("NFC"));
  return have >= Number(item.dataset.least) && have <= Number(item.dataset.most || Infinity);
}

function tick() {
  const left = [];
  for (const item of list.querySelectorAll("li[data-rule]")) {
    if (!(item.dataset.rule in counts) || !item.dataset.least) continue;
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
