"use strict";
// Three parts: policies and market, computed as the library does; charts; the controls of the page.

const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const sum = (values) => values.reduce((total, value) => total + value, 0);
const mean = (values) => sum(values) / values.length;
const range = (count) => Array.from({ length: count }, (_, i) => i);

// ---------------------------------------------------------------------------------------- policies and market

const decode = (text) => new Float32Array(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);

/** Outputs of a network's member k at x = [1, step, S, Y, the others' flow, own inventory, own flow]. */
function evaluate(net, k, x) {
  net.numbers ||= decode(net.weights);
  const { numbers } = net;
  let at = k * net.stride;
  const times = (input, columns, matrix = 0, matrices = 1) => {
    const output = new Float64Array(columns);
    const start = at + matrix * input.length * columns;
    for (let i = 0; i < input.length; i++) {
      for (let j = 0; j < columns; j++) output[j] += input[i] * numbers[start + i * columns + j];
    }
    at += matrices * input.length * columns;
    return output;
  };
  let own = net.view.map((row) => sum(row.map((factor, i) => factor * x[i])));
  if (net.basis) own = times(own, own.length, x[1], net.steps);
  let layer = own;
  for (let l = 1; l < net.sizes.length; l++) {
    layer = times(layer, net.sizes[l]);
    for (let j = 0; j < layer.length; j++) {
      layer[j] += numbers[at++];
      if (l < net.sizes.length - 1) layer[j] /= 1 + Math.exp(-layer[j]); // SiLU
    }
  }
  if (net.terms) {
    const linear = [1, ...own.slice(1)]; // a step's coefficients need no time
    const terms = net.terms === linear.length ? linear : linear.flatMap((a, i) => linear.slice(i).map((b) => a * b));
    times(terms, layer.length, x[1], net.steps).forEach((value, j) => { layer[j] += value; });
  }
  return layer;
}

/** Trading rate of member k, shares/hour. */
function act(policy, k, x) {
  const rate = evaluate(policy.actor, k, x)[0];
  return policy.bound === null ? rate : Math.min(policy.bound, Math.max(-policy.bound, rate));
}

/** What (15) leaves of A where the others play their Nash point: -p11 (u - mu)^2; and V, null where it is hidden. */
function advantage(policy, k, x) {
  const { network, p11, value } = policy.advantage;
  const [mu, raw] = evaluate(network || policy.actor, k, x);
  const softplus = raw > 20 ? raw : Math.log1p(Math.exp(raw));
  return { mu, p11: p11 === "absolute" ? Math.abs(raw) : softplus ** 2, value: value && evaluate(value, k, x)[0] };
}

/** An episode of seats [{policy, member}] as by Market.step: states at M + 1 times, rates at M, cumulated rewards. */
function simulate(game, seats, shocks) {
  const { dt } = game;
  let { price, impact, inventory } = shocks;
  const path = { price: [[price]], inventory: [inventory], rates: [], rewards: [inventory.map(() => 0)] };
  for (let m = 0; m < game.n_steps; m++) {
    const flow = inventory.map((held, i) => held - shocks.inventory[i]);
    const all = sum(flow);
    const state = [1, m, price, impact];
    const rates = seats.map((s, i) => act(s.policy, s.member, [...state, all - flow[i], inventory[i], flow[i]]));
    const total = sum(rates);
    const pressure = { sqrt: total / Math.sqrt(Math.abs(total) + 1e-8), linear: total, none: 0 }[game.impact];
    const after = impact * Math.exp(-game.rho * dt) + game.gamma * dt * pressure;
    let next = price + game.kappa * (game.theta - price) * dt + game.eta * total * dt + after - impact;
    next += game.sigma * Math.sqrt(dt) * shocks.noise[m];
    if (game.price_floor !== null) next = Math.max(next, game.price_floor);
    const penalty = game.b3 * dt + (m === game.n_steps - 1 ? game.b2 : 0);
    const gain = next - price;
    inventory = inventory.map((held, i) => held + rates[i] * dt);
    const before = path.rewards[m];
    path.rewards.push(inventory.map((held, i) => (
      before[i] + game.discount ** m * (held * gain - penalty * held ** 2 - game.b1 * rates[i] ** 2 * dt)
    )));
    [price, impact] = [next, after];
    path.price.push([price]);
    path.inventory.push(inventory);
    path.rates.push(rates);
  }
  return path;
}

/** Standard normals of a seed: the generator sfc32 and Box and Muller's method. They are the page's own. */
function normals(seed, count) {
  let [a, b, c, d] = [0, 0, seed | 0, 1];
  const uniform = () => {
    const t = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + t | 0;
    return ((t >>> 0) + 0.5) / 2 ** 32;
  };
  for (let i = 0; i < 20; i++) uniform(); // until the seed has reached all of the state
  return range(count).map(() => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()));
}

