"use strict";
// Draws the page from the JSON in it. Nothing is fetched; every text goes in as text, never as markup.
const data = JSON.parse(document.getElementById("data").textContent);
const tip = document.getElementById("tip");
const SVG = "http://www.w3.org/2000/svg";
const colour = (name) => `var(--${name})`;

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}
function draw(parent, name, attributes = {}, text = null) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== null) made.textContent = text;
  parent.append(made);
  return made;
}
const seconds = (s) => s === null || s === undefined ? "–" : s < 0.0995 ? `${(s * 1000).toFixed(s < 0.00995 ? 1 : 0)} ms` : `${s.toFixed(2)} s`;
const sum = (list) => list.reduce((total, value) => total + value, 0);
const whole = (n) => n.toLocaleString("en");

function niceTop(most) {
  for (const top of [1, 2, 4, 5, 8, 10, 20, 40, 50, 80, 100, 200, 400, 500, 1000, 2000, 5000]) if (most <= top) return top;
  return most;
}
function legend(entries) {
  const box = element("div", { class: "legend" });
  for (const [name, text, kind] of entries) {
    const key = element("i", kind === "stroke"
      ? { class: "stroke", style: `border-color:${colour(name)}` } : { style: `background:${colour(name)}` });
    box.append(element("span", {}, key, text));
  }
  return box;
}
function card(parent, title, entries) {
  const box = element("div", { class: "card" });
  box.append(element("div", { class: "cardhead" }, element("h3", {}, title), legend(entries)));
  parent.append(box);
  return box;
}

// A value holds until the next sample: drawn as steps.
function steps(points, x, y) {
  let path = "";
  points.forEach(([at, value], i) => { path += i ? `H${x(at).toFixed(1)}V${y(value).toFixed(1)}` : `M${x(at).toFixed(1)},${y(value).toFixed(1)}`; });
  return path;
}
function stepArea(points, x, y, base) {
  if (!points.length) return "";
  const upper = steps(points.map(([at, , top]) => [at, top]), x, y);
  let path = upper;
  for (let i = points.length - 1; i >= 0; i--) {
    const right = i === points.length - 1 ? points[i][0] : points[i + 1][0];
    path += `L${x(right).toFixed(1)},${y(points[i][1]).toFixed(1)}H${x(points[i][0]).toFixed(1)}`;
  }
  return path + "Z";
}

const WIDTH = 1000, LEFT = 44, RIGHT = 8;

function timeAxis(svg, x, top, bottom, end) {
  for (let at = 0; at <= end; at += 10) {
    draw(svg, "line", { class: "grid", x1: x(at), x2: x(at), y1: top, y2: bottom });
    draw(svg, "text", { x: x(at), y: bottom + 16, "text-anchor": at ? "middle" : "start" }, `${at} s`);
  }
}
function valueAxis(svg, y, top, title) {
  const ticks = top <= 5 ? [...Array(top + 1).keys()] : [0, top / 2, top];
  for (const tick of ticks) {
    draw(svg, "line", { class: tick ? "grid" : "base", x1: LEFT, x2: WIDTH - RIGHT, y1: y(tick), y2: y(tick) });
    draw(svg, "text", { x: LEFT - 8, y: y(tick) + 4, "text-anchor": "end" }, whole(tick));
  }
  draw(svg, "text", { class: "axis", x: LEFT + 6, y: y(top) - 6 }, title);
}

