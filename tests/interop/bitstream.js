// Encoders of docs/bitstream.md, written from that page alone: slow and simple, plain JavaScript, no packages.
"use strict";

const { readFileSync } = require("node:fs");

const B = BigInt;
const clamp = (value, count) => Math.min(Math.max(value, 0), count - 1);

// ---- integers ---------------------------------------------------------------------------------------
function isqrt(value) {
  if (value < 2n) return value;
  let root = 1n << (B(value.toString(2).length + 1) / 2n);
  for (;;) {
    const next = (root + value / root) >> 1n;
    if (next >= root) return root;
    root = next;
  }
}

function floorDiv(a, b) {
  return Math.floor(a / b);
}

const ROOTS = Array.from({ length: 8 }, (_, k) => isqrt(isqrt(isqrt(1n << B(256 + k)))));

// unit: BigInt; gives BigInt.
function ladder(bin, unit) {
  const octave = floorDiv(bin, 8);
  const product = unit * ROOTS[bin - 8 * octave];
  return octave >= 32 ? product << B(octave - 32) : product >> B(32 - octave);
}

const STEPS = Array.from({ length: 49 }, (_, k) => ladder(2 * (k - 32), 1n << 32n));

function logActivity(m) {
  const value = B(Math.max(m, 1)) << 24n;
  let k = -32;
  while (k < 16 && STEPS[k + 1 + 32] <= value) k++;
  return k;
}

const SURVIVAL = (() => {
  let factor = isqrt(1n << 191n);
  for (let count = 0; count < 11; count++) factor = isqrt(factor << 96n);
  const table = [];
  let value = 1n << 96n;
  for (let x = 0; x <= 28672; x++) {
    table.push(Number((value + (1n << 79n)) >> 80n));
    value = (value * factor) >> 96n;
  }
  return table;
})();

// ---- tables -----------------------------------------------------------------------------------------
const READERS = {
  F32: [4, (data, at) => data.readFloatLE(at)],
  I32: [4, (data, at) => data.readInt32LE(at)],
  I16: [2, (data, at) => data.readInt16LE(at)],
  I8: [1, (data, at) => data.readInt8(at)],
};

// The facts and the arrays (flat, with .shape) of a safetensors file.
function readTables(path) {
  const data = readFileSync(path);
  const start = 8 + Number(data.readBigUInt64LE(0));
  const head = JSON.parse(data.subarray(8, start).toString());
  const arrays = {};
  for (const [name, { dtype, shape, data_offsets: place }] of Object.entries(head)) {
    if (!(dtype in READERS)) continue;
    const [size, read] = READERS[dtype];
    const flat = [];
    for (let at = start + place[0]; at < start + place[1]; at += size) flat.push(read(data, at));
    flat.shape = shape;
    arrays[name] = flat;
  }
  return { facts: JSON.parse(head.__metadata__.heliograph), arrays };
}

// ---- header -----------------------------------------------------------------------------------------
function crc8(bytes) {
  let value = 0xff;
  for (const byte of bytes) {
    value ^= byte;
    for (let bit = 0; bit < 8; bit++) value = value & 0x80 ? ((value << 1) ^ 0x107) & 0xff : value << 1;
  }
  return value;
}

function varint(value) {
  const bytes = [];
  for (; value > 0x7f; value >>= 7) bytes.push((value & 0x7f) | 0x80);
  return [...bytes, value];
}

// grid: [rows, columns, tiles, photo width, photo height]; small: 0 to 7; extra: 1 to 255, or 0 for none.
function header(small, grid, fitted, extra = 0) {
  let flags = 0;
  const sizes = [];
  if (grid.slice(0, 3).join() !== fitted.slice(0, 3).join()) {
    flags |= 1;
    sizes.push(...grid.slice(0, 3).flatMap(varint));
  }
  if (grid.slice(3).join() !== fitted.slice(3).join()) {
    flags |= 2;
    sizes.push(...grid.slice(3).flatMap(varint));
  }
  const body = [((extra ? 3 : 2) << 6) | (small << 3) | flags, ...sizes, ...(extra ? [extra] : [])];
  return Buffer.from(sizes.length ? [...body, crc8(body)] : body);
}

// ---- the coder --------------------------------------------------------------------------------------
class Coder {
  constructor() {
    this.low = 0;
    this.width = 2 ** 48;
    this.words = [];
    this.least = 0;
  }

  carry() {
    let at = this.words.length - 1;
    for (; this.words[at] === 0xffff; at--) this.words[at] = 0;
    this.words[at]++;
    this.low -= 2 ** 48;
  }

