// node hear.js < JSON: what a device understands of given bytes, one byte at a time.
"use strict";

const { readFileSync } = require("node:fs");
const { Device } = require("./protocol.js");

const given = JSON.parse(readFileSync(0, "utf8"));
const device = new Device(Buffer.alloc(0), "", null);
for (let id = 0; id < given.questions; id++) device.ask(id, 0, "?", { follows: id === 0 });
const heard = [];
for (const byte of Buffer.from(given.bytes, "hex")) heard.push(...device.receive(Buffer.from([byte])));
process.stdout.write(JSON.stringify(heard));
