// The device's end of docs/protocol.md, written from that page alone: plain JavaScript, no packages.
"use strict";

const { createHmac, randomBytes, timingSafeEqual } = require("node:crypto");

const VERSION = 2;
const TYPE = { HELLO: 1, WELCOME: 2, QUESTION: 3, IMAGE: 4, SEGMENT: 5, IMAGE_END: 6, DRAFT: 9, FINAL: 10, ENOUGH: 11, MORE: 12, ERROR: 14 };
const STRATEGY = {
  klt: 1, jpeg: 2, webp: 3, avif: 4, rgb: 5, int8: 6, downsample: 7, "random-drop": 8, local: 9, meta: 10, int4: 11,
  pq: 12, "jpeg-bare": 13, "webp-bare": 14, "avif-bare": 15, dynamicvit: 16, visionzip: 17, divprune: 18, tome: 19,
  dfmr: 20, "latent-neck": 21, "tokens-1d": 22, "question-coded": 23, "jpeg-dct": 24, "feature-adapt": 25,
  caption: 26, read: 27, "side-info": 28,
  "entropic-student": 29, frankensplit: 30, "split-k": 31, "roi-jpeg": 32, "roi-webp": 33, "roi-avif": 34,
  prefilter: 35, cotam: 36, nnc: 37, "klt-nnc": 38, "feature-video": 39,
};
const CONTROLLER = { fixed: 0, energy: 1, push: 2, pull: 3 };
const TAG_BYTES = 4;
const HELLO_TAG_BYTES = 8;

function varint(value) {
  const bytes = [];
  while (value > 0x7f) {
    bytes.push((value & 0x7f) | 0x80);
    value >>>= 7;
  }
  bytes.push(value);
  return Buffer.from(bytes);
}

// The value and the place behind it; null where the bytes end inside it.
function readVarint(data, place) {
  let value = 0;
  for (let count = 0; count < 4; count++) {
    if (place + count >= data.length) return null;
    const byte = data[place + count];
    value |= (byte & 0x7f) << (7 * count);
    if (byte < 0x80) {
      if (byte === 0 && count > 0) throw new Error("a varint in a longer form");
      return [value, place + count + 1];
    }
  }
  throw new Error("a varint of five bytes");
}

function frame(type, small, body) {
  return Buffer.concat([Buffer.from([(type << 3) | small]), varint(body.length), body]);
}

function frameWithId(type, id, body) {
  return id < 7 ? frame(type, id, body) : frame(type, 7, Buffer.concat([varint(id), body]));
}

// The running authentication of one direction.
class Chain {
  constructor(key, purpose) {
    this.key = createHmac("sha256", key).update(purpose).digest();
    this.state = Buffer.alloc(0);
    this.since = [];
  }

  update(data) {
    this.since.push(data);
  }

  tag(size) {
    const mac = createHmac("sha256", this.key).update(this.state);
    for (const data of this.since) mac.update(data);
    this.state = mac.digest();
    this.since = [];
    return this.state.subarray(0, size);
  }

  check(tag) {
    if (!timingSafeEqual(this.tag(tag.length), tag)) throw new Error("a wrong tag");
  }
}

class Device {
  // key: a Buffer, or null for a session without authentication.
  constructor(bundleHash, token, key) {
    this.out = [];
    this.held = Buffer.alloc(0);
    this.drafts = new Map();
    this.up = key && new Chain(key, "heliograph 2 device");
    this.down = key && new Chain(key, "heliograph 2 cloud");
    const start = [Buffer.from([VERSION, bundleHash.length]), bundleHash];
    if (!key) {
      this.out.push(frame(TYPE.HELLO, 0, Buffer.concat([...start, Buffer.from(token)])));
      return;
    }
    const body = Buffer.concat([...start, randomBytes(8), Buffer.from(token), Buffer.alloc(HELLO_TAG_BYTES)]);
    const untagged = frame(TYPE.HELLO, 4, body).subarray(0, -HELLO_TAG_BYTES);
    this.up.update(untagged);
    const hello = Buffer.concat([untagged, this.up.tag(HELLO_TAG_BYTES)]);
    this.down.update(hello);
    this.out.push(hello);
  }

