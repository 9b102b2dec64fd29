// SPDX-License-Identifier: Apache-2.0
import { age, bytes, count } from "./format.js";
import { columns, titles } from "./columns.js";

const refreshEvery = 2000; // ms
const shownTunnels = 200;
const names = Object.keys(titles);
const $ = (selector) => document.querySelector(selector);

const state = { view: "tunnels", lists: {}, snapshot: null, ready: "", filter: "", sending: false };
if (names.includes(location.hash.slice(1))) state.view = location.hash.slice(1);

async function ask(path, options = {}) {
  const answer = await fetch(path, { ...options, signal: AbortSignal.timeout(10000) });
  return { status: answer.status, body: await (path === "readyz" ? answer.text() : answer.json()) };
}

async function refresh() {
  try {
    const answers = await Promise.all([
      ask("readyz"), ask("api/v1/snapshot"),
      ...names.map((name) => ask(`api/v1/${name}${name === "tunnels" ? `?limit=${shownTunnels}` : ""}`)),
    ]);
    const [ready, snapshot, ...lists] = answers;
    state.ready = ready.status === 200 ? "" : ready.body.trim();
    state.snapshot = snapshot.body;
    names.forEach((name, i) => { state.lists[name] = lists[i].body; });
    state.lost = "";
    state.seen = new Date();
  } catch (failed) {
    state.lost = failed.message || String(failed);
  }
  draw();
}

const total = (list) => (list?.items?.length ?? 0) + (list?.metadata?.remainingItemCount ?? 0);

function element(name, text = "", className = "") {
  const node = document.createElement(name);
  node.textContent = text;
  if (className) node.className = className;
  return node;
}

function drawState() {
  const badge = $("#state");
  const since = state.seen ? ` since ${state.seen.toLocaleTimeString()}` : "";
  badge.textContent = state.lost ? `unreachable${since}` : state.ready || "ready";
  badge.className = "badge " + (state.lost ? "bad" : state.ready ? "" : "good");
  badge.title = state.lost || "";
  document.body.classList.toggle("stale", Boolean(state.lost));
}

function drawTabs() {
  const tabs = $("#tabs");
  if (!tabs.children.length) {
    for (const name of names) {
      const button = element("button", titles[name]);
      button.setAttribute("role", "tab");
      button.append(element("small"));
      button.onclick = () => { state.view = name; history.replaceState(null, "", "#" + name); draw(); };
      tabs.append(button);
    }
  }
  names.forEach((name, i) => {
    tabs.children[i].setAttribute("aria-selected", String(name === state.view));
    tabs.children[i].querySelector("small").textContent = state.lists[name] ? count(total(state.lists[name])) : "";
  });
}

function drawFigures() {
  const tunnels = state.lists.tunnels?.items ?? [];
  const sum = (side, what) => tunnels.reduce((all, t) => all + t[side][what], 0);
  const all = total(state.lists.tunnels);
  const of = all > tunnels.length ? `of ${tunnels.length} shown` : "";
  const reloads = state.snapshot?.reloads ?? {};
  const figures = [
    ["Live tunnels", count(all), ""],
    ["From clients", bytes(sum("fromClient", "bytes")), of],
    ["To clients", bytes(sum("fromEndpoint", "bytes")), of],
    ["Frames", count(sum("fromClient", "frames") + sum("fromEndpoint", "frames")), of],
    ["Snapshot", state.snapshot?.number ?? "none", state.snapshot?.created ? age(state.snapshot.created) + " old" : ""],
    ["Reloads", count(reloads.succeeded ?? 0), reloads.failed ? `${reloads.failed} refused` : ""],
  ];
  $("#figures").replaceChildren(...figures.map(([name, value, more]) => {
    const tile = element("div");
    const figure = element("dd", value);
    if (more) figure.append(element("small", more));
    tile.append(element("dt", name), figure);
    return tile;
  }));
}

function drawProblem() {
  const error = state.snapshot?.last_error;
  const box = $("#problem");
  box.hidden = !error;
  if (!error) return;
  box.querySelector("h2").textContent =
    `The last change (${error.cause}, ${age(error.time)} ago) was refused: ` +
    (state.snapshot.number ? `snapshot ${state.snapshot.number} stays in force.` : "there is no snapshot.");
  const worst = error.diagnostics.filter((d) => d.severity === "error");
  box.querySelector("ol").replaceChildren(...worst.map((d) => element("li", d.text)));
}

async function closeTunnel(id, button) {
  if (!confirm(`Close tunnel ${id}?`)) return;
  button.disabled = true;
  await ask(`api/v1/tunnels/${id}`, { method: "DELETE" }).catch(() => {});
  refresh();
}

function cell(column, item) {
  const value = column.value(item);
  const node = element("td", "", column.kind ?? "");
  if (Array.isArray(value)) {
    const list = element("span", "", "list mono");
    list.append(...value.map((one) => element("span", one)));
    node.append(value.length ? list : element("span", "none", "soft"));
  } else {
    node.textContent = value;
  }
  if (column.title) node.title = column.title(item);
  return node;
}

function drawTable() {
  const list = state.lists[state.view];
  const shown = columns[state.view];
  $("#view h2").textContent = titles[state.view];
  const heading = document.createElement("tr");
  heading.append(...shown.map((column) => element("th", column.name, column.kind === "number" ? "number" : "")));
  $("thead").replaceChildren(heading);
  const wanted = state.filter.toLowerCase();
  const items = (list?.items ?? []).filter((item) => !wanted || JSON.stringify(item).toLowerCase().includes(wanted));
  $("tbody").replaceChildren(...items.map((item) => {
    const row = document.createElement("tr");
    row.append(...shown.map((column) => cell(column, item)));
    if (state.view === "tunnels") {
      const button = element("button", "Close");
      button.setAttribute("aria-label", `Close tunnel ${item.id}`);
      button.onclick = () => closeTunnel(item.id, button);
      const last = element("td", "", "number");
      last.append(button);
      row.append(last);
    }
    return row;
  }));
  if (state.view === "tunnels") heading.append(element("th"));
  const left = list?.metadata?.remainingItemCount;
  $("#note").textContent = !list ? "" : items.length === 0 ? (wanted ? "Nothing matches the filter." : `No ${titles[state.view].toLowerCase()}.`)
    : left ? `The first ${list.items.length} of ${count(total(list))}. All of them: hawser get tunnels` : "";
}

function draw() {
  drawState();
  drawTabs();
  drawFigures();
  drawProblem();
  // A row under the pointer's pressed button must not be replaced.
  if (!document.querySelector("tbody button:active")) drawTable();
}

$("#filter").oninput = (event) => { state.filter = event.target.value; drawTable(); };
$("#reload").onclick = async (event) => {
  event.target.disabled = true;
  await ask("api/v1/reload", { method: "POST" }).catch(() => {});
  event.target.disabled = false;
  refresh();
};

async function loop() {
  if (!document.hidden) await refresh();
  setTimeout(loop, refreshEvery);
}
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
loop();