/** Random numbers of an episode, as Market.shocks_from_normals makes them of standard normals. */
function shocksOf(game, seed) {
  const n = game.n_agents;
  const z = normals(seed, 2 + n + game.n_steps);
  const inventory = z.slice(2, 2 + n).map((value) => Math.sqrt(game.initial_inventory_var) * value);
  return { price: game.theta + game.price_sd * z[0], impact: game.impact_sd * z[1], inventory, noise: z.slice(2 + n) };
}

/** Mean of independent values and the ends of its 95 % interval. */
function estimate(values) {
  const middle = mean(values);
  const variance = sum(values.map((value) => (value - middle) ** 2)) / (values.length - 1);
  return [0, -1.96, 1.96].map((z) => middle + z * Math.sqrt(variance / values.length));
}

// --------------------------------------------------------------------------------------------------- charts

const minus = (digits) => String(digits).replace("-", "\u2212");
const text = (value, digits = 2) => minus((+value.toFixed(digits) || 0).toFixed(digits)); // no minus before zero
const plain = (value) => minus(+value.toPrecision(6));

/** The next of 1, 2 and 5 times a power of ten. */
function roundUp(value) {
  const unit = 10 ** Math.floor(Math.log10(value));
  return unit * [1, 2, 5, 10].find((digit) => digit * unit >= value * (1 - 1e-9));
}

/** Round values between both ends, about as many as asked for. */
function ticks([low, high], count) {
  const step = roundUp((high - low) / count);
  const first = Math.ceil(low / step - 1e-9);
  return range(Math.floor(high / step + 1e-9) - first + 1).map((i) => (first + i) * step);
}

const line = (x1, y1, x2, y2, look) => `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" ${look}/>`;
const curve = (points, look) => `<path d="${points.map((xy, i) => (i ? "L" : "M") + xy).join("")}" ${look}/>`;
const label = (x, y, words, anchor = "start") => `<text x="${x}" y="${y}" text-anchor="${anchor}">${words}</text>`;
const stroke = (colour, width, more = "") => `stroke="${colour}" stroke-width="${width}" ${more}`;
const options = (names) => names.map((name, i) => `<option value="${i}">${name}</option>`).join("");

/** Axes, pale lines at zero, and what content(X, Y, box) draws, X and Y from values to pixels; no yLabel, no y axis. */
function chart(id, height, { x, y, xLabel, yLabel, about, left = 52, right = 14 }, content) {
  const svg = $(id);
  const width = svg.clientWidth;
  const box = { left, right: width - right, top: 16, bottom: height - 36 };
  const X = (value) => box.left + ((value - x[0]) / (x[1] - x[0])) * (box.right - box.left);
  const Y = (value) => box.bottom - ((value - y[0]) / (y[1] - y[0])) * (box.bottom - box.top);
  let drawn = x[0] < 0 ? line(X(0), box.top, X(0), box.bottom, stroke("#ccc", 1)) : "";
  if (y[0] < 0 && y[1] > 0) drawn += line(box.left, Y(0), box.right, Y(0), stroke("#ccc", 1));
  drawn += content(X, Y, box) + line(box.left, box.bottom, box.right, box.bottom, stroke("#444", 1));
  for (const value of ticks(x, (box.right - box.left) / 60)) {
    drawn += line(X(value), box.bottom, X(value), box.bottom + 4, stroke("#444", 1));
    drawn += label(X(value), box.bottom + 17, plain(value), "middle");
  }
  drawn += label((box.left + box.right) / 2, height - 4, xLabel, "middle");
  if (yLabel) {
    drawn += line(box.left, box.top, box.left, box.bottom, stroke("#444", 1)) + label(0, 8, yLabel);
    for (const value of ticks(y, (box.bottom - box.top) / 40)) {
      drawn += line(box.left - 4, Y(value), box.left, Y(value), stroke("#444", 1));
      drawn += label(box.left - 7, Y(value) + 4, plain(value), "end");
    }
  }
  const attributes = { viewBox: `0 0 ${width} ${height}`, height, "aria-label": about };
  Object.entries(attributes).forEach(([name, value]) => svg.setAttribute(name, value));
  svg.innerHTML = drawn;
}

// ------------------------------------------------------------------------------------------ a state, and Fig. 2

let scenario, game; // that is chosen, and its market
const controls = {}; // sliders by group and name

