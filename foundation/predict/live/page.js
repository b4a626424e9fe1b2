"use strict";
// Asks for what is new four times a second, and draws the latest seconds of one recording.

const PERIOD_MS = 250, LEFT = 110, RIGHT = 16, BELOW = 20;
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"];
// Viridis at nine points.
const VIRIDIS = [[68, 1, 84], [71, 44, 122], [59, 81, 139], [44, 113, 142], [33, 144, 141], [39, 173, 129],
  [92, 200, 99], [170, 220, 50], [253, 231, 37]];
const at = (id) => document.getElementById(id);
let about = {}, rows = [], answers = [], gaps = [], recording = null, last = { row: 0, answer: 0 }, spans = {};

async function ask(path) {
  const answer = await fetch(path, { cache: "no-store" });
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

async function begin() {
  about = await ask("about");
  document.title = `${about.label}: wfm serve`;
  at("title").textContent = `Live: ${about.label}`;
  at("source").textContent = `${about.source}, adapter ${about.adapter}`;
  at("label").classList.add("waiting");
  for (;;) {
    try {
      take(await ask(`state?row=${last.row}&answer=${last.answer}`));
    } catch (error) {
      tellState("ended", "the server does not answer");
    }
    await new Promise((done) => setTimeout(done, PERIOD_MS));
  }
}

function take(state) {
  if (state.recording !== recording) {
    recording = state.recording;
    rows = [];
    answers = [];
  }
  spans = { shown: state.shown_s, row: state.row_s };
  for (const [number, time, levels] of state.rows) { rows.push({ time, levels }); last.row = number; }
  for (const [number, answer] of state.answers) { answers.push(answer); last.answer = number; }
  const newest = rows.length ? rows[rows.length - 1].time : 0;
  rows = rows.filter((row) => row.time > newest - spans.shown);
  answers = answers.filter((one) => one.end_s > newest - spans.shown - 60);
  gaps = state.notes.filter((note) => note.event === "missing" && note.recording === recording);
  if (state.problem) tellState("ended", state.problem);
  else if (state.recording < 0) tellState("", "waiting for packets");
  else tellState("live", state.transmitter ? `receiving ${state.transmitter}` : "receiving");
  tellNow(state.now);
  tellNotes(state.notes);
  drawField(newest);
  drawTimeline(newest);
}

function tellState(kind, text) {
  at("state").className = kind;
  at("state").textContent = text;
}

function tellNow(counted) {
  at("packets").textContent = counted.packets.toLocaleString("en");
  at("windows").textContent = counted.windows.toLocaleString("en")
    + (counted.missing ? ` (${counted.missing.toLocaleString("en")} with gaps)` : "");
  at("bad").textContent = counted.bad.toLocaleString("en");
  const one = answers[answers.length - 1];
  at("label").classList.toggle("waiting", !one);
  if (!one) { at("label").textContent = "waiting for a window"; at("bars").replaceChildren(); at("mark").hidden = true; return; }
  at("label").textContent = one.label ?? one.value.map((x) => x.toFixed(2)).join(", ");
  at("mark").hidden = !one.outside;
  at("window").textContent = `${one.start_s.toFixed(2)} to ${one.end_s.toFixed(2)} s`;
  at("latency").textContent = `${(1000 * one.latency_s).toFixed(0)} ms`;
  const chances = Object.entries(one.probabilities ?? {});
  at("bars").replaceChildren(...chances.map(([name, chance]) => bar(name, chance, name === one.label)));
  if (one.radius !== null && one.radius !== undefined) at("bars").textContent = `90 % within ${one.radius.toFixed(2)}`;
}

function bar(name, chance, isBest) {
  const row = document.createElement("div"), label = document.createElement("span");
  const share = document.createElement("span"), length = document.createElement("progress");
  row.className = isBest ? "bar best" : "bar";
  label.className = "name";
  label.textContent = label.title = name;
  length.value = chance;
  share.className = "share";
  share.textContent = `${(100 * chance).toFixed(0)} %`;
  row.append(label, length, share);
  return row;
}

function tellNotes(notes) {
  const told = notes.slice().reverse().map((note) => {
    const item = document.createElement("li"), who = note.transmitter ? ` of ${note.transmitter}` : "";
    const when = new Date(1000 * note.at).toLocaleTimeString("en-GB");
    const texts = {
      began: () => `recording${who} ${note.is_new ? "begins" : "begins anew"}: ${note.links} links x ${note.responses} responses`,
      missing: () => `${note.start_s.toFixed(2)} to ${note.end_s.toFixed(2)} s: not predicted, too many packets are missing`,
      refused: () => `recording${who} is not predicted: ${note.reason}`,
    };
    item.textContent = `${when}  ${texts[note.event]()}`;
    return item;
  });
  if (told.length) at("notes").replaceChildren(...told);
}

// A canvas in the pixels of the screen, cleared; x(time) is where a time lies.
function canvas(id, newest) {
  const element = at(id), ratio = window.devicePixelRatio || 1, width = element.clientWidth;
  const height = Number(element.dataset.height ?? (element.dataset.height = element.getAttribute("height")));
  element.width = Math.round(width * ratio);
  element.height = Math.round(height * ratio);
  element.style.height = `${height}px`;
  const pen = element.getContext("2d");
  pen.scale(ratio, ratio);
  pen.clearRect(0, 0, width, height);
  pen.font = "12px system-ui, 'Liberation Sans', sans-serif";
  const from = Math.max(0, newest - spans.shown), scale = (width - LEFT - RIGHT) / spans.shown;
  return { pen, width, height, bottom: height - BELOW, from, x: (time) => LEFT + (time - from) * scale };
}

function axis({ pen, bottom, from, x }) {
  pen.fillStyle = "#6b7280";
  pen.textAlign = "center";
  for (let time = Math.ceil(from / 5) * 5; time <= from + spans.shown; time += 5) pen.fillText(`${time} s`, x(time), bottom + 15);
}

function drawField(newest) {
  const frame = canvas("field", newest), { pen, bottom, x } = frame;
  pen.fillStyle = "#d5d9e0";
  pen.fillRect(LEFT, 0, frame.width - LEFT - RIGHT, bottom);
  if (rows.length) {
    const known = rows.flatMap((row) => row.levels).filter((level) => level !== null && level > -150).sort((a, b) => a - b);
    const low = known[Math.floor(0.02 * known.length)] ?? 0, high = known[Math.floor(0.98 * (known.length - 1))] ?? 1;
    const columns = rows[0].levels.length, height = bottom / columns, width = Math.ceil(x(spans.row) - x(0)) + 1;
    for (const row of rows) {
      row.levels.forEach((level, column) => {
        if (level === null) return;
        pen.fillStyle = colour((level - low) / Math.max(high - low, 1e-3));
        pen.fillRect(x(row.time), bottom - (column + 1) * height, width, height + 1);
      });
    }
    pen.fillStyle = "#6b7280";
    pen.textAlign = "right";
    pen.fillText(`${high.toFixed(0)} dB bright`, LEFT - 10, 14);
    pen.fillText(`${low.toFixed(0)} dB dark`, LEFT - 10, bottom - 4);
  }
  axis(frame);
}

function colour(share) {
  const place = Math.min(Math.max(share, 0), 1) * (VIRIDIS.length - 1), low = Math.min(Math.floor(place), VIRIDIS.length - 2);
  const mix = VIRIDIS[low].map((part, k) => Math.round(part + (place - low) * (VIRIDIS[low + 1][k] - part)));
  return `rgb(${mix})`;
}

function drawTimeline(newest) {
  const classes = about.classes ?? [];
  at("timeline").dataset.height = classes.length ? 24 * classes.length + BELOW : 160;
  const frame = canvas("timeline", newest), { pen, bottom, x } = frame;
  pen.save();
  pen.beginPath();
  pen.rect(LEFT, 0, frame.width - LEFT - RIGHT, bottom);
  pen.clip();
  if (classes.length) drawClasses(frame, classes);
  else drawNumbers(frame);
  pen.fillStyle = "rgba(180, 35, 24, 0.14)";
  for (const gap of gaps) pen.fillRect(x(gap.start_s), 0, x(gap.end_s) - x(gap.start_s), bottom);
  pen.fillStyle = "#b42318";
  for (const one of answers) if (one.outside) pen.fillRect(x(one.start_s), 0, x(one.end_s) - x(one.start_s) - 1, 3);
  pen.restore();
  pen.fillStyle = "#1f2430";
  pen.textAlign = "right";
  classes.forEach((name, row) => pen.fillText(name.length > 15 ? `${name.slice(0, 14)}…` : name, LEFT - 10, 24 * row + 16));
  axis(frame);
}

function drawClasses({ pen, width, x }, classes) {
  classes.forEach((name, row) => {
    pen.fillStyle = "#f1f3f5";
    pen.fillRect(LEFT, 24 * row + 3, width - LEFT, 18);
  });
  for (const one of answers) {
    const row = classes.indexOf(one.label);
    pen.globalAlpha = 0.15 + 0.85 * one.probability;
    pen.fillStyle = COLOURS[row % COLOURS.length];
    pen.fillRect(x(one.start_s), 24 * row + 3, Math.max(x(one.end_s) - x(one.start_s) - 1, 1), 18);
  }
  pen.globalAlpha = 1;
}

function drawNumbers({ pen, bottom, x }) {
  const all = answers.flatMap((one) => one.value), low = Math.min(...all), high = Math.max(...all, low + 1e-9);
  const y = (value) => bottom - 8 - ((value - low) / (high - low)) * (bottom - 16);
  (answers[0]?.value ?? []).forEach((_, part) => {
    pen.strokeStyle = pen.fillStyle = COLOURS[part % COLOURS.length];
    pen.beginPath();
    for (const one of answers) pen.lineTo(x((one.start_s + one.end_s) / 2), y(one.value[part]));
    pen.stroke();
    for (const one of answers) pen.fillRect(x((one.start_s + one.end_s) / 2) - 2, y(one.value[part]) - 2, 4, 4);
  });
}

begin().catch((error) => tellState("ended", error.message));
