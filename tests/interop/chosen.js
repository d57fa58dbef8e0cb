// node chosen.js < JSON: codewords of chosen tokens, from docs/bitstream.md ("Chosen tokens"), as hexadecimal text.
"use strict";

const { readFileSync } = require("node:fs");
const { B, Coder, Klt, clamp, floorDiv, ladder, logActivity } = require("./bitstream.js");

const floorDivB = (a, b) => (a - (((a % b) + b) % b)) / b;
const ONE = 1n << 96n;

const made = new Map();
function table(e) {
  if (made.has(e)) return made.get(e);
  const x = ladder(-e, ONE) >> 16n;
  let [v, y] = [ONE, ONE];
  for (let n = 1n; n <= 12n; n++) {
    v = floorDivB(-((v * x) >> 96n), n);
    y += v;
  }
  for (let count = 0; count < 16; count++) y = (y * y) >> 96n;
  const [borders, zero] = [[0], []];
  for (let c = 0; c < 24; c++) {
    borders.push(Number(((ONE - y) * 65511n) >> 96n) + c + 1);
    zero.push(Math.min(Math.max(Number((65536n * ONE) / (ONE + y)), 1), 65535));
    y = (y * y) >> 96n;
  }
  made.set(e, { borders: [...borders, 65536], zero });
  return made.get(e);
}

// Scale and chance of minus of every place and component, flat.
function statistics(klt, grid, s) {
  const { other_scale_bin: other, scale_bin: scale, skew_bin: skew, sign_logit: logit, chance } = klt.arrays;
  const [rows, columns] = grid;
  const [fittedRows, fittedColumns] = klt.fitted;
  const R = klt.components;
  const P = fittedRows * fittedColumns;
  const minus = (at) => chance[clamp(((logit[at] + 4) >> 3) + 72, 128)];
  const places = [];
  for (let p = 0; p < rows * columns; p++) {
    const place = { scale: [], minus: [] };
    for (let a = 0; a < R; a++) {
      if (klt.facts.mode !== "none") {
        let sum = 0n;
        for (let q = 0; q < P; q++) sum += ladder(2 * other[q * R + a], ONE);
        let b = -140;
        while (ladder(2 * (b + 1), ONE) <= sum / B(P)) b++;
        place.scale.push(b);
        place.minus.push(32768);
      } else if (klt.isFitted(grid)) {
        place.scale.push(scale[p * R + a]);
        place.minus.push(minus(skew[p * R + a]));
      } else {
        const row = floorDiv(Math.floor(p / columns) * fittedRows, rows);
        const column = floorDiv((p % columns) * fittedColumns, columns);
        place.scale.push(other[(row * fittedColumns + column) * R + a]);
        place.minus.push(minus(4));
      }
    }
    places.push(place);
  }
  if (s === 1) return places;
  const [down, across] = [Math.ceil(rows / s), Math.ceil(columns / s)];
  const windows = Array.from({ length: down * across }, () => []);
  places.forEach((place, p) => {
    const row = floorDiv(Math.floor(p / columns) * down, rows);
    windows[row * across + floorDiv((p % columns) * across, columns)].push(place);
  });
  const mean = (of) => Array.from({ length: R }, (_, a) => floorDiv(of.reduce((sum, one) => sum + one[a], 0), of.length));
  return windows.map((of) => ({ scale: mean(of.map((one) => one.scale)), minus: mean(of.map((one) => one.minus)) }));
}

function token(coder, klt, { scale, minus }, level, integers) {
  const H = Number(ladder(level, 16n));
  const usual = scale.map((bin) => Math.max(1, Number(ladder(bin, 16n))));
  let [seen, wanted] = [usual[0], usual[0]];
  integers.forEach((value, a) => {
    const e = scale[a] - level + 2 * logActivity(Math.min(floorDiv(256 * seen, wanted), 4095));
    const { borders, zero } = table(Math.min(Math.max(e, -64), 128));
    const m = Math.abs(value);
    const kind = m ? 1 + Math.floor(Math.log2(m)) : 0;
    coder.symbol(borders[kind], borders[kind + 1]);
    for (let k = kind - 2; k >= 0; k--) {
      if ((m >> k) & 1) coder.symbol(zero[k], 65536);
      else coder.symbol(0, zero[k]);
    }
    if (m && value < 0) coder.symbol(65536 - minus[a], 65536);
    else if (m) coder.symbol(0, 65536 - minus[a]);
    const quiet = klt.arrays.quiet_mean[clamp(((scale[a] - level) >> 1) + 32, 64)];
    seen += m ? ((2 * m + 1) * H) >> 1 : (quiet * H) >> 10;
    wanted += usual[a];
  });
}

// Places of contextual tokens: evenly spaced among those that have not come.
function contextual(dominant, tokens, count) {
  const rest = Array.from({ length: tokens }, (_, place) => place).filter((place) => !dominant.includes(place));
  const d = Math.max(1, floorDiv(rest.length, count));
  return Array.from({ length: count }, (_, number) => rest[number * d]);
}

// order: chosen (with beginnings), sorted, dominant (as many as there are places, then contextual ones), or all in order.
function encode(klt, { grid, level, integers, places: given, order, s }) {
  const known = statistics(klt, grid, s);
  const tokens = grid[0] * grid[1] * grid[2];
  const coder = new Coder();
  const left = Array.from({ length: tokens }, (_, place) => place);
  let next = 0;
  const places = [...given];
  if (order === "dominant") places.push(...contextual(given, tokens, integers.length - given.length));
  integers.forEach((row, number) => {
    const place = places[number];
    if (order === "chosen" || (order === "dominant" && number < given.length)) {
      if (order === "chosen") coder.begin();
      const rank = left.indexOf(place);
      coder.symbol(floorDiv(rank * 65536, left.length), floorDiv((rank + 1) * 65536, left.length));
      left.splice(rank, 1);
    }
    for (; order === "sorted" && next <= place; next++) {
      const [n, g] = [tokens - next, integers.length - number];
      if (g === n) continue;
      const border = 65536 - floorDiv(65536 * g, n);
      if (next === place) coder.symbol(border, 65536);
      else coder.symbol(0, border);
    }
    token(coder, klt, known[place % known.length], level, row);
  });
  return coder.finish().toString("hex");
}

const given = JSON.parse(readFileSync(0, "utf8"));
const klt = new Klt(given.klt);
process.stdout.write(JSON.stringify(given.streams.map((stream) => encode(klt, stream))));
