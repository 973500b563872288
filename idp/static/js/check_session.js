// Session Management 1.0, section 3.2: tells the page that frames us whether the session_state that it holds still fits this browser.
// The asker's origin comes from the browser and is part of what is compared: another site that learned a session_state gets «changed».
"use strict";

const cookie = document.documentElement.dataset.cookie + "=";

function browserState() {
  const found = document.cookie.split("; ").find((pair) => pair.startsWith(cookie));
  return found ? found.slice(cookie.length) : "";
}

async function digest(text) {
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

async function judge(message, origin) {
  const asked = typeof message === "string" && /^([!-~]+) ([\w-]+)\.([\w-]+)$/.exec(message);
  if (!asked) return "error";
  const [, client, told, salt] = asked;
  const state = browserState();
  return state && (await digest(`${client} ${origin} ${state} ${salt}`)) === told ? "unchanged" : "changed";
}

addEventListener("message", async (event) => {
  if (!event.source || event.source === window || !/^https?:/.test(event.origin)) return; // a frame without an origin is nobody's client
  event.source.postMessage(await judge(event.data, event.origin), event.origin);
});