const chosen = (id) => scenario.policies[$(id).value];
const colourOf = (policy, k) => (policy.diverged[k] ? data.divergedColour : policy.colour);

function drawState() {
  const { time, price, impact, inventory, others, flow = { value: 0 } } = controls.state;
  const step = Math.round(time.value / game.dt);
  for (const past of [others, flow]) past.disabled = step === 0; // nobody has traded yet
  const x = [1, step, ...[price, impact, others, inventory, flow].map((input) => (input.disabled ? 0 : +input.value))];
  const rows = scenario.policies.map((policy) => ({ policy, rates: policy.members.map((_, k) => act(policy, k, x)) }));
  const limit = roundUp(Math.max(5, ...rows.flatMap(({ rates }) => rates.map(Math.abs))));
  const axis = { x: [-limit, limit], xLabel: "trading rate (shares/hour)", left: 138, right: 58 };
  const about = rows.map(({ policy, rates }) => `${policy.label}: ${text(mean(rates))}`).join("; ");
  chart("acts", 26 * rows.length + 52, { ...axis, y: [rows.length, 0], about }, (X, Y, box) => (
    rows.map(({ policy, rates }, row) => {
      const middle = Y(row + 0.5);
      const marks = rates.map((rate, k) => `<g><title>${policy.members[k]}: ${text(rate)} shares/hour</title>`
        + `${line(X(rate), middle - 9, X(rate), middle + 9, stroke(colourOf(policy, k), 1.6))}</g>`);
      return label(0, middle + 4, policy.label) + line(box.left, middle, box.right, middle, stroke("#eee", 1))
        + marks.join("") + label(box.right + 56, middle + 4, text(mean(policy.used.map((k) => rates[k]))), "end");
    }).join("")
  ));
  drawAdvantage(chosen("advantage-of"), x, axis);
}

function drawAdvantage(policy, x, axis) {
  $("advantage").style.display = policy.advantage ? "" : "none";
  $("advantage-note").textContent = policy.missing;
  if (!policy.advantage) return;
  const curves = policy.members.map((_, k) => advantage(policy, k, x));
  const depth = roundUp(0.5 * axis.x[1] ** 2 * Math.max(1e-6, mean(curves.map(({ p11 }) => p11))));
  const sides = { y: [-depth, 0], yLabel: "A ($)", about: `peaks: ${curves.map(({ mu }) => text(mu)).join(", ")}` };
  chart("advantage", 190, { ...axis, ...sides }, (X, Y) => curves.map(({ mu, p11 }, k) => {
    const reach = Math.sqrt(depth / p11); // beyond it the curve leaves the axes
    const [from, to] = [Math.max(-axis.x[1], mu - reach), Math.min(axis.x[1], mu + reach)];
    const rates = from < to ? range(81).map((i) => from + ((to - from) * i) / 80) : [];
    return curve(rates.map((u) => [X(u), Y(-p11 * (u - mu) ** 2)]), stroke(colourOf(policy, k), 1))
      + line(X(mu), Y(0) - 5, X(mu), Y(0) + 5, stroke(colourOf(policy, k), 1.6));
  }).join(""));
  const [low, high] = [Math.min, Math.max].map((end) => text(end(...curves.map(({ value }) => value))));
  $("advantage-note").textContent = "One curve for each seed, its peak at the rate that the policy plays."
    + (policy.advantage.value ? ` The value V of the state is ${low} to ${high} $.` : "");
}

/** Rates [member][step][inventory] before any order flow. */
function grids(policy) {
  const [price, impact] = [+controls.place.price.value, +controls.place.impact.value];
  const rate = (k, m) => (own) => act(policy, k, [1, m, price, impact, 0, own, 0]);
  return policy.used.map((k) => range(game.n_steps).map((m) => data.inventories.map(rate(k, m))));
}

const average = (members) => members[0].map((row, m) => row.map((_, i) => mean(members.map((rates) => rates[m][i]))));

