// What rp2040js 1.4.1 lacks for a Pico that runs as long as its user likes, beside programs that
// live in real time. Nothing here knows of this project; each part takes an RP2040 of rp2040js:
//
//   FlashRoutines   programming of the flash: the SSI of rp2040js only reads
//   Pacer           a run loop whose time does not run ahead of the wall clock while the core sleeps
//   SerialHost      the host's side of the USB serial line: a read that waits for data is kept
//                   open, and a device that leaves the bus and returns is enumerated again
import { USBCDC } from 'rp2040js';

// The boot ROM's functions for the flash (RP2040 data sheet, section 2.8.3.1.3) done here, where the
// program counter reaches their addresses. They are looked up as the SDK does it (2.8.3): the
// half-word at 0x14 names a table of pairs, a code of two characters and an address.
export class FlashRoutines {
  // How long the flash is busy: W25Q16JV's typical figures for a sector and a page (section 9.6),
  // in nanoseconds of the machine's time.
  static SECTOR = { size: 4096, busy: 45e6 };
  static PAGE = { size: 256, busy: 0.4e6 };

  constructor(rp2040, clock) {
    this.rp2040 = rp2040;
    this.clock = clock;
    this.writes = 0;
    this.busy = 0; // ns of the last call
    const table = this.#table(new DataView(rp2040.bootrom.buffer));
    this.routines = new Map([
      [table.get('RE'), () => this.#erase()],
      [table.get('RP'), () => this.#program()],
    ]);
    // connect_internal_flash, exit_xip, flush_cache, enter_cmd_xip: there is nothing to do.
    for (const code of ['IF', 'EX', 'FC', 'CX']) this.routines.set(table.get(code), () => {});
    this.highest = Math.max(...this.routines.keys());
  }

  #table(rom) {
    const found = new Map();
    for (let at = rom.getUint16(0x14, true); rom.getUint16(at, true); at += 4) {
      const code = String.fromCharCode(rom.getUint8(at), rom.getUint8(at + 1));
      found.set(code, rom.getUint16(at + 2, true) & ~1);
    }
    return found;
  }

  // To be called before each instruction while the program counter is at most `highest`; true if a
  // routine has been done instead of it.
  step() {
    const { core } = this.rp2040;
    const routine = this.routines.get(core.PC);
    if (!routine) return false;
    this.busy = 0;
    routine();
    core.PC = core.LR & ~1;
    return true;
  }

  #erase() {
    const [offset, size] = this.rp2040.core.registers;
    this.rp2040.flash.fill(0xff, offset, offset + size);
    this.#busy(size, FlashRoutines.SECTOR);
  }

  #program() {
    const [offset, source, size] = this.rp2040.core.registers;
    for (let i = 0; i < size; i++) {
      this.rp2040.flash[offset + i] &= this.rp2040.readUint8(source + i); // bits only fall
    }
    this.#busy(size, FlashRoutines.PAGE);
  }

  #busy(size, unit) {
    this.writes++;
    this.busy = (size / unit.size) * unit.busy;
    this.clock.tick(this.busy);
  }
}

// Runs the core. While it sleeps, time passes as on the wall; `wake` ends that early, for events
// from outside. Where the emulation is slower than the chip its time lags, and what was lost is
// not made up for.
export class Pacer {
  static CYCLE = 1e9 / 125e6;
  static BATCH = 100000; // instructions between two looks at the world outside
  static LAG = 20e6; // ns that may be made up for
  static NAP = 100e6; // ns after which a core that waits looks again, as WFE and WFI may do (ARMv6-M
  // Architecture Reference Manual, B1.5.17, B1.5.18)

  // `outside` is called between batches. `free`: nobody lives outside, and time need not wait for
  // the wall clock.
  constructor(rp2040, clock, flash, outside, free = false) {
    Object.assign(this, { rp2040, clock, flash, outside, free });
    this.instructions = 0;
    this.asleep = 0; // ns of the machine's time in which none ran
    this.busy = 0; // ns of the wall clock in which instructions ran
    this.offset = 0; // the wall clock when the machine's time was 0
    this.timer = null;
    this.began = process.hrtime.bigint();
  }