function timeline(parent, service, end) {
  const rows = service.samples.filter((row) => row[0] >= 0);
  const box = card(parent, service.name, [
    ["ready", "ready"], ["starting", "starting"], ["draining", "draining"], ["wanted", "wanted", "stroke"],
    ["flight", "in flight"], ["held", "held"]]);
  const svg = draw(box, "svg", { class: "chart", viewBox: `0 0 ${WIDTH} 262`, role: "img", "aria-label": `${service.name}: replicas and requests over time` });
  const x = (at) => LEFT + (WIDTH - LEFT - RIGHT) * at / end;
  const scale = (low, high, most) => (value) => low - (low - high) * value / most;
  const mostReplicas = niceTop(Math.max(1, ...rows.map((r) => Math.max(r[1], r[2] + r[3] + r[4]))));
  const mostRequests = niceTop(Math.max(1, ...rows.map((r) => r[5] + r[6])));
  const yr = scale(110, 24, mostReplicas), yq = scale(236, 144, mostRequests);
  timeAxis(svg, x, 24, 236, end);
  valueAxis(svg, yr, mostReplicas, "replicas");
  valueAxis(svg, yq, mostRequests, "requests");
  const stack = (parts, y, names) => parts.forEach((part, index) => {
    const points = rows.map((row) => {
      const below = sum(parts.slice(0, index).map((p) => row[p]));
      return [row[0], below, below + row[part]];
    });
    draw(svg, "path", { d: stepArea(points, x, y), fill: colour(names[index]), "fill-opacity": 0.85 });
  });
  stack([3, 2, 4], yr, ["ready", "starting", "draining"]);
  stack([5, 6], yq, ["flight", "held"]);
  draw(svg, "path", { d: steps(rows.map((r) => [r[0], r[1]]), x, yr), fill: "none", stroke: colour("wanted"), "stroke-width": 1.6, "stroke-dasharray": "5 3" });
  const cursor = draw(svg, "line", { class: "cursor", y1: 24, y2: 236, visibility: "hidden" });
  svg.addEventListener("mousemove", (event) => {
    const area = svg.getBoundingClientRect();
    const at = ((event.clientX - area.left) / area.width * WIDTH - LEFT) / (WIDTH - LEFT - RIGHT) * end;
    const row = rows.findLast((r) => r[0] <= at);
    if (!row) { tip.hidden = true; return; }
    for (const other of document.querySelectorAll(".cursor")) { other.setAttribute("x1", x(at)); other.setAttribute("x2", x(at)); other.setAttribute("visibility", "visible"); }
    show(event, `${row[0].toFixed(1)} s   ${row[7]}\nreplicas   ${row[1]} wanted, ${row[3]} ready, ${row[2]} starting${row[4] ? `, ${row[4]} draining` : ""}\nrequests   ${row[5]} in flight, ${row[6]} held`);
  });
  svg.addEventListener("mouseleave", () => { tip.hidden = true; for (const other of document.querySelectorAll(".cursor")) other.setAttribute("visibility", "hidden"); });
}
function show(event, text) {
  tip.textContent = text;
  tip.hidden = false;
  const right = event.clientX + 16 + tip.offsetWidth > innerWidth;
  tip.style.left = `${right ? event.clientX - tip.offsetWidth - 12 : event.clientX + 16}px`;
  tip.style.top = `${event.clientY + 16}px`;
}

const PARTS = [["decide", "decide", "decide"], ["start", "start", "start the process"], ["load", "load", "load the model"], ["handOver", "handover", "hand over"]];