/** A heat map of rates [step][inventory], colours to +-limit, and lines where those of each of zeros are 0. */
function drawMap(id, rates, limit, colours, zeros) {
  const held = data.inventories;
  const half = (held[1] - held[0]) / 2;
  const axis = { x: [0, game.horizon], y: [held[0] - half, held.at(-1) + half], xLabel: "time (h)", right: 76 };
  chart(id, 330, { ...axis, yLabel: "own inventory (shares)", about: "heat map" }, (X, Y, box) => {
    const end = colours.length - 1;
    const cell = (x, y, width, height, share, words = "") => {
      const colour = colours[Math.round(Math.min(1, Math.max(0, share)) * end)];
      const size = `x="${x}" y="${y}" width="${width}" height="${height + 0.5}"`;
      return `<rect ${size} fill="${colour}"><title>${words}</title></rect>`;
    };
    const cells = rates.map((row, m) => row.map((rate, i) => cell(
      X(m * game.dt), Y(held[i] + half), X(game.dt) - X(0) + 0.5, Y(-half) - Y(half), 0.5 + rate / limit / 2,
      `${plain(m * game.dt)} h, ${plain(held[i])} shares: ${text(rate)} shares/hour`,
    )));
    const lines = zeros.map(([of, look]) => of.map((row, m) => row.slice(1).map((above, i) => {
      const y = Y(held[i] + ((held[i + 1] - held[i]) * row[i]) / (row[i] - above));
      return row[i] < 0 !== above < 0 ? line(X(m * game.dt), y, X((m + 1) * game.dt), y, look) : "";
    })));
    const step = (box.bottom - box.top) / colours.length;
    const bar = colours.map((_, c) => cell(box.right + 14, box.bottom - (c + 1) * step, 12, step, c / end));
    const marks = [-1, 0, 1].map((sign) => label(box.right + 30, Y(sign * axis.y[1]) + 4, plain(sign * limit)));
    return [cells, lines, bar, marks].flat(3).join("") + label(box.right + 76, 8, "shares/hour", "end");
  });
}

function drawMaps() {
  const pair = ["first", "second"].map(chosen);
  $("first-title").textContent = pair[0].label;
  $("second-title").textContent = `${pair[0].label} less ${pair[1].label}`;
  const members = grids(pair[0]);
  const [rates, less] = [average(members), average(grids(pair[1]))];
  const ofMean = [rates, stroke("#000", 1.6, 'stroke-dasharray="5 3"')];
  drawMap("map", rates, data.rateLimit, data.rateColours, [...members.map((of) => [of, stroke("#000", 0.6)]), ofMean]);
  const difference = rates.map((row, m) => row.map((rate, i) => rate - less[m][i]));
  const largest = roundUp(Math.max(1e-6, ...difference.flat().map(Math.abs)));
  drawMap("difference", difference, largest, data.differenceColours, []);
}

// ---------------------------------------------------------------------------------------------- an episode

const episode = { path: null, before: null, means: null };
const rows = () => [...$("seats").rows];
const seatColour = (i) => data.seatColours[i % data.seatColours.length];
const cellOf = (row, kind) => row.querySelector(kind);

const profile = () => rows().map((row) => scenario.players[cellOf(row, "select").value]); // who sits where

/** Random numbers of a seed, but the inventories of the table unless these are drawn too. */
function shocksHere(seed) {
  const shocks = shocksOf(game, seed);
  const inventory = rows().map((row) => +cellOf(row, "input").value);
  return $("drawn").checked ? shocks : { ...shocks, inventory };
}

/** Play the episode; `changed` is whose policy changed since the one that it is compared with, if anybody's. */
function play(changed) {
  episode.before = changed ? episode.path : null;
  $("changed").textContent = changed ? `Change: against the episode before ${changed} changed.` : "";
  [$("means").hidden, $("many-note").textContent] = [true, ""]; // they are of another profile
  const shocks = shocksHere(+$("seed").value);
  if ($("drawn").checked) rows().forEach((row, i) => { cellOf(row, "input").value = shocks.inventory[i].toFixed(2); });
  episode.path = simulate(game, profile(), shocks);
  drawEpisode();
}

function drawEpisode() {
  const shown = Math.round(controls.episode.until.value / game.dt);
  const both = [episode.before, episode.path].filter(Boolean);
  for (const [key, unit] of Object.entries({ price: "$", inventory: "shares", rates: "shares/hour", rewards: "$" })) {
    const values = both.flatMap((of) => of[key].flat());
    const margin = 0.05 * (Math.max(...values) - Math.min(...values)) || 0.5;
    const y = [Math.min(...values) - margin, Math.max(...values) + margin];
    const about = `at the end: ${episode.path[key].at(-1).map((value) => text(value)).join(", ")}`;
    chart(key, 250, { x: [0, game.horizon], y, xLabel: "time (h)", yLabel: unit, about }, (X, Y) => both.map((of) => {
      const look = of === episode.path ? [1.8, ""] : [1.4, 'opacity="0.4" stroke-dasharray="4 2"'];
      const at = (m, value) => [X(m * game.dt), Y(value)];
      return of[key][0].map((_, i) => curve(
        key === "rates" ? of.rates.slice(0, shown).flatMap((row, m) => [at(m, row[i]), at(m + 1, row[i])])
          : of[key].slice(0, shown + 1).map((row, m) => at(m, row[i])),
        stroke(key === "price" ? "#222" : seatColour(i), ...look),
      )).join("");
    }).join(""));
  }
  const [now, then] = [episode.path, episode.before].map((of) => of && of.rewards.at(-1));
  rows().forEach((row, i) => {
    cellOf(row, ".reward").textContent = text(now[i], 3);
    cellOf(row, ".change").textContent = then ? text(now[i] - then[i], 3) : "";
  });
}

