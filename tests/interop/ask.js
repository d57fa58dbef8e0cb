// node ask.js < JSON: asks a cloud the questions about one stream and prints what came back as JSON.
"use strict";

const { readFileSync } = require("node:fs");
const { Device } = require("./protocol.js");

const wish = JSON.parse(readFileSync(0, "utf8"));
const device = new Device(Buffer.from(wish.bundle, "hex"), wish.token, wish.key ? Buffer.from(wish.key, "hex") : null);
const socket = new WebSocket(wish.url);
socket.binaryType = "arraybuffer";
const heard = [];
let next = 0;

function askNext() {
  if (next === wish.questions.length) {
    socket.close(1000);
    return;
  }
  device.ask(next, 0, wish.questions[next], { controller: wish.controller, target: wish.target, follows: next === 0 });
  if (next === 0) {
    device.announce(0, wish.strategy, Buffer.from(wish.header, "hex"));
    const segments = wish.segments.map((segment) => Buffer.from(segment, "hex"));
    segments.forEach((segment, number) => {
      device.segment(0, segment);
      if (2 * (number + 1) === segments.length) device.seal(0);
    });
    device.finish(0);
  }
  next += 1;
  socket.send(device.bytesToSend());
}

socket.addEventListener("open", askNext);
socket.addEventListener("message", (message) => {
  for (const event of device.receive(Buffer.from(message.data))) {
    heard.push(event);
    if (event.said === "final" || (event.said === "error" && event.question !== null)) askNext();
  }
});
socket.addEventListener("close", (event) => process.stdout.write(JSON.stringify({ heard, code: event.code })));
