// The live page. Names and keys come from outside, so text is only ever set as text.
import { Cameras } from "/page/cameras.js";

const $ = (id) => document.getElementById(id);
const MOST_EVENTS = 200;
const FORGET_MS = 60_000;
const HEALTH_EVERY_MS = 5_000;
const GALLERY_EVERY_MS = 60_000; // each look at the gallery is in the audit trail

let token = sessionStorage.getItem("token") || "";
let enrolled; // people in the gallery, as the newest event says
const streams = new Map(); // key -> {identity, walking, seen}

const element = (name, className, text) => {
  const node = document.createElement(name);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
};

async function api(path, options = {}) {
  const headers = { ...(options.headers || {}), ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  const response = await fetch(path, { ...options, headers });
  if (response.status === 401) { askForToken(); throw new Error("a token is needed"); }
  return response;
}

const cameras = new Cameras($("cameras-section"), api, (track) => openEnrol(track));

async function answer(path, method, body) {
  const options = { method, ...(body ? { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } } : {}) };
  const response = await api(path, options);
  const fields = await response.json();
  if (!response.ok) throw new Error(fields.error || `HTTP ${response.status}`);
  if (response.status === 202) throw new Error(`${fields.error} It is still being carried out.`);
  return fields;
}

function askForToken() {
  $("signin").hidden = false;
  $("main").hidden = true;
  if (token) $("signin-error").textContent = "This token is not accepted.";
  $("token").focus();
}

$("signin").addEventListener("submit", (submitted) => {
  submitted.preventDefault();
  token = $("token").value;
  sessionStorage.setItem("token", token);
  location.reload();
});

// ---- streams and events -------------------------------------------------------------------------------------------------

const sourceOf = (row) => (row.modality === "camera" ? `camera ${row.camera || row.stream}` : "phone");
const trackOf = (row) => (row.camera && row.stream.startsWith(`${row.camera}:`) ? `track ${row.stream.slice(row.camera.length + 1)}` : row.stream);
const who = (row) => (row.decision === "known" ? row.subject : row.decision === "unknown" ? "unknown" : "not sure yet");

function card(key, { identity, walking, seen }) {
  const row = identity || walking;
  const ended = walking && walking.state === "ended" && walking.bout === row.bout;
  const box = element("article", `stream ${identity ? identity.decision : "undecided"}${ended ? " ended" : ""}`);
  box.dataset.stream = key;
  const head = element("div", "row");
  head.append(element("strong", "", identity ? who(identity) : "walking"), element("small", "", `${Math.max(0, Math.round((Date.now() - seen) / 1000))} s ago`));
  box.append(head, element("div", "key", `${sourceOf(row)}, ${trackOf(row)}${row.placement ? `, ${row.placement}` : ""}`));
  if (identity) {
    const sure = element("meter");
    sure.max = 1; sure.value = identity.confidence; sure.title = `${Math.round(identity.confidence * 100)} % sure`;
    sure.setAttribute("aria-label", sure.title);
    box.append(sure);
    const facts = [`${sure.title}, ${identity.windows} windows`];
    if (identity.decision !== "known" && identity.candidates.length) {
      facts.push(`most like ${identity.candidates.map((c) => `${c.subject} ${c.score.toFixed(2)}`).join(", ")}`);
    }
    if (identity.claimed) facts.push(`claims ${identity.claimed}: ${identity.verification}`);
    if (identity.contradicts) facts.push(`was ${identity.contradicts} before`);
    facts.forEach((fact) => box.append(element("small", "", fact), element("br")));
  }
  const foot = element("div", "row");
  foot.append(element("small", "", walking && walking.state === "ended" ? `${walking.steps} steps, ${walking.cadence_hz} Hz` : ""));
  const enrol = element("button", "enrol", "Enrol");
  foot.append(enrol);
  box.append(foot);
  box.addEventListener("click", () => openEnrol(key)); // the whole card; the button is there for keyboards
  return box;
}

function draw() {
  const now = Date.now();
  for (const [key, stream] of streams) if (now - stream.seen > FORGET_MS) streams.delete(key);
  const newest = [...streams].sort(([a], [b]) => a.localeCompare(b));
  $("streams").replaceChildren(...newest.map(([key, stream]) => card(key, stream)));
  $("walking-empty").hidden = streams.size > 0;
  const decisions = { known: 0, unknown: 0, undecided: 0 };
  for (const { identity } of streams.values()) if (identity) decisions[identity.decision] += 1;
  $("counts").textContent = `${streams.size} in the last minute: ${decisions.known} known, ${decisions.unknown} unknown, ${decisions.undecided} not sure`;
}