/** Mean total rewards over the seeds from the present one on, and what changed since the means asked for before. */
function showMeans(count) {
  const seed = +$("seed").value;
  const drawn = $("drawn").checked;
  const seats = profile();
  const rewards = range(count).map((i) => simulate(game, seats, shocksHere(seed + i)).rewards.at(-1));
  const paths = JSON.stringify([scenario.name, drawn ? seed : [seed, shocksHere(seed).inventory]]);
  const before = episode.means && episode.means.paths === paths ? episode.means.rewards : null;
  const cell = (values) => {
    const [middle, low, high] = estimate(values).map((value) => text(value, 3));
    return `<td class="number">${middle} [${low},&nbsp;${high}]</td>`;
  };
  $("means").tBodies[0].innerHTML = seats.map((_, i) => `<tr><td>${i + 1}</td>${cell(rewards.map((row) => row[i]))}`
    + `${before ? cell(rewards.map((row, p) => row[i] - before[p][i])) : "<td></td>"}</tr>`).join("");
  $("many-note").textContent = `Means over the seeds ${seed} to ${seed + count - 1} and their 95 % intervals, initial `
    + `inventories ${drawn ? "drawn with each" : "as in the table"}. A change is that on the same paths.`;
  $("means").hidden = false;
  episode.means = { paths, rewards };
}

// ------------------------------------------------------------------------------------------------ controls

/** A labelled slider in a group of controls, with its value beside it. */
function slider(group, { words, unit, low, high, step, value }) {
  const row = document.createElement("label");
  row.innerHTML = `${words}<output></output><input type="range" min="${low}" max="${high}" step="${step}">`;
  const [output, input] = row.children;
  input.value = value;
  const show = () => { output.textContent = `${plain(+input.value)} ${unit}`; };
  input.addEventListener("input", () => { show(); draws[group](); });
  show();
  $(group).append(row);
  return input;
}

/** Controls for the chosen scenario, and everything drawn anew. */
function start() {
  scenario = data.scenarios[$("scenario").value];
  const { policies } = scenario;
  game = scenario.game;
  for (const [group, sliders] of Object.entries(scenario.sliders)) {
    $(group).replaceChildren();
    controls[group] = Object.fromEntries(sliders.map((of) => [of.name, slider(group, of)]));
  }
  for (const id of ["advantage-of", "first", "second"]) $(id).innerHTML = options(policies.map(({ label: of }) => of));
  $("second").value = policies.length - 1;
  scenario.players = policies.flatMap((policy) => policy.members.map((_, member) => ({ policy, member })));
  const players = options(scenario.players.map(({ policy, member }) => `${policy.label}, ${policy.members[member]}`));
  $("everyone").innerHTML = players;
  $("seats").replaceChildren(...range(game.n_agents).map((i) => {
    const row = $("seat").content.firstElementChild.cloneNode(true);
    cellOf(row, "td").append(`${i + 1}`);
    cellOf(row, ".swatch").style.background = seatColour(i);
    cellOf(row, "select").innerHTML = players;
    cellOf(row, "select").addEventListener("change", () => play(`seat ${i + 1}`));
    cellOf(row, "input").addEventListener("input", () => { $("drawn").checked = false; play(); });
    return row;
  }));
  play();
  draw();
}

const draws = { state: drawState, place: drawMaps, episode: drawEpisode };
const draw = () => scenario && Object.values(draws).forEach((part) => part());
$("scenario").innerHTML = options(data.scenarios.map(({ name }) => name));
$("scenario").addEventListener("change", start);
$("advantage-of").addEventListener("change", drawState);
for (const id of ["first", "second"]) $(id).addEventListener("change", drawMaps);
for (const id of ["seed", "drawn"]) $(id).addEventListener("input", () => play());
$("everyone").addEventListener("change", () => {
  for (const row of rows()) cellOf(row, "select").value = $("everyone").value;
  play("everyone");
});
$("many").addEventListener("click", () => {
  $("many-note").textContent = "Playing 1,000 paths ...";
  setTimeout(showMeans, 30, 1000); // after the note has been drawn
});
window.addEventListener("resize", draw);
if (data.scenarios.length) start();
