// A Raspberry Pi Pico in rp2040js with an Ethernet chip on SPI 0, as WIZnet's boards have it: chip
// select GP17, reset GP20, interrupt GP21. The chip w55rp20 is a W5500 on the pins of a W55RP20,
// which lead to no SPI.
//
//   node pico.mjs SETTINGS
//
// SETTINGS is JSON: `firmware`, a .bin file; `bootrom`, a JSON file with its words; `chip`, w5500,
// w5100s, enc28j60, w55rp20 or none; `console` and `tap`, open file descriptors; `flash`, an image of it;
// `plan`, what a peer in the emulator's time is to do instead of a tap (peer.mjs), whose results are
// a line of JSON as soon as they are there; `profile`: with them, for each address, how many cycles
// the core has spent there while the bus did nothing.
// On its standard output it says `ready` when the USB serial line is there. Each line of its input
// is answered by a line: `stats` by JSON; `flash FILE` writes the flash to FILE. It ends with its
// input.
import fs from 'node:fs';
import readline from 'node:readline';
import { LogLevel, ConsoleLogger, Simulator } from 'rp2040js';
import { Bits } from './bits.mjs';
import { ENC28J60 } from './enc28j60.mjs';
import { FlashRoutines, Pacer, SerialHost } from './gaps.mjs';
import { Meter, Peer } from './peer.mjs';
import { quicken } from './quick.mjs';
import { W5100S } from './w5100s.mjs';
import { W5500 } from './w5500.mjs';

const CHIPS = { w5500: W5500, w5100s: W5100S, enc28j60: ENC28J60, w55rp20: W5500 };
const FLASH_SIZE = 2 << 20;
const FLASH_START = 0x10000000;
const settings = JSON.parse(process.argv[2]);
const W55RP20 = settings.chip === 'w55rp20';
const [CS, RST, INT] = W55RP20 ? [20, 25, 24] : [17, 20, 21];

const { rp2040: mcu, clock } = new Simulator();
mcu.logger = new ConsoleLogger(LogLevel.Error);
mcu.loadBootrom(Uint32Array.from(JSON.parse(fs.readFileSync(settings.bootrom))));
if (settings.flash) mcu.flash.set(fs.readFileSync(settings.flash));
mcu.flash.set(fs.readFileSync(settings.firmware));
quicken(mcu);
const flash = new FlashRoutines(mcu, clock);
const pacer = new Pacer(mcu, clock, flash, exchange, !!settings.plan);

// The chip.
const spi = mcu.spi[0];
let chip = null;
// A level that is told again is another edge to rp2040js.
let level = null;
function drive(value) {
  if (value !== level) mcu.gpio[INT].setInputValue(value);
  level = value;
}
if (settings.chip in CHIPS) {
  chip = new CHIPS[settings.chip](clock, {
    int: drive,
    out: transmit,
    hz: () => (W55RP20 ? 0 : spi.clockFrequency),
  });
  const follow = (pin, tell) => {
    mcu.gpio[pin].addListener((state) => {
      if (state < 2) tell(!!state); // low or high, not an input
    });
  };
  follow(CS, (level) => chip.select(level));
  follow(RST, (level) => chip.reset(level));
  if (W55RP20) new Bits(mcu.gpio, { cs: CS, sck: 21, mosi: 23, miso: 22 }, chip);
  let reply = 0;
  const done = clock.createAlarm(() => spi.completeTransmit(reply));
  spi.onTransmit = (value) => {
    reply = chip.byte(value);
    done.schedule(8e9 / spi.clockFrequency);
  };
}

// The peer.
let peer = null;
if (settings.plan) {
  const meter = new Meter(clock, pacer, chip, () => spi.clockFrequency);
  if (settings.profile) meter.watch(mcu.core, spi);
  peer = new Peer(clock, { chip, meter, bit: settings.chip === 'enc28j60' ? 100 : 10 });
  peer.run(settings.plan, (results) => console.log(JSON.stringify({ ...statistics(), results })));
}

// The tap: what came waits until the emulation looks.
const arrived = [];
function transmit(frame) {
  if (peer) return peer.receive(frame);
  if (settings.tap === undefined) return;
  try {
    fs.writeSync(settings.tap, frame);
  } catch (error) {
    chip.error(`the tap: ${error.code}`);
  }
}

// The console.
const serial = new SerialHost(mcu.usbCtrl);
let printed = [];
let connections = 0;
serial.onDeviceConnected = () => {
  connections++;
  console.log('ready');
};
serial.onSerialData = (data) => printed.push(Buffer.from(data));

function exchange() {
  while (arrived.length) chip?.inject(arrived.shift());
  if (!printed.length) return;
  let text = Buffer.concat(printed);
  printed = [];
  try {
    while (text.length) text = text.subarray(fs.writeSync(settings.console, text));
  } catch (error) {
    if (error.code !== 'EAGAIN') throw error;
    printed.push(text.subarray(-65536)); // until somebody reads
    setTimeout(exchange, 5); // a board that sleeps does not come by again
  }
}

function readAlways(fd, size, take) {
  const buffer = Buffer.alloc(size);
  let empty = 0; // reads that found nothing
  const next = () =>
    fs.read(fd, buffer, 0, size, null, (error, n) => {
      if (error && error.code !== 'EAGAIN') throw error;
      empty = n ? 0 : empty + 1;
      if (n) {
        take(Uint8Array.from(buffer.subarray(0, n)));
        pacer.wake();
      }
      // EAGAIN: the console does not block, so that printing can not hang the board. In a dialog the
      // next piece comes soon.
      if (error) setTimeout(next, empty < 50 ? 1 : 5);
      else next();
    });
  next();
}
if (!peer) readAlways(settings.console, 4096, (bytes) => serial.write(bytes));
if (settings.tap !== undefined) readAlways(settings.tap, 2048, (frame) => arrived.push(frame));

// What the parent asks.
function statistics() {
  return {
    emulated: clock.nanos / 1e9,
    wall: pacer.wall() / 1e9,
    busy: pacer.busy / 1e9,
    instructions: pacer.instructions,
    spi_hz: spi.clockFrequency,
    flash_writes: flash.writes,
    connections,
    ...chip?.count,
    errors: chip?.errors ?? [],
  };
}
const lines = readline.createInterface({ input: process.stdin });
lines.on('line', (line) => {
  const [word, file] = line.split(' ');
  if (word === 'flash') fs.writeFileSync(file, mcu.flash.subarray(0, FLASH_SIZE));
  console.log(JSON.stringify(word === 'stats' ? statistics() : {}));
});
// A read of a tap or a pty that waits for data keeps process.exit() from ending.
lines.on('close', () => process.kill(process.pid, 'SIGKILL'));

mcu.core.PC = FLASH_START;
pacer.start();
