
"use strict";
const $ = id => document.getElementById(id);
const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};
const family = getComputedStyle(document.body).fontFamily;
const head = (scope, ...children) => make("th", {scope}, ...children);
const percent = x => x == null ? "–" : `${(100 * x).toFixed(2)}\u00a0%`;
const fixed = x => x == null ? "–" : x.toFixed(4);
const whole = x => x == null ? "–" : Math.round(x).toLocaleString("en");
const clock = seconds => {
  const s = Math.round(seconds), two = n => String(n).padStart(2, "0");
  return s < 3600 ? `${Math.floor(s / 60)}:${two(s % 60)}` : `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
};
const dashes = [[], [7, 4], [2, 3], [9, 3, 2, 3]], colours = 5;
const style = i => ({colour: `--s${i % colours}`, dash: dashes[Math.floor(i / colours) % dashes.length]});

const trouble = text => {
  $("trouble").textContent = text;
  $("trouble").hidden = !text;
};

// Chart draws lines over one axis. A line is {name, colour, dash, points: [xs, ys]}.
class Chart {
  constructor(id, {title, x, y, digits, empty}) {
    Object.assign(this, {box: $(id), title, x, y, digits, empty, lines: [], key: null});
    new ResizeObserver(() => this.draw()).observe(this.box);
    charts.push(this);
  }

  set(lines, x = this.x) {
    this.lines = lines.filter(l => l.points[0].length);
    this.x = x;
    const last = l => l.points[1].findLast(v => v != null);
    this.box.setAttribute("aria-label", `${this.title} by ${this.x}. ` + (this.lines.map(l => `${l.name}: ${last(l)?.toFixed(this.digits) ?? "none"} at last`).join("; ") || this.empty));
    this.draw();
  }

  draw() {
    const width = this.box.clientWidth, height = this.box.clientHeight - 60;
    if (!width) return;
    if (!this.lines.length) {
      this.plot = this.key = null;
      this.box.replaceChildren(make("p", {className: "soft", textContent: this.empty}));
      return;
    }
    const key = JSON.stringify([this.title, this.x, width, height, this.lines.map(l => [l.name, l.colour, l.dash])]);
    const data = uPlot.join(this.lines.map(l => l.points));
    if (key == this.key) return this.plot.setData(data);
    this.key = key;
    this.plot?.destroy();
    const axis = {font: `12px ${family}`, labelFont: `bold 12px ${family}`, stroke: () => css("--ink"), grid: {stroke: () => css("--line"), width: 1}, ticks: {stroke: () => css("--line"), width: 1}};
    const options = {
      width, height, title: this.title, legend: {show: false}, cursor: {drag: {x: false}},
      scales: {x: {time: false, range: (_, low, high) => low == high ? [low - .5, high + .5] : [low, high]}},
      axes: [{...axis, label: this.x, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6]}, {...axis, label: this.y, size: 60, values: (_, ticks) => ticks.map(t => t == null ? "" : String(+t.toPrecision(6)))}],
      series: [{}, ...this.lines.map(l => ({stroke: () => css(l.colour), dash: l.dash, width: 2, spanGaps: true, points: {show: l.points[0].length <= 30, size: 5, fill: () => css(l.colour)}}))],
      hooks: {setCursor: [u => this.tell(u.cursor.idx)]},
    };
    this.box.replaceChildren();
    this.plot = new uPlot(options, data, this.box);
    this.values = this.lines.map(l => make("b"));
    const keys = make("p", {className: "keys"}, ...this.lines.slice(0, 4).map((l, i) => {
      const key = make("span", {}, l.name + " ", this.values[i]);
      key.style.color = `var(${l.colour})`;
      return key;
    }));
    keys.setAttribute("aria-hidden", "true"); // the label says it
    if (this.lines.length <= 4) this.box.append(keys);
  }

  // tell shows the values under the mouse.
  tell(i) {
    this.values?.forEach((place, l) => {
      const value = i == null ? null : this.plot.data[l + 1][i];
      place.textContent = value == null ? "" : value.toFixed(this.digits);
    });
  }
}
const charts = [];
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.forEach(c => c.plot?.redraw()));

// The run that is shown.

const stepsChart = new Chart("chart-steps", {title: "Loss", x: "step", y: "mean cross-entropy", digits: 4, empty: "No step is finished yet."});
const accuracyChart = new Chart("chart-accuracy", {title: "Accuracy", x: "epoch", y: "% of images", digits: 2, empty: "No epoch is finished yet."});
const mostSteps = 4096;
let run = null, source = null, dirty = false, later = 0;

const fresh = name => ({name, start: null, steps: [], step: null, epochs: [], matrix: null, samples: null, end: null});

// follow shows the events of a run, from the first on.
function follow(name) {
  source?.close();
  source = null;
  run = fresh(name);
  refresh();
  if (!name || document.hidden) return;
  const address = "api/events?run=" + encodeURIComponent(name), mine = source = new EventSource(address);
  mine.onmessage = message => {
    trouble("");
    apply(JSON.parse(message.data));
    if (run.end) mine.close();
  };
  mine.onerror = () => {
    if (source != mine) return;
    trouble("The connection to the program is lost. Trying again…");
    if (mine.readyState != EventSource.CLOSED) return;
    const probe = new AbortController(); // an EventSource keeps the server's reason to itself
    fetch(address, {signal: probe.signal}).then(async answer => {
      if (!answer.ok && source == mine) trouble(await answer.text());
      probe.abort();
    }).catch(() => {});
    setTimeout(() => { if (source == mine) follow(name); }, 3000);
  };
}
document.addEventListener("visibilitychange", () => { // a browser has few connections per server
  if (!document.hidden && run && !run.end) follow(run.name);
  else if (document.hidden) source?.close();
});

function apply(event) {
  if (event.start) run = {...fresh(run.name), start: event.start};
  if (event.step) {
    run.step = event.step;
    run.steps.push(event.step);
    if (run.steps.length > mostSteps) run.steps = run.steps.filter((_, i) => i % 2 == 0 || i > mostSteps / 2);
  }
  if (event.epoch) {
    run.epochs.push(event.epoch.report);
    if (event.epoch.confusion_matrix) run.matrix = event.epoch.confusion_matrix;
    if (event.epoch.samples) run.samples = event.epoch.samples;
    run.evaluated = true;
  }
  if (event.end) {
    run.end = event.end;
    if (event.end.metrics) run.matrix = event.end.metrics.confusion_matrix;
    loadRuns();
  }
  if (event.step && run.steps.length > 1) refreshLater();
  else refresh();
}

// refresh draws the run with the next frame.
function refresh() {
  clearTimeout(later);
  later = 0;
  if (!dirty) requestAnimationFrame(() => { dirty = false; drawRun(); });
  dirty = true;
}

// refreshLater draws the run within a second: drawing every step would take processor
// time from a training on the same machine.
function refreshLater() {
  later ||= setTimeout(refresh, 1000);
}

// changed reports whether an element does not show this value yet, which it then does.
function changed(id, value) {
  const old = $(id).shows;
  $(id).shows = value;
  return old !== value;
}

const selection = () => run.start?.select_on == "test" ? "test" : "validation";

function drawRun() {
  const s = run.start, epochs = run.epochs, info = runs.find(r => r.name == run.name);
  $("run-title").textContent = shown(run.name);
  $("report-link").hidden = !info?.report;
  $("report-link").href = "report?run=" + encodeURIComponent(run.name);
  $("about").textContent = s ? [s.network, s.parameters ? `${whole(s.parameters)} parameters` : "", s.train_images ? `${whole(s.train_images)} training images` : "", s.batch_size ? `batch ${whole(s.batch_size)}` : "", s.device].filter(Boolean).join(" · ") : "";
  const state = stateOf();
  if ($("state").textContent != state) $("state").textContent = state; // a screen reader reads each change
  const total = s?.steps || (s ? s.epochs * s.steps_per_epoch : 0), bar = $("bar");
  bar.value = run.end?.state == "finished" ? 1 : run.step && total ? run.step.step / total : s ? epochs.length / s.epochs : 0;
  drawCards();
  drawCurves();
  drawEpochs();
  $("evaluation").hidden = !run.matrix;
  if (run.matrix && s?.classes && changed("matrix", run.matrix)) drawMatrix(s.classes);
  $("samples-box").hidden = !run.samples;
  if (run.samples && s?.classes && changed("samples", run.samples)) drawSamples(s);
}

function stateOf() {
  const s = run.start, done = run.epochs.length, end = run.end;
  if (!run.name) return "There is no run yet.";
  if (!s) return "Waiting for the training to begin…";
  if (end?.state == "finished") return end.stopped ? `Finished: stopped ${end.stopped}` : `Finished after ${done} ${done == 1 ? "epoch" : "epochs"}`;
  if (end?.state == "interrupted") return "Interrupted; everything is saved";
  if (end) return `Failed: ${end.error}`;
  if (live == run.name) return done < s.epochs ? `Training epoch ${done + 1} of ${s.epochs}` : "Evaluating on the test images";
  return `Unfinished, after ${done} of ${s.epochs} epochs`;
}

function drawCards() {
  const cards = [], step = run.step, last = run.epochs.at(-1), m = run.end?.metrics;
  const add = (value, name) => cards.push(make("li", {}, make("b", {textContent: value}), name));
  if (m) {
    add(percent(m.accuracy), "test accuracy");
    add(m.macro.f1.toFixed(4), "macro F1");
    add(m.loss.toFixed(4), "test loss");
  }
  const best = run.epochs.reduce((b, e) => e.val_accuracy != null && !(b?.val_accuracy >= e.val_accuracy) ? e : b, null);
  if (best) add(percent(best.val_accuracy), `best ${selection()} accuracy`);
  if (run.start) add(`${run.epochs.length} of ${run.start.epochs}`, "epochs finished");
  if (step?.images && !run.end) {
    add(fixed(step.loss), `loss of epoch ${step.epoch}`);
    add(percent(step.accuracy), "training accuracy");
    add(whole(step.images_per_second), "images/s");
    if (step.eta_seconds) add(clock(step.eta_seconds), "left");
  } else if (last) {
    add(whole(m?.images_per_second ?? last.images_per_second), "images/s");
    add(clock(m?.training_seconds ?? run.epochs.reduce((sum, e) => sum + (e.seconds ?? 0), 0)), "of training");
  }
  $("cards").replaceChildren(...cards);
}

function drawCurves() {
  const {epochs, steps, start} = run, perEpoch = start?.steps_per_epoch || 0;
  const training = {name: "training", colour: "--s0"}, selected = {name: selection(), colour: "--s1"};
  const column = (name, x = e => e.epoch, scale = 1) => [epochs.map(x), epochs.map(e => e[name] == null ? null : scale * e[name])];
  const has = epochs.some(e => e.val_loss != null);
  if (steps.length) {
    const at = e => Math.min(e.epoch * perEpoch, start.steps || Infinity);
    stepsChart.set([{...training, points: [steps.map(s => s.step), steps.map(s => s.recent_loss)]}, ...has && perEpoch ? [{...selected, points: column("val_loss", at)}] : []], "step");
  } else {
    stepsChart.set([{...training, points: column("train_loss")}, ...has ? [{...selected, points: column("val_loss")}] : []], "epoch");
  }
  if (changed("chart-accuracy", `${run.name} ${epochs.length} ${has}`)) accuracyChart.set([{...training, points: column("train_accuracy", e => e.epoch, 100)}, ...has ? [{...selected, points: column("val_accuracy", e => e.epoch, 100)}] : []]);
}

function drawEpochs() {
  $("epochs-box").hidden = !run.epochs.length;
  const rows = $("epochs"), name = selection();
  document.querySelectorAll("#epochs-box thead th").forEach(h => { h.textContent = h.textContent.replace(/^(Validation|Test)/, name[0].toUpperCase() + name.slice(1)); });
  if (rows.children.length > run.epochs.length || rows.dataset.run != run.name) rows.replaceChildren();
  rows.dataset.run = run.name;
  for (const e of run.epochs.slice(rows.children.length))
    rows.append(make("tr", {}, head("row", String(e.epoch)), ...[fixed(e.train_loss), percent(e.train_accuracy), fixed(e.val_loss), percent(e.val_accuracy), whole(e.images_per_second)].map(text => make("td", {textContent: text}))));
}

function drawMatrix(classes) {
  const test = run.end?.metrics, images = run.matrix.flat().reduce((a, b) => a + b, 0);
  $("matrix-note").textContent = `${whole(images)} ${test ? "test" : selection()} images ${test ? "with the best epoch’s weights" : `after epoch ${run.epochs.length}`}: rows are true classes, columns predicted ones. Blue is right, orange wrong.`;
  const rows = run.matrix.map((row, t) => {
    const total = row.reduce((a, b) => a + b, 0) || 1;
    return make("tr", {}, head("row", classes[t]), ...row.map((n, p) => {
      const cell = make("td", {textContent: whole(n), className: n ? "" : "none"});
      cell.style.background = `color-mix(in srgb, var(${t == p ? "--s0" : "--s1"}) ${(55 * Math.sqrt(n / total)).toFixed(1)}%, transparent)`;
      return cell;
    }));
  });
  $("matrix").replaceChildren(make("caption", {className: "soft"}, "Predicted class"), make("thead", {}, make("tr", {}, head("col", "True class"), ...classes.map(c => head("col", c)))), make("tbody", {}, ...rows));
}

function drawSamples({classes, shape}) {
  $("samples").replaceChildren(...run.samples.map(s => {
    const best = s.probabilities.indexOf(Math.max(...s.probabilities)), wrong = best != s.label;
    const canvas = make("canvas", {width: shape[1], height: shape[0]});
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `An image of the class ${classes[s.label]}`);
    paint(canvas, atob(s.pixels), shape[2]);
    return make("li", {className: wrong ? "wrong" : ""}, canvas, make("span", {}, make("bdi", {textContent: classes[best]}), ` ${Math.round(100 * s.probabilities[best])}\u00a0%`, make("small", {}, ...wrong ? ["in truth ", make("bdi", {textContent: classes[s.label]})] : [])));
  }));
}

// paint draws pixels (height, width, channels) on a canvas of their size.
function paint(canvas, bytes, channels) {
  const context = canvas.getContext("2d"), image = context.createImageData(canvas.width, canvas.height);
  for (let i = 0; i < canvas.width * canvas.height; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = bytes.charCodeAt(channels * i + (channels == 3 ? c : 0));
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

// All runs.

const allAccuracy = new Chart("chart-runs-accuracy", {title: "Accuracy", x: "epoch", y: "% of images", digits: 2, empty: "No ticked run has an evaluated epoch."});
const allLoss = new Chart("chart-runs-loss", {title: "Training loss", x: "epoch", y: "mean cross-entropy", digits: 4, empty: "No ticked run has a finished epoch."});
const styles = new Map(), ticked = new Map();
const mostTicked = 10; // at first
const gone = "The program does not answer. It may have ended.";
let runs = [], live = "", listed = "";

const shown = name => name == "." ? "Run" : name || "Run";

async function loadRuns() {
  try {
    const answer = await fetch("api/runs");
    if (!answer.ok) return trouble(await answer.text());
    const text = await answer.text();
    if ($("trouble").textContent == gone) trouble("");
    if (text == listed) return followResumed();
    listed = text;
    const list = JSON.parse(text), before = live;
    runs = list.runs, live = list.live;
    if (live && !runs.some(r => r.name == live)) runs.unshift({name: live, state: "running", curve: {epoch: []}});
    $("folder").textContent = list.folder;
    document.querySelector('nav [href^="#classify"]').hidden = !list.classifies;
    drawRuns(list);
    drawChoices();
    if (before && live && live != before && !location.hash.includes(":")) chosenRun = "", route(); // another training has this address
    followResumed();
    if (run) refresh();
  } catch {
    trouble(gone);
  }
}

// followResumed follows the run again if it has gone on after its end.
function followResumed() {
  const r = runs.find(r => r.name == run?.name);
  if (!run?.end || !r) return;
  const state = `${r.changed} ${r.done} ${r.epochs}`;
  run.ended ??= state;
  if (run.ended != state) follow(run.name);
}

function drawRuns({experiments, left}) {
  $("runs-note").textContent = runs.length ? `Tick the runs to compare.${left ? ` ${left} older runs are not listed.` : ""}` : "There are no runs in this folder yet.";
  for (const r of runs) {
    if (!styles.has(r.name)) styles.set(r.name, style(styles.size));
    if (!ticked.has(r.name)) ticked.set(r.name, [...ticked.values()].filter(Boolean).length < mostTicked);
  }
  const reports = experiments.filter(e => e.report);
  $("experiments").hidden = !reports.length;
  $("experiments").replaceChildren(...reports.map(e => make("li", {}, `${e.title ? `Experiment ${e.title}` : `Folder ${e.name}`}: `, make("a", {href: "report?run=" + encodeURIComponent(e.name), textContent: "report"}))));
  const controls = row => [...row?.querySelectorAll("input, a") ?? []], focused = document.activeElement, row = focused.closest("#runs tr"), at = controls(row).indexOf(focused);
  $("runs").replaceChildren(...runs.map(runRow));
  if (row) controls($("runs").querySelector(`[data-run="${CSS.escape(row.dataset.run)}"]`))[at]?.focus();
  drawComparison();
}

function runRow(r) {
  const tick = make("input", {type: "checkbox", checked: ticked.get(r.name)}), look = styles.get(r.name);
  tick.setAttribute("aria-label", `Draw ${shown(r.name)}`);
  tick.addEventListener("change", () => { ticked.set(r.name, tick.checked), drawComparison(); });
  const label = make("label", {}, tick);
  label.insertAdjacentHTML("beforeend", `<svg width="32" height="8" aria-hidden="true"><line x1="0" y1="4" x2="32" y2="4" stroke="var(${look.colour})" stroke-width="3" stroke-dasharray="${look.dash}"/></svg>`);
  label.append(make("a", {href: "#run:" + encodeURIComponent(r.name), textContent: shown(r.name)}));
  const report = r.report ? make("a", {href: "report?run=" + encodeURIComponent(r.name), textContent: "report"}) : "";
  if (report) report.setAttribute("aria-label", `Report of ${shown(r.name)}`);
  const row = make("tr", {}, head("row", label));
  row.dataset.run = r.name;
  if (r.error) row.append(make("td", {colSpan: 6, className: "problem", textContent: r.error}));
  else row.append(...[r.state, r.network, r.epochs ? `${r.done} of ${r.epochs}` : "", r.best == null ? "–" : `${percent(r.best)}${r.select_on == "test" ? " (test)" : ""}`, percent(r.test), report].map(content => make("td", {}, content ?? "")));
  return row;
}

function drawComparison() {
  const chosen = runs.filter(r => ticked.get(r.name) && r.curve.epoch.length);
  const lines = (column, scale) => chosen.map(r => ({name: shown(r.name), ...styles.get(r.name), points: [r.curve.epoch, r.curve[column].map(v => v == null ? null : scale * v)]}));
  const kinds = ["val", "test"].filter(kind => chosen.some(r => r.select_on == kind));
  allAccuracy.title = kinds.length > 1 ? "Validation or test accuracy" : kinds[0] == "test" ? "Test accuracy" : "Validation accuracy";
  allAccuracy.set(lines("val_accuracy", 100).filter(l => l.points[1].some(v => v != null)));
  allLoss.set(lines("train_loss", 1));
}

function drawChoices() {
  document.querySelectorAll(".run-choice").forEach(choice => {
    const options = runs.map(r => new Option(r.state == "running" ? `${shown(r.name)} (running)` : shown(r.name), r.name));
    const key = list => JSON.stringify(list.map(o => [o.text, o.value]));
    if (key([...choice.options]) != key(options)) choice.replaceChildren(...options);
    choice.value = chosenRun;
  });
}

// Classify.

const canvas = $("drawing"), pen = canvas.getContext("2d", {willReadFrequently: true});
const mostBytes = 16 << 20;
let pointer = null, from = null, asked = null, picture = null, timer = 0, stopCamera = () => {};

const place = event => {
  const box = canvas.getBoundingClientRect();
  return [(event.clientX - box.left) * canvas.width / box.width, (event.clientY - box.top) * canvas.height / box.height];
};
function stroke(event) {
  pen.lineWidth = $("brush").value;
  pen.lineCap = "round";
  pen.strokeStyle = pen.fillStyle = `rgb(${$("shade").value} ${$("shade").value} ${$("shade").value})`;
  for (const e of event.getCoalescedEvents?.().length ? event.getCoalescedEvents() : [event]) {
    const [x, y] = place(e);
    pen.beginPath();
    if (from) pen.moveTo(...from), pen.lineTo(x, y), pen.stroke();
    else pen.arc(x, y, pen.lineWidth / 2, 0, 2 * Math.PI), pen.fill(); // a line of no length would not show
    from = [x, y];
  }
  soon();
}
canvas.addEventListener("pointerdown", event => {
  if (event.button || pointer != null) return; // a second finger, or a palm, draws nothing
  pointer = event.pointerId;
  from = null;
  if (event.isTrusted) canvas.setPointerCapture(event.pointerId);
  stroke(event);
});
canvas.addEventListener("pointermove", event => { if (pointer == event.pointerId) stroke(event); });
for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, event => { if (pointer == event.pointerId) pointer = null; });

// soon classifies the drawing when the pen has rested for a moment.
function soon() {
  clearTimeout(timer);
  timer = setTimeout(() => canvas.toBlob(blob => classify(blob)), 150);
}

function wipe() {
  clearTimeout(timer);
  pen.fillStyle = "#000";
  pen.fillRect(0, 0, canvas.width, canvas.height);
}
wipe();

function clear() {
  wipe();
  stopCamera();
  asked?.abort();
  picture = null;
  $("verdict").textContent = "Nothing yet.";
  $("classes").replaceChildren();
  $("classify-note").textContent = "";
  $("input-box").hidden = $("heat-box").hidden = true;
}
$("clear").addEventListener("click", clear);

// classify asks what the network says of a picture's file, and where it sees the class
// with the given label, or else the most probable one.
async function classify(file, label = "") {
  picture = file;
  asked?.abort();
  const mine = asked = new AbortController();
  if (file.size > mostBytes) return fault(`The picture’s file has more than ${mostBytes >> 20} MiB.`);
  try {
    const answer = await fetch(`api/classify?run=${encodeURIComponent(chosenRun)}&label=${label}`, {method: "POST", body: file, signal: mine.signal});
    if (answer.status == 429 || answer.status == 503) return setTimeout(() => { if (asked == mine) classify(file, label); }, 600);
    if (!answer.ok) return fault(await answer.text());
    const said = await answer.json();
    if (asked == mine) tell(said);
  } catch (error) {
    if (error.name != "AbortError") fault("The program does not answer.");
  }
}

function fault(text) {
  $("verdict").textContent = text;
  $("classify-note").textContent = "";
  $("classes").replaceChildren();
  $("input-box").hidden = $("heat-box").hidden = true;
}

function tell(said) {
  const best = said.predictions[0];
  $("verdict").replaceChildren(make("bdi", {textContent: best.class}), `, ${(100 * best.probability).toFixed(1)}\u00a0%`);
  const focused = document.activeElement?.dataset?.label;
  $("classes").replaceChildren(...said.predictions.slice(0, 10).map(p => {
    const bar = make("i"), button = make("button", {type: "button"}, make("span", {textContent: p.class}), bar, make("span", {textContent: `${(100 * p.probability).toFixed(1)}\u00a0%`}));
    bar.style.width = `${100 * p.probability}%`;
    button.dataset.label = p.label;
    if (said.heat) button.title = "Show where the network sees this class";
    button.setAttribute("aria-pressed", p.class == said.explained);
    button.addEventListener("click", () => classify(picture, p.label));
    return make("li", {}, button);
  }));
  if (focused) document.querySelector(`#classes [data-label="${focused}"]`)?.focus();
  $("input-box").hidden = false;
  Object.assign($("input"), {src: said.input, alt: "The picture as the network’s input"});
  $("heat-box").hidden = !said.heat;
  if (said.heat) Object.assign($("heat"), {src: said.heat, alt: `Class activation map (HiRes-CAM): the regions that support ${said.explained}`});
  $("heat-class").textContent = said.explained;
  $("classify-note").textContent = `${said.network}${said.epoch ? `, weights of epoch ${said.epoch}` : ""}; ${Math.round(said.milliseconds)} ms.${said.heat ? " Choose a class to see where the network sees it." : ""}`;
}