  // The fewest upper bytes of the window after which all is settled, and their value.
  settling() {
    for (let count = 0; ; count++) {
      const grain = 256 ** (6 - count);
      const value = Math.ceil(this.low / grain) * grain;
      if (value + grain <= this.low + this.width) return [count, value];
    }
  }

  // A bit plane: begun with more bytes than a codeword has that ends before it.
  begin() {
    this.least = Math.max(2 * this.words.length + this.settling()[0], this.least) + 1;
  }

  settle() {
    while (this.width < 2 ** 32) {
      if (this.low >= 2 ** 48) this.carry();
      this.words.push(Math.floor(this.low / 2 ** 32));
      this.low = (this.low % 2 ** 32) * 2 ** 16;
      this.width *= 2 ** 16;
    }
  }

  // One symbol, which owns lower to upper of 65536.
  symbol(lower, upper) {
    const unit = Math.floor(this.width / 65536);
    this.low += unit * lower;
    this.width = unit * (upper - lower);
    this.settle();
  }

  // bits, costs, and for every decision the chance of minus (0 where no sign follows) and whether it is minus.
  pass(bits, costs, chances, minus) {
    const sums = [0];
    for (const cost of costs) sums.push(sums[sums.length - 1] + cost);
    const count = bits.length;
    for (let i = 0; i < count; ) {
      const unit = Math.floor(this.width / 65536);
      let j = i;
      while (j < count && !bits[j]) j++;
      if (j < count && sums[j] < sums[i] + 8192) {
        const below = SURVIVAL[sums[j + 1] - sums[i]];
        this.low += unit * below;
        this.width = unit * (SURVIVAL[sums[j] - sums[i]] - below);
        if (chances[j]) {
          const part = Number((B(this.width) * B(chances[j])) >> 16n);
          if (minus[j]) this.width = part;
          else {
            this.low += part;
            this.width -= part;
          }
        }
        i = j + 1;
      } else {
        let end = i;
        while (end < count && sums[end] < sums[i] + 8192) end++;
        this.width = unit * SURVIVAL[sums[end] - sums[i]];
        i = end;
      }
      this.settle();
    }
  }

  finish() {
    if (this.low >= 2 ** 48) this.carry();
    let [count, value] = this.settling();
    if (value >= 2 ** 48) {
      this.carry();
      value -= 2 ** 48;
    }
    const last = Buffer.alloc(6);
    last.writeUIntBE(value, 0, 6);
    const made = [...this.words.map((word) => Buffer.from([word >> 8, word & 0xff])), last.subarray(0, count)];
    const length = 2 * this.words.length + count;
    return Buffer.concat([...made, Buffer.alloc(Math.max(this.least - length, 0))]);
  }
}

// ---- klt --------------------------------------------------------------------------------------------
class Klt {
  constructor(path) {
    const { facts, arrays } = readTables(path);
    Object.assign(this, { facts, arrays });
    this.fitted = facts.grid;
    [this.hidden, this.components] = arrays.forward.shape;
    this.planes = arrays.active.length;
  }

  isFitted(grid) {
    return grid[0] === this.fitted[0] && grid[1] === this.fitted[1];
  }

  // (P, P) transform over the positions of a tile; null where there is none.
  overGrid(grid) {
    if (this.facts.mode === "none") return null;
    if (this.isFitted(grid)) return this.arrays.grid_forward;
    const dct = (size, k, n) => Math.sqrt((k ? 2 : 1) / size) * Math.cos((Math.PI * (n + 0.5) * k) / size);
    const [rows, columns] = grid;
    const made = [];
    for (let to = 0; to < rows * columns; to++) {
      for (let from = 0; from < rows * columns; from++) {
        const down = dct(rows, Math.floor(to / columns), Math.floor(from / columns));
        made.push(down * dct(columns, to % columns, from % columns));
      }
    }
    return made;
  }

  // Tokens, flat, to coefficients, flat (tile, position, component).
  coefficients(tokens, grid) {
    const spectrum = this.channels(tokens, grid);
    const over = this.overGrid(grid);
    const positions = grid[0] * grid[1];
    return spectrum.map((value, at) => {
      if (!over) return value / this.facts.step;
      const r = at % this.components;
      const row = Math.floor(at / this.components);
      const tile = Math.floor(row / positions);
      let sum = 0;
      for (let p = 0; p < positions; p++) {
        sum += over[(row % positions) * positions + p] * spectrum[(tile * positions + p) * this.components + r];
      }
      return sum / this.facts.step;
    });
  }

