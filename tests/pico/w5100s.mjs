// A W5100S on SPI from its data sheet (version 1.2.x; sections in parentheses) and, where that is
// silent, from other drivers: Zephyr's eth_w5100s.c and WIZnet's ioLibrary, w5100s.h. Common
// registers, socket 0 in MACRAW mode, the interrupt pin. It knows nothing of this project's driver;
// what the chip would not understand is noted in `errors`.
import { half } from './w5500.mjs';

const STABLE = 60.3e6; // ns from the end of a reset until the chip answers (7.4.1: reset timing)
const MAX_HZ = 70e6; // (7.4.3)
const BIT = 10; // ns at 100 Mbit/s
const OVERHEAD = 8 + 4 + 12; // bytes on the line beside a frame: preamble, FCS, gap
const MIN_FRAME = 60;
const MAX_FRAME = 1514;
const KB = 1024;
const SOCKETS = 4;
const [READ, WRITE] = [0x0f, 0xf0]; // the control phase of an SPI frame (6.1)
// Common registers (3.1, 4.1).
const [MR, GAR, SHAR, IR, IMR, RTR, RCR] = [0x00, 0x01, 0x09, 0x15, 0x16, 0x17, 0x19];
const [RMSR, TMSR, MR2, PHYSR0, NETLCKR, VERR] = [0x1a, 0x1b, 0x30, 0x3c, 0x71, 0x80];
const COMMON_END = 0x8f;
const MR_RST = 0x80;
const MR_RESET = 0x03; // AI and IND, always set on SPI (4.1: MR)
const IEN = 0x40; // of MR2: the interrupt pin (ioLibrary: MR2_G_IEN, 1 << 6)
const LINKED = 0x01;
const [NET_LOCK, NET_UNLOCK] = [0xc5, 0x3a];
// Registers of a socket, at 0x0400 + n * 0x0100 (3.2, 4.2).
const [S_MR, S_CR, S_IR, S_SR, S_RXBUF, S_TXBUF] = [0x00, 0x01, 0x02, 0x03, 0x1e, 0x1f];
const [TX_FSR, TX_RD, TX_WR, RX_RSR, RX_RD, RX_WR, S_IMR] = [0x20, 0x22, 0x24, 0x26, 0x28, 0x2a, 0x2c];
const [OPEN, CLOSE, SEND, RECV] = [0x01, 0x10, 0x20, 0x40];
const [IR_RECV, IR_SENDOK] = [0x04, 0x10];
const MF = 0x40; // of S_MR in MACRAW mode
const [S_MR2, MMBLK] = [0x2f, 0x20]; // (ioLibrary: Sn_MR2_MMBLK)
const MACRAW = 4;
const SOCK_MACRAW = 0x42;
// The buffers lie side by side in the address space, and do not wrap (ioLibrary, w5100s.c:
// wiz_send_data and wiz_recv_data cut a copy in two).
const [SOCKET_AT, TX_AT, RX_AT, MEMORY_END] = [0x0400, 0x4000, 0x6000, 0x8000];

export class W5100S {
  constructor(clock, { int, out, hz }) {
    Object.assign(this, { clock, int, out, hz });
    this.errors = [];
    this.count = { transactions: 0, bytes: 0, received: 0, sent: 0, dropped: 0 };
    this.deselected = true;
    this.inReset = false;
    this.sendAlarm = clock.createAlarm(() => this.#sent());
    this.#powerOn();
  }

  error(text) {
    if (this.errors.length < 50 && !this.errors.includes(text)) this.errors.push(text);
  }

  #powerOn() {
    this.#initialize();
    this.ready = this.clock.nanos + STABLE;
  }