// show classifies a file and shows it on the drawing area.
async function show(file) {
  clear();
  classify(file);
  try {
    const image = await createImageBitmap(file), scale = Math.min(canvas.width / image.width, canvas.height / image.height);
    pen.drawImage(image, (canvas.width - scale * image.width) / 2, (canvas.height - scale * image.height) / 2, scale * image.width, scale * image.height);
  } catch {} // the program says what is wrong with the file
}
$("file").addEventListener("change", event => {
  if (event.target.files[0]) show(event.target.files[0]);
  event.target.value = ""; // so that the same file can be chosen again
});
canvas.addEventListener("dragover", event => { event.preventDefault(), canvas.classList.add("over"); });
canvas.addEventListener("dragleave", () => canvas.classList.remove("over"));
canvas.addEventListener("drop", event => {
  event.preventDefault();
  canvas.classList.remove("over");
  if (event.dataTransfer.files[0]) show(event.dataTransfer.files[0]);
});
document.addEventListener("paste", event => {
  const file = [...event.clipboardData.files].find(f => f.type.startsWith("image/"));
  if (file && !$("view-classify").hidden) show(file);
});

const camera = $("camera");
$("use-camera").hidden = !navigator.mediaDevices?.getUserMedia; // browsers have it on this machine and over HTTPS
$("use-camera").addEventListener("click", async () => {
  let wanted = true;
  stopCamera(); // or an earlier request for it
  stopCamera = () => { wanted = false; };
  try {
    const stream = await navigator.mediaDevices.getUserMedia({video: {facingMode: "environment"}});
    if (!wanted) return stream.getTracks().forEach(track => track.stop()); // cleared, or left, while the browser asked
    stopCamera = () => {
      stream.getTracks().forEach(track => track.stop());
      camera.hidden = $("shoot").hidden = true;
      canvas.hidden = $("use-camera").hidden = false;
      stopCamera = () => {};
    };
    camera.srcObject = stream;
    canvas.hidden = $("use-camera").hidden = true;
    camera.hidden = $("shoot").hidden = false;
    await camera.play();
  } catch {
    fault("The camera cannot be used.");
  }
});
$("shoot").addEventListener("click", () => {
  const side = Math.min(camera.videoWidth, camera.videoHeight), still = make("canvas", {width: side, height: side}); // as it is shown
  still.getContext("2d").drawImage(camera, (side - camera.videoWidth) / 2, (side - camera.videoHeight) / 2);
  still.toBlob(show, "image/png");
});

