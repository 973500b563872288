// The demo page only: count the seconds of the one-time codes down, and fetch new ones when they have run out.
"use strict";

const clocks = [...document.querySelectorAll("[data-seconds-left]")];
const loaded = Date.now();

function tick() {
  for (const clock of clocks) {
    const left = Number(clock.dataset.secondsLeft) - Math.floor((Date.now() - loaded) / 1000);
    clock.textContent = String(Math.max(0, left));
    if (left <= 0 && document.visibilityState === "visible") {
      clearInterval(timer);
      location.reload();
      return;
    }
  }
}
const timer = setInterval(tick, 1000);