  channels(tokens, grid) {
    const { mean, forward } = this.arrays;
    const { hidden, components } = this;
    const positions = grid[0] * grid[1];
    const fitted = this.isFitted(grid);
    const average = new Array(hidden).fill(0);
    if (!fitted) mean.forEach((value, at) => (average[at % hidden] += value / (mean.length / hidden)));
    const made = [];
    for (let row = 0; row < positions * grid[2]; row++) {
      for (let r = 0; r < components; r++) {
        let sum = 0;
        for (let d = 0; d < hidden; d++) {
          const middle = fitted ? mean[(row % positions) * hidden + d] : average[d];
          sum += (tokens[row * hidden + d] - middle) * forward[d * components + r];
        }
        made.push(sum);
      }
    }
    return made;
  }

  // The whole stream of tokens: [header, codeword].
  encode(tokens, grid, fineness = 0) {
    const coefficients = this.coefficients(tokens, grid).map((c) => c * 2 ** (fineness / 8));
    const magnitudes = coefficients.map((c, at) => {
      const planes = this.arrays.active.filter((active) => active > at % this.components).length;
      return Math.min(Math.floor(Math.min(Math.abs(c), 2 ** 30)), 2 ** planes - 1);
    });
    const codeword = this.code(magnitudes, coefficients.map((c) => c < 0), grid, fineness);
    return [header(fineness, grid, this.fitted), codeword];
  }

  // Magnitudes and signs, flat, to the codeword.
  code(magnitudes, negative, grid, fineness = 0) {
    const photo = new Passes(this, magnitudes, negative, grid, fineness);
    const coder = new Coder();
    for (let plane = this.planes - 1; plane >= 0; plane--) {
      photo.open(plane);
      coder.begin();
      for (const pass of this.arrays.split[plane] >= 64 ? [1] : [0, 1]) photo.code(plane, pass, coder);
    }
    return coder.finish();
  }
}

class Passes {
  constructor(codec, magnitudes, negative, grid, fineness) {
    this.codec = codec;
    this.magnitudes = magnitudes;
    this.negative = negative;
    [this.rows, this.columns, this.tiles] = grid;
    this.positions = this.rows * this.columns;
    this.known = magnitudes.map(() => 0);
    this.restored = magnitudes.map(() => 0);
    const spatial = codec.facts.mode === "none";
    this.contexts = codec.isFitted(grid) && "contexts.hidden" in codec.arrays;
    this.neighbours = !(codec.facts.mode === "learned" && codec.isFitted(grid));
    const { scale_bin: scale, other_scale_bin: other, skew_bin: skew } = codec.arrays;
    const [fittedRows, fittedColumns] = codec.fitted;
    this.scale = [];
    this.skew = [];
    for (let p = 0; p < this.positions; p++) {
      const row = floorDiv(Math.floor(p / this.columns) * fittedRows, this.rows);
      const column = floorDiv((p % this.columns) * fittedColumns, this.columns);
      const source = codec.isFitted(grid) ? p : row * fittedColumns + column;
      for (let r = 0; r < codec.components; r++) {
        const at = source * codec.components + r;
        const bin = (codec.isFitted(grid) ? scale[at] : other[at]) + fineness;
        this.scale.push(Math.min(Math.max(bin, -128), 255));
        this.skew.push(codec.isFitted(grid) || spatial ? skew[at] : 4);
      }
    }
  }

  base(plane, cell) {
    return (this.scale[cell] >> 1) - 4 * plane + 32;
  }

  // cell: place among the P x R of a tile.
  quiet(plane, cell) {
    const mean = this.codec.arrays.quiet_mean[clamp(this.base(plane, cell), 64)];
    return Math.max(1, floorDiv(mean * 2 ** plane * 16, 1024));
  }

  place(plane, k, cell) {
    return floorDiv(this.codec.arrays.offset[64 * k + clamp(this.base(plane, cell), 64)] * 2 ** plane * 16, 64);
  }

  at(tile, p, a) {
    return (tile * this.positions + p) * this.codec.components + a;
  }

  near(values, tile, p, a) {
    const row = Math.floor(p / this.columns);
    const column = p % this.columns;
    let sum = 0;
    for (let down = -1; down <= 1; down++) {
      for (let right = -1; right <= 1; right++) {
        const [r, c] = [row + down, column + right];
        if (r < 0 || r >= this.rows || c < 0 || c >= this.columns) continue;
        sum += values[this.at(tile, r * this.columns + c, a)] * (down ? 1 : 2) * (right ? 1 : 2);
      }
    }
    return sum;
  }

