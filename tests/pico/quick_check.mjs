// Whether quick.mjs does what rp2040js does: each opcode of 16 bits, and BL, in many states, on a core
// of each. Prints what differs, and `same`.
import { ConsoleLogger, LogLevel, Simulator } from 'rp2040js';
import { quicken } from './quick.mjs';

const [RAM, FLASH, SIZE] = [0x20000000, 0x10000000, 4096];
const STATES = 8;
let seed = 1;
function random() {
  seed = (Math.imul(seed, 1664525) + 1013904223) | 0;
  return seed >>> 0;
}
// What makes borders: sums, signs, addresses of memory and of peripherals.
const VALUES = [0, 1, 2, 3, 31, 32, 33, 255, 0x7fffffff, 0x80000000, 0x80000001, 0xfffffffe, 0xffffffff];
function word() {
  switch (random() >>> 30) {
    case 0:
      return VALUES[(random() >>> 8) % VALUES.length];
    case 1:
      return RAM + ((random() >>> 8) % SIZE);
    case 2:
      return (random() >>> 20) + [RAM + 264 * 1024 - 2048, FLASH, FLASH + (16 << 20) - 2048, RAM - 2048][random() >>> 30];
    default:
      return random();
  }
}

function machine(quick) {
  const { rp2040 } = new Simulator();
  rp2040.logger = new ConsoleLogger(LogLevel.Error, false);
  rp2040.logger.error = rp2040.logger.warn = () => {};
  rp2040.onBreak = () => {};
  if (quick) quicken(rp2040);
  return rp2040;
}
const [ours, theirs] = [machine(true), machine(false)];
const NAMES = ['N', 'Z', 'C', 'V', 'PM', 'IPSR', 'waiting', 'cycles', 'bankedSP'];
let wrong = 0;

function compare(code, at) {
  for (const register of theirs.core.registers.keys()) {
    const value = word();
    for (const { core } of [ours, theirs]) core.registers[register] = value;
  }
  const values = NAMES.map((name) => (name < 'a' && name.length === 1 ? !!(random() >>> 31) : null));
  const fill = Uint8Array.from({ length: 64 }, () => random() >>> 24);
  for (const rp2040 of [ours, theirs]) {
    const { core } = rp2040;
    values.forEach((value, n) => value !== null && (core[NAMES[n]] = value));
    core.registers[15] = at;
    core.registers[13] &= ~3;
    core.PM = core.waiting = core.pendingSVCall = core.interruptsUpdated = false;
    core.eventRegistered = false;
    const memory = at >= RAM ? rp2040.sramView : rp2040.flashView;
    code.forEach((half, n) => memory.setUint16((at & 0xffffff) + 2 * n, half, true));
    rp2040.sram.set(fill);
  }
  const before = [...theirs.core.registers];
  let results;
  try {
    results = [ours, theirs].map(({ core }) => core.executeInstruction());
  } catch (error) {
    results = [0, `${error}`];
  }
  const differs = NAMES.filter((name) => ours.core[name] !== theirs.core[name]);
  for (let n = 0; n < 16; n++) {
    if (ours.core.registers[n] !== theirs.core.registers[n]) differs.push(`r${n}`);
  }
  if (results[0] !== results[1]) differs.push(`cycles ${results}`);
  if (differs.length && wrong++ < 20) {
    console.log(code.map((half) => half.toString(16)), differs.join(), before.map((v) => v.toString(16)).join());
  }
}

// Peripherals of both have to remain alike, and most of what random addresses do there is no use.
for (const rp2040 of [ours, theirs]) {
  rp2040.findPeripheral = () => undefined;
  for (const part of [rp2040.sio, rp2040.ppb, rp2040.usbCtrl]) {
    part.readUint32 = (offset) => (offset * 40503) >>> 0;
    part.writeUint32 = part.DPRAMUpdated = () => {};
  }
}
for (let op = 0; op < 0x10000; op++) {
  for (let n = 0; n < STATES; n++) compare([op, random() >>> 16], n & 1 ? FLASH + 0x1000 : RAM + 0x20000);
}
for (let n = 0; n < 20000; n++) {
  compare([0xf000 | (random() >>> 21), 0xd000 | (random() >>> 16)], FLASH + 0x2000 + 2 * (n & 7));
}
if (Buffer.compare(ours.sram, theirs.sram)) console.log(`memory differs ${wrong++}`);
console.log(wrong ? `${wrong} differ` : 'same');
