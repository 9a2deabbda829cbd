"use strict";
// The panel: draws the state that the unit sends, and asks the unit for what a finger wants.
// Nothing is remembered here; after a reconnect the next state draws everything anew.

const KEYS = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "0", "#"];
const KEY_NAMES = { "*": "star", "#": "hash" };
const SIDES = ["left", "right"];
const FLOOR_DBFS = -60;
const RETRY_MS = 800;

const STATES = {
  idle: "Idle", off_hook: "Off hook, ready to dial", dialing: "Dialing", ringing: "Ringing",
  incoming: "Incoming call", connected: "Connected", held: "On hold",
};

const at = (id) => document.getElementById(id);
const part = (root, selector) => root.querySelector(selector);
let state = {};
let clockSkewS = 0;
let socket = null;

// ---- small tools -------------------------------------------------------------------------

function put(element, text) {
  const wanted = text || "\u00a0";
  if (element.textContent !== wanted) element.textContent = wanted;
}

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// Keeps one child per item, in order, without touching the ones that stay: focus survives.
function keyed(list, items, key, create, update) {
  const known = new Map([...list.children].map((child) => [child.dataset.key, child]));
  items.forEach((item, index) => {
    const name = String(key(item));
    const child = known.get(name) || create(item);
    known.delete(name);
    child.dataset.key = name;
    if (list.children[index] !== child) list.insertBefore(child, list.children[index] || null);
    update(child, item);
  });
  for (const child of known.values()) child.remove();
}

function spell(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const rest = [Math.floor(whole / 60) % 60, whole % 60].map((n) => String(n).padStart(2, "0"));
  return (whole >= 3600 ? [Math.floor(whole / 3600), ...rest] : rest).join(":");
}

function toast(text) {
  const box = at("toast");
  put(box, text);
  box.hidden = false;
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => { box.hidden = true; }, 6000);
}