  sums(values, tile, active) {
    const overPositions = new Array(active).fill(0);
    const overComponents = new Array(this.positions).fill(0);
    for (let p = 0; p < this.positions; p++) {
      for (let a = 0; a < active; a++) {
        overPositions[a] += values[this.at(tile, p, a)];
        overComponents[p] += values[this.at(tile, p, a)];
      }
    }
    return [overPositions, overComponents];
  }

  open(plane) {
    const active = this.codec.arrays.active[plane];
    this.cells = [];
    this.expected = this.known.map(() => 0);
    for (let tile = 0; tile < this.tiles; tile++) {
      for (let p = 0; p < this.positions; p++) {
        for (let a = 0; a < active; a++) {
          const at = this.at(tile, p, a);
          this.cells.push({ tile, p, a, at, inTile: this.at(0, p, a), open: true });
          this.expected[at] = Math.max(Math.abs(this.restored[at]), this.quiet(plane + 1, this.at(0, p, a)));
        }
      }
    }
  }

  // The correction of a cell's class, for every cell.
  corrections(plane, pass) {
    const [w0, ...w] = this.codec.arrays.weights.slice(8 * plane + 4 * pass, 8 * plane + 4 * pass + 4);
    if (w.every((weight) => weight === 0)) return this.cells.map(() => 0);
    const active = this.codec.arrays.active[plane];
    const usual = this.scale.map((bin) => Math.max(1, Number(ladder(bin, 16n))));
    const usualSums = this.sums(usual, 0, active);
    const tileSums = Array.from({ length: this.tiles }, (_, tile) => this.sums(this.expected, tile, active));
    const factor = (sum, weight) => ((1n << 36n) / B(Math.max(sum, 1)) * B(weight)) >> 16n;
    return this.cells.map(({ tile, p, a, at, inTile }) => {
      const own = usual[inTile];
      const f1 = factor(usualSums[0][a] - own, w[0]);
      const f2 = factor(usualSums[1][p] - own, w[1]);
      const f3 = this.neighbours ? factor(this.near(usual, 0, p, a) - 4 * own, w[2]) : 0n;
      const [overPositions, overComponents] = tileSums[tile];
      let mixed = B(overPositions[a]) * f1 + B(overComponents[p]) * f2 + B(this.near(this.expected, tile, p, a)) * f3;
      mixed += (B(w0) << 20n) - B(this.expected[at]) * (f1 + f2 + 4n * f3);
      return logActivity(clamp(Number(mixed >> 20n), 4096));
    });
  }

  // What every position of a tile sees: nine views of C components.
  views(plane, tile, looked) {
    const cut = (value) => Math.sign(value) * Math.min(Math.floor(Math.abs(value) / 2 ** plane), 64);
    const value = (p, a) => (p === null ? 0 : cut(this.restored[this.at(tile, p, a)]));
    const beside = (p, down, right) => {
      const [row, column] = [Math.floor(p / this.columns) + down, (p % this.columns) + right];
      const inside = row >= 0 && row < this.rows && column >= 0 && column < this.columns;
      return inside ? row * this.columns + column : null;
    };
    const every = Array.from({ length: this.positions }, (_, p) => p);
    const components = Array.from({ length: looked }, (_, a) => a);
    const mean = (of) => components.map((a) => floorDiv(4 * every.reduce((sum, p) => sum + of(value(p, a)), 0), this.positions));
    const [means, sizes] = [mean((v) => v), mean(Math.abs)];
    const turns = [-1, 0, 1];
    return every.map((p) => {
      const around = turns.flatMap((down) => turns.map((right) => beside(p, down, right)));
      return [
        ...components.map((a) => value(p, a)),
        ...components.map((a) => Math.abs(value(p, a))),
        ...[[-1, 0], [1, 0], [0, -1], [0, 1]].flatMap((step) => components.map((a) => value(beside(p, ...step), a))),
        ...components.map((a) => floorDiv(around.reduce((sum, q) => sum + Math.abs(value(q, a)), 0), 4)),
        ...means,
        ...sizes,
      ];
    });
  }

