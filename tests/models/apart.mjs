// A chip of tests/pico, by itself: its wires and its time are driven by lines of JSON from apart.py,
// each answered by one.
//
//   node apart.mjs w5500|w5100s|enc28j60
import fs from 'node:fs';
import { ENC28J60 } from '../pico/enc28j60.mjs';
import { W5100S } from '../pico/w5100s.mjs';
import { W5500 } from '../pico/w5500.mjs';

const CHIPS = { w5500: W5500, w5100s: W5100S, enc28j60: ENC28J60 };
let now = 0;
let interrupt = 1;
let sent = [];
const alarms = [];
const clock = {
  get nanos() {
    return now;
  },
  createAlarm(callback) {
    const alarm = {
      at: null,
      schedule(ns) {
        this.at = now + ns;
      },
      cancel() {
        this.at = null;
      },
      settle() {
        if (this.at === null || now < this.at) return;
        this.at = null;
        callback();
      },
    };
    alarms.push(alarm);
    return alarm;
  },
};
const chip = new CHIPS[process.argv[2]](clock, {
  int: (level) => (interrupt = level ? 1 : 0),
  out: (frame) => sent.push(Buffer.from(frame).toString('hex')),
  hz: () => 20e6,
});

function pass(until) {
  now = until;
  for (const alarm of alarms) alarm.settle();
}

function answer({ time, cs, rst, bytes, byteNs, frame }) {
  pass(time);
  if (rst !== undefined) chip.reset(!!rst);
  if (cs !== undefined) chip.select(!!cs);
  const read = [...Buffer.from(bytes ?? '', 'hex')].map((value) => {
    const byte = chip.byte(value);
    pass(now + byteNs);
    return byte;
  });
  const kept = frame === undefined ? false : chip.inject(Uint8Array.from(Buffer.from(frame, 'hex')));
  const said = { time: now, interrupt, sent, kept, read: Buffer.from(read).toString('hex') };
  sent = [];
  return { ...said, errors: chip.errors };
}

const buffer = Buffer.alloc(1 << 16);
let text = '';
for (;;) {
  let n;
  try {
    n = fs.readSync(0, buffer, 0, buffer.length);
  } catch (error) {
    if (error.code === 'EAGAIN') continue;
    throw error;
  }
  if (!n) break;
  text += buffer.toString('latin1', 0, n);
  for (let end; (end = text.indexOf('\n')) >= 0; text = text.slice(end + 1)) {
    fs.writeSync(1, JSON.stringify(answer(JSON.parse(text.slice(0, end)))) + '\n');
  }
}