  say(data) {
    this.out.push(data);
    if (this.up) this.up.update(data);
  }

  // byte: 0, or 1 to say IMAGE_END of the photo announced last.
  seal(byte) {
    if (!this.up) return;
    this.say(Buffer.from([byte]));
    this.out.push(this.up.tag(TAG_BYTES));
  }

  ask(id, photo, text, { controller = "fixed", target = 0, mostTokens = 64, follows = true } = {}) {
    const mode = CONTROLLER[controller] | (follows ? 0x80 : 0);
    const body = [varint(photo), Buffer.from([mode, target]), varint(mostTokens), Buffer.from(text)];
    this.say(frameWithId(TYPE.QUESTION, id, Buffer.concat(body)));
    if (!follows) this.seal(0);
    this.drafts.set(id, Buffer.alloc(0));
  }

  announce(photo, strategy, header) {
    this.say(frameWithId(TYPE.IMAGE, photo, Buffer.concat([Buffer.from([STRATEGY[strategy]]), header])));
  }

  // Of the photo announced last.
  segment(photo, payload) {
    const short = payload.length <= 127;
    this.say(short ? Buffer.concat([Buffer.from([0x80 | payload.length]), payload]) : frameWithId(TYPE.SEGMENT, photo, payload));
  }

  finish(photo) {
    if (this.up) this.seal(1);
    else this.say(frameWithId(TYPE.IMAGE_END, photo, Buffer.alloc(0)));
  }

  bytesToSend() {
    const data = Buffer.concat(this.out);
    this.out = [];
    return data;
  }

  // Bytes from the cloud to what they say.
  receive(data) {
    this.held = Buffer.concat([this.held, data]);
    const heard = [];
    for (;;) {
      const head = this.held.length ? readVarint(this.held, 1) : null;
      if (!head || this.held.length < head[0] + head[1]) return heard;
      const whole = this.held.subarray(0, head[0] + head[1]);
      this.held = this.held.subarray(whole.length);
      heard.push(this.understand(whole[0] >> 3, whole[0] & 7, this.bodyOf(whole, head[1])));
    }
  }

  bodyOf(whole, start) {
    const endsSession = whole[0] === TYPE.ERROR << 3;
    if (!this.down || endsSession) return whole.subarray(start);
    this.down.update(whole.subarray(0, -TAG_BYTES));
    this.down.check(whole.subarray(-TAG_BYTES));
    return whole.subarray(start, -TAG_BYTES);
  }

  understand(type, small, body) {
    switch (type) {
      case TYPE.WELCOME:
        return { said: "welcome", bundle: body.subarray(1, 1 + body[0]).toString("hex"), model: body.subarray(1 + body[0]).toString() };
      case TYPE.DRAFT:
      case TYPE.FINAL:
        return this.answer(type, small, body);
      case TYPE.ENOUGH:
        return { said: "enough" };
      case TYPE.MORE:
        return { said: "more" };
      case TYPE.ERROR:
        return { said: "error", number: body[0], question: small ? readVarint(body, 1)[0] : null };
      default:
        throw new Error(`a frame of type ${type}`);
    }
  }

  answer(type, small, body) {
    let place = 0;
    let id = small;
    if (small === 7) [id, place] = readVarint(body, 0);
    let used, shared;
    [used, place] = readVarint(body, place);
    const confidence = body[place++] / 255;
    if (used & (1 << 13)) place++;
    [shared, place] = readVarint(body, place);
    const text = Buffer.concat([this.drafts.get(id).subarray(0, shared), body.subarray(place)]);
    this.drafts.set(id, text);
    return { said: type === TYPE.FINAL ? "final" : "draft", question: id, text: text.toString(), confidence, segments: used & 0x1fff };
  }
}

module.exports = { Device };