  // Corrections of log odds, for every cell: [significance, refinement, sign].
  corrected(plane, pass) {
    const nothing = this.cells.map(() => [0, 0, 0]);
    if (!this.contexts) return nothing;
    const arrays = this.codec.arrays;
    const number = 2 * plane + pass;
    const [hiddenShift, outShift] = arrays["contexts.shift"].slice(2 * number, 2 * number + 2);
    if (hiddenShift < 0 || outShift < 0) return nothing;
    const [, , views, width] = arrays["contexts.hidden"].shape;
    const looked = arrays["contexts.out"].shape[3] / 3;
    const hidden = [];
    for (let tile = 0; tile < this.tiles; tile++) {
      for (const seen of this.views(plane, tile, looked)) {
        hidden.push(
          Array.from({ length: width }, (_, h) => {
            let sum = arrays["contexts.bias"][number * width + h];
            seen.forEach((value, v) => (sum += value * arrays["contexts.hidden"][(number * views + v) * width + h]));
            return clamp(sum >> hiddenShift, 128);
          }),
        );
      }
    }
    return this.cells.map(({ tile, p, a }) =>
      [0, 1, 2].map((kind) => {
        if (a >= looked) return 0;
        let sum = 0;
        hidden[tile * this.positions + p].forEach((value, h) => {
          sum += value * arrays["contexts.out"][((number * width + h) * 3 + kind) * looked + a];
        });
        return (sum + ((1 << outShift) >> 1)) >> outShift;
      }),
    );
  }

  code(plane, pass, coder) {
    const { split, rank, cost, logit, chance, sign_logit: signs } = this.codec.arrays;
    const corrections = this.corrections(plane, pass);
    const corrected = this.corrected(plane, pass);
    const rung = (odds) => clamp(((odds + 4) >> 3) + 72, 128);
    const items = [];
    this.cells.forEach((cell, number) => {
      const s = clamp(this.base(plane, cell.inTile) + corrections[number], 64);
      const known = this.known[cell.at];
      if (pass === 0 ? known !== 0 || s < split[plane] : !cell.open) return;
      let kind = s;
      if (known !== 0) {
        kind = 64 + clamp(((this.base(plane, cell.inTile) - 32) >> 1) + 16, 32);
        if (known >> (plane + 2) > 0) kind += 32;
      }
      const fine = kind >= 64 ? 1 : 0;
      const step = rung(logit[(2 * plane + pass) * 128 + kind] + corrected[number][fine]);
      const minus = chance[rung(signs[this.skew[cell.inTile]] + corrected[number][2])];
      items.push({ ...cell, cell, fine, rank: rank[128 * fine + step], cost: cost[step], minus: fine ? 0 : minus });
    });
    items.sort((one, other) => one.rank - other.rank); // stable
    const bits = items.map(({ at }) => (this.magnitudes[at] >> plane) & 1);
    coder.pass(bits, items.map(({ cost: one }) => one), items.map(({ minus }) => minus), items.map(({ at }) => this.negative[at]));
    items.forEach(({ at, inTile, fine, cell }, number) => {
      if (bits[number]) this.known[at] += 2 ** plane;
      if (bits[number] || fine) {
        const value = 16 * this.known[at] + this.place(plane, this.known[at] >> (plane + 1) > 0 ? 1 : 0, inTile);
        this.restored[at] = this.negative[at] ? -value : value;
      }
      if (pass === 0) {
        cell.open = false;
        this.expected[at] = bits[number] ? Math.abs(this.restored[at]) : this.quiet(plane, inTile);
      }
    });
  }
}

// ---- meta -------------------------------------------------------------------------------------------
// Integers, flat (tile, latent, channel), to the codeword.
function codeLatents(path, integers, tiles) {
  const { borders, context_borders: steps } = readTables(path).arrays;
  const [latents, channels, contexts, length] = borders.shape;
  const reach = (length - 2) / 2;
  const size = (tile, k) => {
    if (k < 0) return 0;
    const start = (tile * latents + k) * channels;
    return integers.slice(start, start + channels).reduce((sum, value) => sum + Math.abs(value), 0);
  };
  const coder = new Coder();
  for (let k = 0; k < latents; k++) {
    for (let tile = 0; tile < tiles; tile++) {
      const before = size(tile, k - 1) + size(tile, k - 2);
      const context = (before >= steps[2 * k]) + (before >= steps[2 * k + 1]);
      for (let channel = 0; channel < channels; channel++) {
        const symbol = integers[(tile * latents + k) * channels + channel] + reach;
        const row = ((k * channels + channel) * contexts + context) * length + symbol;
        coder.symbol(borders[row], borders[row + 1]);
      }
    }
  }
  return coder.finish();
}

module.exports = { B, Coder, Klt, clamp, codeLatents, floorDiv, ladder, logActivity };
