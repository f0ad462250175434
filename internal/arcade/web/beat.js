// Beats while its page is open. A worker does it, since a browser lets the timers
// of a page that is not in front run once a minute only.
"use strict";

let timer;

onmessage = ({ data: { every, call } }) => {
  clearInterval(timer);
  timer = setInterval(() => beat(call), every);
};

async function beat(body) {
  try {
    const res = await fetch("/play/beat", {
      method: "POST", headers: { "Content-Type": "application/json" }, body, signal: AbortSignal.timeout(5000),
    });
    postMessage(res.ok ? await res.json() : null);
  } catch {
    postMessage(null); // the page says that it is waiting
  }
}