async function ask(path, body = {}) {
  const response = await fetch(`/api/${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-OpenTurret": "panel" },
    body: JSON.stringify(body),
  });
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  const error = answer.error || {};
  throw new Error([error.message || `the unit answers ${response.status}`, error.remedy].filter(Boolean).join(": "));
}

const command = (path, body) => ask(path, body).catch((error) => toast(error.message));
const callsOf = (side) => (state.calls || []).filter((call) => call.kind === "call" && call.position === `handset-${side}` && call.state !== "incoming");
const callOf = (side) => callsOf(side).find((call) => call.state !== "held") || callsOf(side)[0];
const nameOf = (call) => call.remote_name || call.remote.replace(/^sips?:([^@;]+)@.*$/, "$1");

// ---- the fixed parts ---------------------------------------------------------------------

for (const tile of document.querySelectorAll(".handset")) buildHandset(tile, tile.dataset.side);

function buildHandset(tile, side) {
  tile.append(at("handset-template").content.cloneNode(true));
  const title = part(tile, "h2");
  title.id = `${side}-title`;
  title.textContent = `${side === "left" ? "Left" : "Right"} handset`;
  const number = part(tile, ".number");
  number.id = `${side}-number`;
  const label = part(tile, ".dialer label");
  label.htmlFor = number.id;
  label.textContent = `Number to call from the ${side} handset`;
  part(tile, ".pad").setAttribute("aria-label", `Dial pad, ${side} handset`);
  part(tile, ".pad").append(...KEYS.map((key) => padKey(key, number)));
  part(tile, ".hook").addEventListener("click", () => {
    const isOff = part(tile, ".hook").getAttribute("aria-pressed") === "true";
    command(`handsets/${side}/hook`, { off_hook: !isOff });
  });
  part(tile, ".hangup").addEventListener("click", () => command(`handsets/${side}/hangup`));
  part(tile, ".hold").addEventListener("click", () => {
    const call = callOf(side);
    if (call) command(`calls/${encodeURIComponent(call.id)}/${call.state === "held" ? "resume" : "hold"}`);
  });
  part(tile, ".move").addEventListener("click", () => {
    const call = callOf(side);
    if (call) command(`calls/${encodeURIComponent(call.id)}/move`, { side: side === "left" ? "right" : "left" });
  });
  part(tile, ".dialer").addEventListener("submit", (event) => {
    event.preventDefault();
    if (number.value.trim()) dial(side, number.value.trim()).then(() => { number.value = ""; });
  });
}

function padKey(key, number) {
  const button = make("button", { type: "button", "aria-label": KEY_NAMES[key] || key }, key);
  button.addEventListener("click", () => { number.value += key; });
  return button;
}

const dial = (side, number) => command(`handsets/${side}/dial`, { number });

at("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = part(at("login"), "button");
  button.disabled = true;
  put(at("login-note"), "");
  try {
    await ask("login", { user: at("login-user").value, password: at("login-password").value });
    connect();
  } catch (error) {
    put(at("login-note"), error.message);
  } finally {
    at("login-password").value = "";
    button.disabled = false;
  }
});
at("logout").addEventListener("click", () => command("logout").then(connect));

// ---- drawing -----------------------------------------------------------------------------

function draw() {
  const hasDesk = Boolean(state.user);
  document.body.dataset.view = hasDesk ? "desk" : "login";
  at("logout").hidden = !hasDesk;
  put(at("user"), state.user ? state.user.name || state.user.id : "");
  drawUnit();
  drawAlarms(state.alarms || []);
  drawStages((state.boot && state.boot.stages) || []);
  drawChips(at("registrations"), state.registrations || [], (item) => [
    item.account, item.account.replace("pbx-", "PBX "), item.registered ? "good" : item.status ? "bad" : "warn",
    `${item.server}, ${item.registered ? "registered" : `${item.status || ""} ${item.reason}`}`,
  ]);
  drawRecording(state.recording || {});
  if (hasDesk) drawDesk();
  sayFailure(state.last_failure);
}

// A call that did not come about is said once.
function sayFailure(failure) {
  const text = failure ? `${failure.remote}: ${failure.status} ${failure.reason}` : "";
  if (text && text !== sayFailure.last) toast(text);
  sayFailure.last = text;
}

function drawDesk() {
  for (const side of SIDES) drawHandset(side, (state.handsets || {})[side] || {});
  drawIncoming((state.calls || []).filter((call) => call.state === "incoming"));
  drawSpeakers(state.speakers || []);
  drawDials(state.speed_dials || []);
}

function drawUnit() {
  const unit = state.unit || {};
  put(at("unit"), [unit.model, unit.serial, unit.address].filter(Boolean).join(" · "));
  const facts = { Model: unit.model, Serial: unit.serial, Address: unit.address, Firmware: unit.firmware_version, Configuration: unit.config_version };
  at("facts").replaceChildren(...Object.entries(facts).filter(([, value]) => value !== undefined && value !== null && value !== "")
    .flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, String(value))]));
}

function drawAlarms(alarms) {
  at("alarms").hidden = alarms.length === 0;
  keyed(part(at("alarms"), "ul"), alarms, (alarm) => alarm.code + (alarm.subject || ""),
    () => make("li", {}, make("strong"), make("span", { class: "remedy" })),
    (row, alarm) => {
      put(part(row, "strong"), alarm.message || alarm.code);
      put(part(row, ".remedy"), alarm.remedy || "");
    });
}

function drawStages(stages) {
  for (const list of document.querySelectorAll("[data-stages]")) {
    keyed(list, stages, (stage) => stage.name,
      () => make("li", {}, make("span", { class: "name" }), make("span", { class: "what" }), make("span", { class: "took" })),
      drawStage);
  }
}

function drawStage(row, stage) {
  row.dataset.state = stage.state;
  put(part(row, ".name"), stage.name);
  const what = part(row, ".what");
  what.toggleAttribute("data-error", Boolean(stage.error));
  put(what, stage.error ? [stage.error, stage.remedy].filter(Boolean).join(": ") : stage.detail || stage.state);
  const took = stage.duration_s === null || stage.duration_s === undefined ? "" : `${stage.duration_s.toFixed(2)} s`;
  put(part(row, ".took"), stage.round_trips ? `${took} · ${stage.round_trips} RT` : took);
}

function drawChips(list, items, describe) {
  keyed(list, items, (item) => describe(item)[0], () => make("li", { class: "chip" }), (chip, item) => {
    const [, text, tone, spoken] = describe(item);
    chip.dataset.tone = tone;
    chip.title = spoken || "";
    chip.setAttribute("aria-label", `${text}: ${spoken || ""}`);
    put(chip, text);
  });
}

function drawRecording(recording) {
  drawChips(at("recorders"), recording.recorders || [], (item) => [
    item.name, `REC ${String(item.name).toUpperCase()}`, { recording: "rec", connecting: "warn", lost: "bad" }[item.state] || "", item.state,
  ]);
}

function drawHandset(side, handset) {
  const tile = part(document, `.handset[data-side=${side}]`);
  const call = callOf(side);
  const isOff = Boolean(handset.off_hook);
  const hook = part(tile, ".hook");
  hook.setAttribute("aria-pressed", String(isOff));
  put(part(hook, ".text"), isOff ? "Off hook" : "On hook");
  tile.dataset.call = call ? call.state : "idle";
  tile.dataset.since = (call && call.connected_unix_s) || "";
  put(part(tile, ".state"), call ? STATES[call.state] || call.state : STATES[isOff ? "off_hook" : "idle"]);
  put(part(tile, ".party"), call ? nameOf(call) : "");
  put(part(tile, ".detail"), call ? describe(call) : handset.attached === false ? "The handset is not plugged in" : "");
  drawCallButtons(tile, side, call);
  part(tile, ".hangup").disabled = !call;
}

function describe(call) {
  return [nameOf(call) === call.remote ? "" : call.remote, call.direction === "in" ? "called us" : "", call.codec, call.adopted ? "kept through a restart" : ""]
    .filter(Boolean).join(" \u00b7 ");
}

// Hold, take back, move to the other handset: what the call allows now.
function drawCallButtons(tile, side, call) {
  const hold = part(tile, ".hold");
  const isHeld = Boolean(call) && call.state === "held";
  hold.disabled = !call || !["connected", "held"].includes(call.state) || call.adopted;
  hold.setAttribute("aria-pressed", String(isHeld));
  put(hold, isHeld ? "Take back" : "Hold");
  const other = (state.handsets || {})[side === "left" ? "right" : "left"] || {};
  part(tile, ".move").disabled = !call || call.state !== "connected" || !other.off_hook || Boolean(other.call);
}

function drawIncoming(calls) {
  at("incoming").hidden = calls.length === 0;
  keyed(part(at("incoming"), "ul"), calls, (call) => call.id, createIncoming, (row, call) => {
    put(part(row, ".from"), nameOf(call));
  });
}

function createIncoming(call) {
  const answer = make("button", { type: "button", class: "go" }, "Answer");
  const refuse = make("button", { type: "button", class: "stop" }, "Refuse");
  const path = `calls/${encodeURIComponent(call.id)}`;
  answer.addEventListener("click", () => command(`${path}/answer`));
  refuse.addEventListener("click", () => command(`${path}/hangup`));
  return make("li", {}, make("span", { class: "from" }), answer, refuse);
}

function drawSpeakers(speakers) {
  at("no-speakers").hidden = speakers.length > 0;
  keyed(at("speakers"), speakers, (speaker) => speaker.channel, createSpeaker, drawSpeaker);
}

function createSpeaker(speaker) {
  const card = at("speaker-template").content.firstElementChild.cloneNode(true);
  const path = `speakers/${speaker.channel}`;
  const volume = part(card, "input");
  const mute = part(card, ".mute");
  const talk = part(card, ".talk");
  volume.addEventListener("input", () => put(part(card, ".gain"), `${volume.value} dB`));
  volume.addEventListener("change", () => command(`${path}/volume`, { gain_db: Number(volume.value) }));
  mute.addEventListener("click", () => command(`${path}/mute`, { muted: mute.getAttribute("aria-pressed") !== "true" }));
  pressAndHold(talk, (on) => command(`${path}/talk`, { on }));
  return card;
}

// Talk lasts as long as the finger: a lost pointer or focus ends it.
function pressAndHold(button, act) {
  let held = false;
  const set = (on) => { if (held !== on) { held = on; act(on); } };
  button.addEventListener("pointerdown", (event) => { button.setPointerCapture(event.pointerId); set(true); });
  for (const name of ["pointerup", "pointercancel", "lostpointercapture", "blur"]) button.addEventListener(name, () => set(false));
  button.addEventListener("keydown", (event) => { if ((event.key === " " || event.key === "Enter") && !event.repeat) { event.preventDefault(); set(true); } });
  button.addEventListener("keyup", (event) => { if (event.key === " " || event.key === "Enter") set(false); });
  button.addEventListener("contextmenu", (event) => event.preventDefault());
}

function drawSpeaker(card, speaker) {
  const name = speaker.label || `Channel ${speaker.channel}`;
  const call = (state.calls || []).find((item) => item.id === speaker.call);
  card.dataset.leg = call && call.leg !== null ? `leg:${call.leg}` : "";
  card.dataset.talk = speaker.talking ? "on" : "";
  put(part(card, ".label"), name);
  put(part(card, ".status"), { connected: "open", idle: "closed" }[speaker.state] || speaker.state);
  put(part(card, ".volume span"), `Volume of ${name}`);
  const volume = part(card, "input");
  if (document.activeElement !== volume) volume.value = speaker.volume_db || 0;
  put(part(card, ".gain"), `${volume.value} dB`);
  for (const [selector, on] of [[".mute", speaker.muted], [".talk", speaker.talking]]) {
    const button = part(card, selector);
    button.setAttribute("aria-pressed", String(Boolean(on)));
    button.setAttribute("aria-label", `${button.textContent} ${name}`);
  }
}

function drawDials(dials) {
  at("no-dials").hidden = dials.length > 0;
  keyed(at("dials"), dials, (item) => `${item.label} ${item.number}`, () => {
    const button = make("button", { type: "button" }, make("span"), make("small"));
    button.addEventListener("click", () => dial(part(document, "[name=side]:checked").value, button.dataset.number));
    return make("li", {}, button);
  }, (row, item) => {
    part(row, "button").dataset.number = item.number;
    put(part(row, "span"), item.label || item.number);
    put(part(row, "small"), item.number);
  });
}

// ---- what moves --------------------------------------------------------------------------

function setBar(bar, dbfs) {
  const share = Math.min(1, Math.max(0, (dbfs - FLOOR_DBFS) / -FLOOR_DBFS));
  bar.style.setProperty("--level", share.toFixed(3));
}

// A pair of levels is [towards the mix, from the mix] for a device, [received, sent] for a leg.
function drawLevels(levels) {
  for (const side of SIDES) {
    const [talk, hear] = levels[`device:handset-${side}`] || [FLOOR_DBFS, FLOOR_DBFS];
    const tile = part(document, `.handset[data-side=${side}]`);
    setBar(part(tile, "[data-bar=hear]"), hear);
    setBar(part(tile, "[data-bar=talk]"), talk);
  }
  for (const card of at("speakers").children) {
    const [received] = levels[card.dataset.leg] || [FLOOR_DBFS];
    setBar(part(card, ".bar"), received);
    part(card, ".lamp").dataset.lamp = received > -50 ? "on" : "";
  }
}

function tick() {
  const now = Date.now() / 1000 - clockSkewS;
  put(at("clock"), new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" }));
  for (const tile of document.querySelectorAll(".handset")) {
    put(part(tile, ".timer"), tile.dataset.since ? spell(now - Number(tile.dataset.since)) : "");
  }
}
setInterval(tick, 500);

// ---- the connection ----------------------------------------------------------------------

function setConnection(text, tone) {
  put(at("connection"), text);
  at("connection").dataset.tone = tone;
}

function take(message) {
  if (message.type === "levels") return drawLevels(message.levels || {});
  if (message.type === "state") {
    state = message.state;
    if (state.time) clockSkewS = Date.now() / 1000 - state.time;
    draw();
    tick();
  }
  if (message.type === "alarm" && message.raised) toast(message.message);
  return undefined;
}

function connect() {
  if (socket) { socket.onclose = null; socket.close(); }
  socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/events`);
  socket.onopen = () => setConnection("live", "good");
  socket.onmessage = (event) => take(JSON.parse(event.data));
  socket.onclose = () => { setConnection("reconnecting", "bad"); setTimeout(connect, RETRY_MS); };
}
connect();