// The address says which view is shown, and of which run: #run:NAME.

const views = ["run", "runs", "classify"];
let chosenRun = "";

function route() {
  const [name, of] = location.hash.slice(1).split(":"), view = views.includes(name) ? name : "run";
  const before = chosenRun;
  try {
    if (of) chosenRun = decodeURIComponent(of);
  } catch {} // an address that was cut off names no run
  if (!chosenRun) chosenRun = live || runs[0]?.name || "";
  views.forEach(v => { $("view-" + v).hidden = v != view; });
  document.querySelectorAll("nav a").forEach(link => {
    const target = link.hash.slice(1).split(":")[0];
    link.href = `#${target}${chosenRun ? ":" + encodeURIComponent(chosenRun) : ""}`;
    target == view ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current");
  });
  if (view != "classify") stopCamera();
  document.title = `${{run: shown(chosenRun), runs: "All runs", classify: "Classify"}[view]} – fmnist-gpu`;
  drawChoices();
  if (before != chosenRun || !run) follow(chosenRun);
  if (before != chosenRun && picture) classify(picture);
}
document.querySelectorAll(".run-choice").forEach(choice => choice.addEventListener("change", () => {
  location.hash = `${choice.closest("#view-classify") ? "classify" : "run"}:${encodeURIComponent(choice.value)}`;
}));
addEventListener("hashchange", route);
document.querySelector(".skip").addEventListener("click", event => { event.preventDefault(), $("main").focus(); });

const address = new URL(location);
if (address.searchParams.has("token")) { // the cookie has it now
  address.searchParams.delete("token");
  history.replaceState(null, "", address);
}
loadRuns().then(route);
setInterval(() => { if (!document.hidden) loadRuns().then(() => { if (!chosenRun) route(); }); }, 5000);