function addEvent(row) {
  const item = element("li", `event ${row.decision || ""}`);
  item.append(element("small", "", `${new Date(row.at_ms).toLocaleTimeString()} `));
  if (row.modality) item.append(element("span", `source ${row.modality}`, sourceOf(row)));
  if (row.kind === "identity") {
    item.append(element("b", "", who(row)), element("span", "", ` ${trackOf(row)}, ${Math.round(row.confidence * 100)} % sure, ${row.latency_ms} ms`));
  } else {
    const steps = row.state === "ended" ? ` after ${row.seconds} s, ${row.steps} steps` : "";
    item.append(element("span", "", `${trackOf(row)}: walking ${row.state}${steps}`));
  }
  $("events").prepend(item);
  while ($("events").children.length > MOST_EVENTS) $("events").lastChild.remove();
}

function take({ rows, left_out: leftOut }) {
  for (const row of rows) {
    if (row.kind === "camera") { cameras.take(row); continue; }
    const stream = streams.get(row.stream) || {};
    stream[row.kind] = row;
    stream.seen = Math.max(stream.seen || 0, row.at_ms);
    streams.set(row.stream, stream);
    addEvent(row);
    if (row.enrolled !== undefined && row.enrolled !== enrolled) {
      enrolled = row.enrolled; // somebody was enrolled or erased elsewhere
      refresh(showGallery);
    }
  }
  if (leftOut) addEvent({ kind: "walking", stream: `${leftOut} more streams`, state: "not shown", at_ms: Date.now() });
  draw();
}

async function follow() {
  for (;;) {
    try {
      const response = await api("/api/live");
      if (!response.ok) throw new Error((await response.json()).error);
      let text = "";
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        text += value;
        const messages = text.split("\n\n");
        text = messages.pop();
        for (const message of messages) if (message.startsWith("data: ")) take(JSON.parse(message.slice(6)));
      }
    } catch (error) {
      if ($("signin").hidden === false) return;
      $("health").textContent = `no connection: ${error.message}`;
      $("health").className = "pill bad";
    }
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

// ---- gallery and health -------------------------------------------------------------------------------------------------

async function showGallery() {
  const people = await answer("/api/subjects", "GET");
  $("gallery").hidden = people.length === 0;
  $("gallery-empty").hidden = people.length > 0;
  $("gallery").tBodies[0].replaceChildren(...people.map((person) => {
    const row = element("tr");
    row.dataset.subject = person.subject;
    const expires = person.expires_ns ? new Date(person.expires_ns / 1e6).toLocaleDateString() : "never";
    row.append(element("td", "", person.subject), element("td", "", person.templates), element("td", "", [].concat(person.consent || []).join("; ") || "none noted"), element("td", "", expires));
    const cell = element("td");
    const erase = element("button", "danger", "Erase");
    erase.addEventListener("click", () => openErase(person.subject));
    cell.append(erase);
    row.append(cell);
    return row;
  }));
}

async function showHealth() {
  const { ready, missing } = await (await fetch("/readyz")).json();
  $("health").textContent = ready ? "ready" : missing;
  $("health").className = `pill ${ready ? "good" : "bad"}`;
}

async function refresh(...parts) {
  for (const show of parts) {
    try { await show(); } catch (error) { console.warn(error); }
  }
}

// ---- enrol and erase ----------------------------------------------------------------------------------------------------

function openEnrol(key) {
  $("enrol-stream").textContent = key;
  $("enrol-error").textContent = "";
  $("enrol").dataset.stream = key;
  $("enrol").showModal();
}

$("enrol-go").addEventListener("click", async (clicked) => {
  clicked.preventDefault();
  if (!$("enrol").querySelector("form").reportValidity()) return;
  $("enrol-error").textContent = "Enrolling …";
  try {
    await answer("/api/enrol", "POST", {
      subject: $("enrol-name").value.trim(), stream_key: $("enrol").dataset.stream,
      last_s: Number($("enrol-seconds").value), consent: $("enrol-consent").value.trim(),
    });
    $("enrol").close();
    $("enrol-name").value = $("enrol-consent").value = "";
    await refresh(showGallery);
  } catch (error) { $("enrol-error").textContent = error.message; }
});

function openErase(subject) {
  $("erase-name").textContent = subject;
  $("erase-error").textContent = "";
  $("erase-receipt").hidden = true;
  $("erase-go").hidden = false;
  $("erase").dataset.subject = subject;
  $("erase").showModal();
}

$("erase-go").addEventListener("click", async (clicked) => {
  clicked.preventDefault();
  $("erase-error").textContent = "Erasing …";
  try {
    const { receipt } = await answer(`/api/subjects/${encodeURIComponent($("erase").dataset.subject)}`, "DELETE");
    $("erase-error").textContent = "Erased. The receipt:";
    $("erase-receipt").textContent = JSON.stringify(receipt, null, 1);
    $("erase-receipt").hidden = false;
    $("erase-go").hidden = true;
    await refresh(showGallery);
  } catch (error) { $("erase-error").textContent = error.message; }
});

refresh(showHealth, showGallery);
setInterval(() => refresh(showHealth), HEALTH_EVERY_MS);
setInterval(() => refresh(showGallery), GALLERY_EVERY_MS);
setInterval(() => { draw(); cameras.tick(); }, 1000);
follow();