  wall() {
    return Number(process.hrtime.bigint() - this.began);
  }

  start() {
    setImmediate(() => this.#run());
  }

  // What came from outside has to be seen now, not when the next alarm is due.
  wake() {
    if (this.timer === null) return;
    clearTimeout(this.timer);
    this.timer = null;
    this.#sleep(Math.max(0, this.wall() - this.offset - this.clock.nanos));
    setImmediate(() => this.#run());
  }

  #untilAlarm() {
    return this.clock.nextAlarm ? this.clock.nanosToNextAlarm : 1e6;
  }

  #sleep(nanos) {
    if (this.rp2040.core.waiting) this.#pass(Math.min(nanos, this.#untilAlarm()));
  }

  #pass(nanos) {
    this.asleep += nanos;
    this.clock.tick(nanos);
  }

  #run() {
    const { clock, flash } = this;
    const { core } = this.rp2040;
    const start = this.wall();
    if (start - this.offset - clock.nanos > Pacer.LAG) {
      this.offset = start - clock.nanos - Pacer.LAG;
    }
    this.outside();
    let n = 0;
    let pause = 0;
    while (n < Pacer.BATCH) {
      if (core.waiting) {
        const next = this.#untilAlarm();
        if (!this.free) pause = clock.nanos + next - (this.wall() - this.offset);
        if (pause > 0) break;
        this.#pass(next);
        n++;
      } else if (core.PC <= flash.highest && flash.step()) {
        this.offset -= flash.busy; // on the wall that time does not pass
        n++;
      } else {
        clock.tick(core.executeInstruction() * Pacer.CYCLE);
        n++;
      }
    }
    this.instructions += n;
    this.busy += this.wall() - start;
    this.outside();
    if (pause > 0 && core.waiting) {
      const nap = Math.min(pause, Pacer.NAP);
      this.timer = setTimeout(() => {
        this.timer = null;
        this.#sleep(Math.max(0, this.#untilAlarm() - pause + nap)); // it may be ahead
        if (nap < pause) core.waiting = false;
        this.#run();
      }, Math.ceil(nap / 1e6));
    } else {
      setImmediate(() => this.#run());
    }
  }
}

const SIE_CTRL = 0x4c; // RP2040 data sheet, section 4.1.4
const PULLUP_EN = 1 << 16;
const PACKET = 64;

export class SerialHost extends USBCDC {
  constructor(usb) {
    super(usb);
    this.queue = [];
    this.wanted = 0; // bytes that the device's open read may take; 0: none is open
    const read = usb.onEndpointRead;
    usb.onEndpointRead = (endpoint, size) => {
      if (endpoint !== this.outEndpoint) return read(endpoint, size);
      // USBCDC answers with nothing where there is nothing, and is not asked again. On a bus there
      // would be no OUT token yet.
      this.wanted = size;
      this.#feed();
    };
    // A device leaves the bus by taking its pull-up off; on its return a host begins anew.
    let present = false;
    const write = usb.writeUint32.bind(usb);
    usb.writeUint32 = (offset, value) => {
      write(offset, value);
      if (offset !== SIE_CTRL) return;
      const pulled = !!(value & PULLUP_EN);
      if (pulled && !present && this.descriptorsSize !== null) {
        this.descriptorsSize = null;
        this.descriptors = [];
        this.initialized = false;
        this.wanted = 0;
        usb.resetDevice();
      }
      present = pulled;
    };
  }

  write(bytes) {
    for (const byte of bytes) this.queue.push(byte);
    this.#feed();
  }

  #feed() {
    if (!this.wanted || !this.queue.length) return;
    const size = Math.min(this.wanted, this.queue.length, PACKET);
    this.wanted = 0;
    this.usb.endpointReadDone(this.outEndpoint, Uint8Array.from(this.queue.splice(0, size)));
  }
}