  // What a reset by the pin or by MR does. How long the latter takes is not documented.
  #initialize() {
    this.common = new Uint8Array(COMMON_END + 1);
    this.common[MR] = MR_RESET;
    this.common[RTR] = 0x07;
    this.common[RTR + 1] = 0xd0;
    this.common[RCR] = 8;
    this.common[RMSR] = this.common[TMSR] = 0x55;
    this.common[MR2] = IEN;
    this.common[PHYSR0] = LINKED;
    this.common[VERR] = 0x51;
    this.locked = false;
    this.sockets = Array.from({ length: SOCKETS }, () => {
      const socket = new Uint8Array(0x100);
      socket[S_RXBUF] = socket[S_TXBUF] = 2;
      socket[S_IMR] = 0xff;
      return socket;
    });
    this.memory = new Uint8Array(MEMORY_END - TX_AT);
    this.rxSize = this.txSize = 2 * KB;
    this.status = 0;
    this.#pointers();
    this.phase = 0;
    this.ready = 0;
    this.#level();
  }

  #pointers() {
    this.rxWr = this.rxRd = this.rxFreed = 0;
    this.txRd = this.txWr = this.txEnd = 0;
    this.sending = false;
    this.sendAlarm.cancel();
  }

  #interrupts() {
    const [socket] = this.sockets;
    return this.common[IR] | (socket[S_IR] & socket[S_IMR] ? 1 : 0);
  }

  #level() {
    this.int(!(this.common[MR2] & IEN && this.#interrupts() & this.common[IMR]));
  }

  reset(level) {
    if (level && this.inReset) this.#powerOn();
    this.inReset = !level;
  }

  select(level) {
    if (!level && this.deselected) {
      this.phase = 0;
      this.count.transactions++;
      if (this.hz() > MAX_HZ) this.error(`SPI at ${this.hz() / 1e6} MHz`);
    } else if (level && !this.deselected && this.phase > 0 && this.phase < 3) {
      this.error(`an SPI frame of ${this.phase} bytes`);
    }
    this.deselected = level;
  }

  // Control phase, address phase, data phase (6.1); the address counts up.
  byte(value) {
    this.count.bytes++;
    if (this.deselected) {
      this.error('clocked without chip select');
      return 0;
    }
    if (this.inReset || this.clock.nanos < this.ready) return 0;
    switch (this.phase) {
      case 0:
        if (value !== READ && value !== WRITE) this.error(`a control phase of ${value}`);
        this.writing = value === WRITE;
        this.phase = 1;
        return 0;
      case 1:
        this.address = value << 8;
        this.phase = 2;
        return 1;
      case 2:
        this.address |= value;
        this.phase = 3;
        return 2;
    }
    const at = this.address;
    this.address = (at + 1) & 0xffff;
    if (at >= RX_AT && this.writing) this.error('a write to the receive buffer');
    if (at <= COMMON_END) return this.#common(at, value);
    if (at >= SOCKET_AT && at < SOCKET_AT + SOCKETS * 0x100) {
      return this.#socket((at - SOCKET_AT) >> 8, at & 0xff, value);
    }
    if (at < TX_AT || at >= MEMORY_END) {
      this.error(`address ${at}`);
      return 0;
    }
    if (this.writing) this.memory[at - TX_AT] = value;
    return this.memory[at - TX_AT];
  }

  #common(at, value) {
    if (!this.writing) return at === IR ? this.#interrupts() : this.common[at];
    if (at === MR && value & MR_RST) {
      this.#initialize();
      this.writing = false;
      this.phase = 3;
    } else if (at === MR) {
      this.common[MR] = value | MR_RESET;
    } else if (at === IR) {
      this.common[IR] &= ~value;
    } else if (at === NETLCKR) {
      if (value === NET_LOCK) this.locked = true;
      if (value === NET_UNLOCK) this.locked = false;
    } else if (at >= GAR && at < SHAR + 10 && this.locked) {
      this.error('addresses are written while they are locked');
    } else if (at === RMSR || at === TMSR) {
      // As on the W5100: two bits a socket, 1 KB shifted by them.
      this.common[at] = value;
      const register = at === RMSR ? S_RXBUF : S_TXBUF;
      this.sockets.forEach((socket, n) => (socket[register] = 1 << ((value >> (2 * n)) & 3)));
    } else if (at === VERR || at === PHYSR0) {
      this.error(`a write to common register ${at}`);
    } else {
      this.common[at] = value;
    }
    this.#level();
    return 0;
  }

  #socket(n, at, value) {
    const socket = this.sockets[n];
    if (this.writing) {
      if (at === S_CR) this.#command(n, value);
      else if (at === S_IR) socket[S_IR] &= ~value;
      else if (n === 0 && (at & ~1) === TX_WR) this.txWr = half(this.txWr, at, value);
      else if (n === 0 && (at & ~1) === RX_RD) this.rxRd = half(this.rxRd, at, value);
      else socket[at] = value;
      this.#level();
      return 0;
    }
    if (n) return socket[at];
    if (at === S_SR) return this.status;
    const word = {
      [TX_FSR]: this.txSize - ((this.txEnd - this.txRd) & 0xffff),
      [TX_RD]: this.txRd,
      [TX_WR]: this.txWr,
      [RX_RSR]: (this.rxWr - this.rxFreed) & 0xffff,
      [RX_RD]: this.rxRd,
      [RX_WR]: this.rxWr,
    }[at & ~1];
    if (word === undefined) return socket[at];
    return at & 1 ? word & 0xff : word >> 8;
  }

  #command(n, command) {
    const [socket] = this.sockets;
    if (n) {
      if (command !== CLOSE) this.error(`command ${command} to socket ${n}`);
    } else if (command === OPEN) {
      if ((socket[S_MR] & 15) !== MACRAW) return this.error('OPEN in a mode that is not modelled');
      for (const register of [S_RXBUF, S_TXBUF]) {
        const total = this.sockets.reduce((sum, each) => sum + each[register], 0);
        if (total > 8) this.error(`buffers of ${total} KB in all`);
      }
      this.rxSize = socket[S_RXBUF] * KB;
      this.txSize = socket[S_TXBUF] * KB;
      this.status = SOCK_MACRAW;
      this.#pointers();
    } else if (command === CLOSE) {
      this.status = 0;
      this.#pointers();
    } else if (command === SEND) {
      const length = (this.txWr - this.txRd) & 0xffff;
      if (this.sending) return this.error('SEND before SENDOK');
      if (this.status !== SOCK_MACRAW) return this.error('SEND on a closed socket');
      if (length < 14 || length > MAX_FRAME) return this.error(`SEND of ${length} bytes`);
      this.txEnd = this.txWr;
      this.sending = true;
      this.sendAlarm.schedule((Math.max(length, MIN_FRAME) + OVERHEAD) * 8 * BIT);
    } else if (command === RECV) {
      this.rxFreed = this.rxRd;
      if (this.rxFreed !== this.rxWr) socket[S_IR] |= IR_RECV;
    } else {
      this.error(`command ${command}`);
    }
  }

  #sent() {
    const length = (this.txEnd - this.txRd) & 0xffff;
    const frame = new Uint8Array(Math.max(MIN_FRAME, length)); // the MAC pads
    for (let i = 0; i < length; i++) frame[i] = this.memory[(this.txRd + i) % this.txSize];
    this.txRd = this.txEnd;
    this.sending = false;
    this.sockets[0][S_IR] |= IR_SENDOK;
    this.count.sent++;
    this.#level();
    this.out(frame);
  }

  // A frame from the line, without its FCS; whether the chip has taken it.
  inject(frame) {
    const own = this.common.subarray(SHAR, SHAR + 6).every((byte, i) => byte === frame[i]);
    const broadcast = frame.subarray(0, 6).every((byte) => byte === 0xff);
    if (this.status !== SOCK_MACRAW) return false;
    const group = frame[0] & 1 && !broadcast;
    if (group && this.sockets[0][S_MR2] & MMBLK) return false;
    if (this.sockets[0][S_MR] & MF && !own && !broadcast && !group) return false; // as W5500's MFEN
    const length = Math.max(MIN_FRAME, frame.length) + 2;
    if (length > this.rxSize - ((this.rxWr - this.rxFreed) & 0xffff)) {
      this.count.dropped++;
      return false;
    }
    const put = (byte) => {
      this.memory[RX_AT - TX_AT + (this.rxWr % this.rxSize)] = byte;
      this.rxWr = (this.rxWr + 1) & 0xffff;
    };
    put(length >> 8);
    put(length & 0xff);
    for (let i = 0; i < length - 2; i++) put(frame[i] ?? 0);
    this.sockets[0][S_IR] |= IR_RECV;
    this.count.received++;
    this.#level();
    return true;
  }
}
