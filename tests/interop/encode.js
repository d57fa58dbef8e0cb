// node encode.js < JSON: streams of given tokens or integers, as hexadecimal text.
"use strict";

const { readFileSync } = require("node:fs");
const { Klt, codeLatents } = require("./bitstream.js");

const given = JSON.parse(readFileSync(0, "utf8"));
const klt = given.klt && new Klt(given.klt);
const made = given.photos.map((photo) => {
  if (photo.latents) return { codeword: codeLatents(given.meta, photo.latents, photo.tiles).toString("hex") };
  if (photo.magnitudes) return { codeword: klt.code(photo.magnitudes, photo.negative, photo.grid, photo.fineness).toString("hex") };
  const [header, codeword] = klt.encode(photo.tokens, photo.grid, photo.fineness);
  return { header: header.toString("hex"), codeword: codeword.toString("hex") };
});
process.stdout.write(JSON.stringify(made));
