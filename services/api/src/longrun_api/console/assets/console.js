// What a page does beside reading: times in the reader's zone, copying, fresh numbers, and the live events of a job.
"use strict";

const zoned = new Intl.DateTimeFormat(undefined, {dateStyle: "short", timeStyle: "medium"});
const clock = new Intl.DateTimeFormat(undefined, {hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false});

function localise(root) {
  for (const time of root.querySelectorAll("time[datetime]:not([data-local])")) {
    const at = new Date(time.dateTime);
    time.dataset.local = "";
    time.textContent = (time.closest(".lines") ? clock : zoned).format(at);
  }
}

// The numbers of a page: htmx fetches the page again and swaps the elements that say so, while somebody looks at it.
const isBusy = () =>
  document.querySelector("input:checked, #figures[open]") || document.activeElement?.matches("input, select, textarea");

function refresh() {
  if (document.hidden || isBusy()) return;
  for (const part of document.querySelectorAll("[hx-trigger=refresh]")) htmx.trigger(part, "refresh");
}

function copy(button) {
  navigator.clipboard.writeText(button.dataset.copy).then(() => {
    for (const other of document.querySelectorAll("[data-copy]")) other.textContent = "copy";
    button.textContent = "copied";
  });
}

// Characters that draw nothing or reorder others are shown by their code points, as the server does.
const hidden = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g;
const plain = text => String(text).replace(hidden, found => "\\u" + found.charCodeAt(0).toString(16).padStart(4, "0"));

function line(event, level, said, list) {
  const item = document.createElement("li"), time = document.createElement("time"), mark = document.createElement("span");
  const text = document.createElement("span");
  time.dateTime = event.at;
  time.title = event.at.slice(0, 19).replace("T", " ") + " UTC";
  mark.className = "level " + (["error", "warning"].includes(level) ? level : "");
  mark.textContent = plain(level);
  text.className = "said";
  text.textContent = plain(said);
  item.append(time, mark, text);
  const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  list.append(item);
  while (list.children.length > 2000) list.firstElementChild.remove();
  localise(item);
  if (isAtEnd) list.scrollTop = list.scrollHeight;
  list.closest(".card").hidden = false;
}

const said = {
  log: event => line(event, event.level, event.message, document.getElementById("log")),
  output: event => line(event, event.name, JSON.stringify(event.data), document.getElementById("output")),
  progress: event => {
    const bar = document.getElementById("bar");
    if (event.total) { bar.max = event.total; bar.value = event.done; } else bar.removeAttribute("value");
    document.getElementById("done").textContent =
      plain([event.done + (event.total ? " / " + event.total : ""), event.message].filter(Boolean).join(" · "));
    document.getElementById("progress").hidden = false;
  },
};

function follow(job) {
  const source = new EventSource(job.dataset.stream);
  const live = document.getElementById("live");
  const show = (text, isLost) => {
    live.hidden = false;
    live.textContent = text;
    live.classList.toggle("lost", isLost);
  };
  source.onopen = () => show("live", false);
  source.onerror = () => {
    if (source.readyState !== EventSource.CLOSED) return show("reconnecting", true);
    live.hidden = true;
    htmx.trigger("#facts", "refresh");
  };
  for (const [kind, tell] of Object.entries(said))
    source.addEventListener(kind, message => tell(JSON.parse(message.data)));
  const changed = () => htmx.trigger("#facts", "refresh");
  source.addEventListener("checkpoint", changed);
  source.addEventListener("state", message => {
    changed();
    const state = JSON.parse(message.data);
    if (["SUCCESS", "FAILED", "CANCELLED"].includes(state.status) && !state.retried) {
      source.close();
      live.hidden = true;
      if (state.status === "CANCELLED") awaitReceipt();
    }
  });
}

// A cancelled run stops after its job has ended, and the receipt grows meanwhile.
function awaitReceipt() {
  const timer = setInterval(() => {
    if (document.querySelector("[data-stopping]")) htmx.trigger("#facts", "refresh");
    else clearInterval(timer);
  }, 1000);
}

document.addEventListener("click", event => {
  const button = event.target.closest("[data-copy]");
  if (button) copy(button);
});
document.addEventListener("change", event => {
  if (event.target.id !== "every") return;
  for (const box of document.querySelectorAll("input[name=id]")) box.checked = event.target.checked;
});
document.addEventListener("DOMContentLoaded", () => {
  localise(document);
  document.documentElement.classList.add("scripted");
  document.body.addEventListener("htmx:load", event => localise(event.detail.elt.parentElement ?? document));
  document.body.addEventListener("htmx:beforeSwap", event => { if (isBusy()) event.detail.shouldSwap = false; });
  document.body.addEventListener("htmx:responseError", event => { if (event.detail.xhr.status === 401) location.reload(); });
  for (const list of document.querySelectorAll(".lines")) list.scrollTop = list.scrollHeight;
  const job = document.querySelector("[data-stream]");
  if (job) follow(job);
  if (document.querySelector("[data-stopping]")) awaitReceipt();
  else if (!job) setInterval(refresh, 5000);
});