function wakes(parent) {
  const all = data.services.flatMap((service) => service.wakes.map((wake) => ({ ...wake, name: service.name })));
  const box = card(parent, "Wakes", PARTS.map(([, name, text]) => [name, text + (name === "load" ? " (the model's own)" : "")]));
  if (!all.length) { box.append("There was none."); return; }
  const longest = Math.max(...all.map((wake) => sum(PARTS.map(([key]) => wake[key] ?? 0))));
  const height = 44;
  const svg = draw(box, "svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${all.length * height + 4}`, role: "img", "aria-label": "Parts of each wake" });
  all.forEach((wake, index) => {
    const top = index * height + 4;
    const total = sum(PARTS.map(([key]) => wake[key] ?? 0));
    draw(svg, "text", { class: "axis", x: 0, y: top + 13 }, wake.name);
    draw(svg, "text", { x: 0, y: top + 28 }, `at ${wake.at.toFixed(1)} s, ${wake.held} held`);
    let left = 150;
    for (const [key, name] of PARTS) {
      const wide = 540 * (wake[key] ?? 0) / longest;
      draw(svg, "rect", { x: left, y: top, width: Math.max(wide, wake[key] ? 1.5 : 0), height: 26, fill: colour(name) });
      left += Math.max(wide, wake[key] ? 1.5 : 0);
    }
    draw(svg, "text", { class: "axis", x: left + 8, y: top + 12 }, seconds(total));
    draw(svg, "text", { x: left + 8, y: top + 26 }, `decide ${seconds(wake.decide)} · start ${seconds(wake.start)} · hand over ${seconds(wake.handOver)}`);
  });
}

const LINES = ["flight", "held", "ready", "decide"];

function latencies(parent) {
  const box = card(parent, "All answers", data.services.map((service, i) => [LINES[i % 4], service.name]));
  const svg = draw(box, "svg", { class: "chart", viewBox: `0 0 ${WIDTH} 262`, role: "img", "aria-label": "Distribution of answer times" });
  const all = data.services.flatMap((service) => service.latencies.map((pair) => pair[1]));
  if (!all.length) return;
  const low = Math.log10(Math.max(0.001, Math.min(...all)) * 0.8), high = Math.log10(Math.max(...all) * 1.1);
  const x = (s) => LEFT + (WIDTH - LEFT - RIGHT) * (Math.log10(Math.max(s, 0.001)) - low) / (high - low);
  const y = (part) => 232 - 212 * part;
  for (const s of [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50]) {
    if (Math.log10(s) < low || Math.log10(s) > high) continue;
    draw(svg, "line", { class: "grid", x1: x(s), x2: x(s), y1: 20, y2: 232 });
    draw(svg, "text", { x: x(s), y: 250, "text-anchor": "middle" }, s < 1 ? `${s * 1000} ms` : `${s} s`);
  }
  for (const part of [0, 0.25, 0.5, 0.75, 1]) {
    draw(svg, "line", { class: part ? "grid" : "base", x1: LEFT, x2: WIDTH - RIGHT, y1: y(part), y2: y(part) });
    draw(svg, "text", { x: LEFT - 8, y: y(part) + 4, "text-anchor": "end" }, `${part * 100}%`);
  }
  data.services.forEach((service, i) => {
    const sorted = service.latencies.map((pair) => pair[1]).sort((a, b) => a - b);
    if (!sorted.length) return;
    const path = sorted.map((s, n) => `${n ? "L" : `M${x(s).toFixed(1)},${y(0)}L`}${x(s).toFixed(1)},${y((n + 1) / sorted.length).toFixed(1)}`).join("");
    draw(svg, "path", { d: path, fill: "none", stroke: colour(LINES[i % 4]), "stroke-width": 2, "stroke-linejoin": "round" });
  });
  svg.addEventListener("mousemove", (event) => {
    const area = svg.getBoundingClientRect();
    const place = ((event.clientX - area.left) / area.width * WIDTH - LEFT) / (WIDTH - LEFT - RIGHT);
    const at = 10 ** (low + place * (high - low));
    show(event, `at most ${seconds(at)}\n` + data.services.map((service) => {
      const within = service.latencies.filter((pair) => pair[1] <= at).length;
      return `${service.name}   ${service.latencies.length ? (100 * within / service.latencies.length).toFixed(1) : "–"} %`;
    }).join("\n"));
  });
  svg.addEventListener("mouseleave", () => { tip.hidden = true; });
}

function table() {
  const body = document.getElementById("table");
  const headings = ["service", "requests", "answered", "lost", "held", "wakes", "wake time", "added by us", "p50", "p99", "replica-seconds"];
  body.append(element("tr", {}, ...headings.map((text) => element("th", { scope: "col" }, text))));
  const row = (name, cells, lost, kind) => {
    const made = element("tr", kind ? { class: kind } : {}, element("td", {}, name));
    cells.forEach((text, i) => made.append(element("td", i === 2 ? { class: lost ? "lost" : "zero" } : {}, String(text))));
    body.append(made);
  };
  for (const s of data.services) {
    const times = s.wakes.map((wake) => seconds(sum(PARTS.map(([key]) => wake[key] ?? 0)))).join(", ");
    const added = s.wakes.map((wake) => seconds(wake.handOver)).join(", ");
    row(s.name, [whole(s.requests), whole(s.answered), s.lost, s.held, s.wakes.length, times || "–", added || "–", seconds(s.p50), seconds(s.p99),
      `${s.replicaSeconds.toFixed(0)} of ${s.alwaysOnSeconds.toFixed(0)}`], s.lost);
  }
  const total = (key) => sum(data.services.map((s) => s[key]));
  row("all", [whole(total("requests")), whole(total("answered")), total("lost"), total("held"), sum(data.services.map((s) => s.wakes.length)), "", "", "", "",
    `${total("replicaSeconds").toFixed(0)} of ${total("alwaysOnSeconds").toFixed(0)}`], total("lost"), "sum");
}

function tiles() {
  const total = (key) => sum(data.services.map((s) => s[key]));
  const added = data.services.flatMap((s) => s.wakes.map((wake) => wake.handOver)).filter((v) => v !== null).sort((a, b) => a - b);
  const lost = total("lost"), always = total("alwaysOnSeconds");
  const saved = always ? Math.round(100 * (1 - total("replicaSeconds") / always)) : 0;
  const list = [
    ["", whole(total("requests")), "", "requests, each checked"],
    [lost ? "bad" : "good", lost, "", "lost"],
    ["", total("held"), "", "held through a wake, then answered"],
    ["", added.length ? seconds(added[Math.ceil(added.length / 2) - 1]) : "–", "", `added after ready, median of ${added.length} wakes`],
    ["", `${saved}`, " %", "fewer replica-seconds than keeping the peak"],
  ];
  for (const [kind, value, unit, label] of list) {
    document.getElementById("tiles").append(element("div", { class: `tile ${kind}` },
      element("div", { class: "value" }, String(value), element("small", {}, unit)), element("div", { class: "label" }, label)));
  }
}

const end = Math.max(10, ...data.services.flatMap((s) => s.samples.map((row) => row[0])));
document.getElementById("lead").textContent = `${data.services.length} services from zero through a burst, back to zero, and awake again: ${Math.round(end)} seconds, every request counted.`;
document.getElementById("when").textContent = `Run on ${new Date(data.began * 1000).toLocaleString()}.`;
tiles();
table();
for (const service of data.services) timeline(document.getElementById("timelines"), service, end);
wakes(document.getElementById("wakes"));
latencies(document.getElementById("latencies"));
