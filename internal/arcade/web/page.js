// The page of one game: starts the session of the link's token, shows it, keeps it
// alive while the page is open, and says how it ended. What the service sends is
// set as text, never as HTML.
"use strict";

const token = new URLSearchParams(location.search).get("token") ?? "";
const page = Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(36)).join("");
const call = JSON.stringify({ token, page });
const at = (id) => document.getElementById(id);

let begun;  // when the game began, by performance.now()
let worker; // beats
let stream; // tells the end at once
let missed = 0; // beats without an answer, in a row

async function start() {
  set("loading", "opening…");
  at("banner").hidden = true;
  let answer;
  try {
    const res = await fetch("/play/start", { method: "POST", headers: { "Content-Type": "application/json" }, body: call });
    answer = await res.json();
  } catch {
    answer = { problem: { title: "Not just now", message: "The game server does not answer.", retry: true } };
  }
  if (answer.problem) return refuse(answer.problem);
  show(answer);
  if (answer.over) return;
  worker = new Worker("/play/beat.js");
  worker.onmessage = ({ data }) => (data ? show(data) : miss());
  worker.postMessage({ every: answer.beatMillis, call });
  listen();
}

// listen opens the stream while the page is in front: a browser has few
// connections to one host, and hidden pages must not use them up.
function listen() {
  if (!worker || document.hidden) return silence();
  if (stream) return;
  stream = new EventSource("/play/events?token=" + encodeURIComponent(token));
  stream.addEventListener("over", ({ data }) => show(JSON.parse(data)));
}

function silence() {
  stream?.close();
  stream = undefined;
}

function show(game) {
  if (document.body.dataset.state === "over") return;
  missed = 0;
  if (game.session) {
    for (const name of ["game", "device", "session"]) at(name).textContent = game[name];
    at("member").textContent = game.member || "guest";
    at("mode").textContent = game.mode === "real" ? "real · " + game.currency : game.mode;
    at("lobby").hidden = !game.lobbyUrl;
    if (game.lobbyUrl) at("lobby").href = game.lobbyUrl;
    begun = performance.now() - game.playedMillis;
  }
  tick();
  if (game.over) return finish(game.over);
  set("playing", "playing");
}

// miss waits for a game server that does not answer, but not for ever: by then
// it has ended the session itself, or is gone.
function miss() {
  if (++missed < 20) return set("shaky", "reconnecting…");
  finish({ title: "The game has ended", message: "The game server does not answer any more. Open the game again from the lobby." });
}

function finish(over) {
  stop();
  tell(over);
  set("over", "ended");
}

function refuse(problem) {
  tell(problem);
  at("retry").hidden = !problem.retry;
  set("problem", "not playing");
}

function tell({ title, message }) {
  at("title").textContent = title;
  at("message").textContent = message;
  at("banner").hidden = false;
}

function stop() {
  worker?.terminate();
  worker = undefined;
  silence();
}

function set(state, words) {
  document.body.dataset.state = state;
  at("status").textContent = words;
  document.title = (state === "over" || state === "problem" ? at("title").textContent : at("game").textContent) + " – Arcade";
}

function tick() {
  if (begun === undefined || document.body.dataset.state === "over") return;
  const s = Math.floor((performance.now() - begun) / 1000);
  const two = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(s / 3600);
  at("time").textContent = (hours ? hours + ":" + two(Math.floor(s / 60) % 60) : Math.floor(s / 60)) + ":" + two(s % 60);
}

addEventListener("pagehide", () => {
  if (["over", "problem"].includes(document.body.dataset.state)) return;
  stop();
  navigator.sendBeacon("/play/leave", new Blob([call], { type: "application/json" }));
});
addEventListener("pageshow", (e) => e.persisted && document.body.dataset.state !== "over" && start());
document.addEventListener("visibilitychange", listen);
at("retry").addEventListener("click", start);
setInterval(tick, 250);
start();
