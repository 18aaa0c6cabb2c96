// A W5500 from its data sheet (version 1.0.9; sections in parentheses): SPI frames, the common
// registers, socket 0 in MACRAW mode, the interrupt pin. It knows nothing of this project's driver,
// and what the data sheet does not allow is noted in `errors`.
const PLL_LOCK = 1e6; // ns from the end of a reset until the chip answers (5.5.1)
const MAX_HZ = 33.3e6; // the guaranteed clock of SPI (5.5.4, note 1)
const BIT = 10; // ns at 100 Mbit/s
const OVERHEAD = 8 + 4 + 12; // bytes on the line beside a frame: preamble, FCS, gap
const MIN_FRAME = 60;
const MAX_FRAME = 1514; // (4.2, Sn_TX_WR; 2.4)
const KB = 1024;
const SOCKETS = 8;
// Common registers (4.1).
const [MR, SHAR, IR, IMR, SIR, SIMR, RTR, RCR] = [0x00, 0x09, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1b];
const [PHYCFGR, VERSIONR] = [0x2e, 0x39];
const MR_RST = 0x80;
const LINKED = 0xbf; // full duplex, 100 Mbit/s, link up, PHY not in reset
// Registers of a socket (4.2).
const [S_MR, S_CR, S_IR, S_SR, S_RXBUF, S_TXBUF] = [0x00, 0x01, 0x02, 0x03, 0x1e, 0x1f];
const [TX_FSR, TX_RD, TX_WR, RX_RSR, RX_RD, RX_WR, S_IMR] = [0x20, 0x22, 0x24, 0x26, 0x28, 0x2a, 0x2c];
const S_END = 0x2f;
const [OPEN, CLOSE, SEND, RECV] = [0x01, 0x10, 0x20, 0x40];
const [IR_RECV, IR_SENDOK] = [0x04, 0x10];
const [MF, BCASTB, MMB, MIP6B] = [0x80, 0x40, 0x20, 0x10]; // of S_MR in MACRAW mode
const MACRAW = 4;
const SOCK_MACRAW = 0x42;

export class W5500 {
  // `int(level)` drives the INT pin, `out(frame)` takes what is sent, `hz()` is the clock of SPI.
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
    this.ready = this.clock.nanos + PLL_LOCK;
  }

  // What a reset by the pin or by MR does. How long the latter takes is not documented.
  #initialize() {
    this.common = new Uint8Array(VERSIONR + 1);
    this.common[RTR] = 0x07;
    this.common[RTR + 1] = 0xd0;
    this.common[RCR] = 8;
    this.common[PHYCFGR] = LINKED;
    this.common[VERSIONR] = 4;
    this.sockets = Array.from({ length: SOCKETS }, () => {
      const socket = new Uint8Array(S_END + 1);
      socket[S_RXBUF] = socket[S_TXBUF] = 2;
      socket[S_IMR] = 0xff;
      return socket;
    });
    this.rx = new Uint8Array(2 * KB);
    this.tx = new Uint8Array(2 * KB);
    this.status = 0;
    this.#pointers();
    this.phase = 0;
    this.ready = 0;
    this.#level();
  }

  #pointers() {
    // 16 bits each, wherever they are in their buffers. RX_RD and TX_WR are what the host has
    // written; RECV and SEND make the chip look at them (4.2: Sn_CR).
    this.rxWr = this.rxRd = this.rxFreed = 0;
    this.txRd = this.txWr = this.txEnd = 0;
    this.sending = false;
    this.sendAlarm.cancel();
  }

  #level() {
    // INTn is low while an interrupt that is not masked is pending (4.1: IR, SIR, SIMR).
    const socket = this.#pending() & this.common[SIMR];
    this.int(!(socket || this.common[IR] & this.common[IMR]));
  }

  #pending() {
    const [socket] = this.sockets;
    return socket[S_IR] & socket[S_IMR] ? 1 : 0;
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

  // A byte each way. Address phase, control phase, data phase (2.2); the address counts up.
  byte(value) {
    this.count.bytes++;
    if (this.deselected) {
      this.error('clocked without chip select');
      return 0;
    }
    if (this.inReset || this.clock.nanos < this.ready) return 0;
    switch (this.phase) {
      case 0:
        this.address = value << 8;
        this.phase = 1;
        return 1; // what MISO shows meanwhile (2.3.3: 0x01, 0x02, 0x03)
      case 1:
        this.address |= value;
        this.phase = 2;
        return 2;
      case 2:
        this.block = value >> 3;
        this.writing = (value >> 2) & 1;
        if (value & 3) this.error('fixed length mode on a bus with chip select');
        this.phase = 3;
        return 3;
    }
    const at = this.address;
    this.address = (at + 1) & 0xffff;
    return this.#access(at, value);
  }

  #access(at, value) {
    const { block, writing } = this;
    const kind = block & 3;
    const n = block >> 2;
    if (block === 0) return writing ? this.#writeCommon(at, value) : this.#readCommon(at);
    if (kind === 1) return writing ? this.#writeSocket(n, at, value) : this.#readSocket(n, at);
    if (kind === 0 || n) {
      this.error(`block ${block}`);
    } else if (kind === 2) {
      const place = at % this.tx.length; // (2.2.2: the chip wraps)
      if (!writing) return this.tx[place];
      this.tx[place] = value;
    } else if (!writing) {
      return this.rx[at % this.rx.length];
    } else {
      this.error('a write to the receive buffer');
    }
    return 0;
  }

  #readCommon(at) {
    if (at > VERSIONR) this.error(`common register ${at}`);
    return (at === SIR ? this.#pending() : this.common[at]) ?? 0;
  }

  #writeCommon(at, value) {
    if (at === MR && value & MR_RST) {
      this.#initialize();
      this.phase = 3;
    } else if (at === IR) {
      this.common[at] &= ~value;
    } else if (at < VERSIONR && at !== SIR) {
      this.common[at] = value;
    } else {
      this.error(`a write to common register ${at}`);
    }
    this.#level();
    return 0;
  }

  #readSocket(n, at) {
    const socket = this.sockets[n];
    if (at > S_END) {
      this.error(`socket register ${at}`);
      return 0;
    }
    if (n) return socket[at];
    if (at === S_SR) return this.status;
    const word = {
      [TX_FSR]: this.tx.length - ((this.txEnd - this.txRd) & 0xffff),
      [TX_RD]: this.txRd,
      [TX_WR]: this.txWr,
      [RX_RSR]: (this.rxWr - this.rxFreed) & 0xffff,
      [RX_RD]: this.rxRd,
      [RX_WR]: this.rxWr,
    }[at & ~1];
    if (word === undefined) return socket[at];
    return at & 1 ? word & 0xff : word >> 8;
  }

  #writeSocket(n, at, value) {
    const socket = this.sockets[n];
    if (at > S_END) {
      this.error(`a write to socket register ${at}`);
    } else if (at === S_CR) {
      this.#command(n, value);
    } else if (at === S_IR) {
      socket[S_IR] &= ~value;
    } else if (n === 0 && (at & ~1) === TX_WR) {
      this.txWr = half(this.txWr, at, value);
    } else if (n === 0 && (at & ~1) === RX_RD) {
      this.rxRd = half(this.rxRd, at, value);
    } else {
      socket[at] = value;
    }
    this.#level();
    return 0;
  }

  // (4.2: Sn_CR). The register reads 0 as soon as the command has been accepted.
  #command(n, command) {
    const [socket] = this.sockets;
    if (n) {
      if (command !== CLOSE) this.error(`command ${command} to socket ${n}`);
    } else if (command === OPEN) {
      if ((socket[S_MR] & 15) !== MACRAW) return this.error('OPEN in a mode that is not modelled');
      for (const register of [S_RXBUF, S_TXBUF]) {
        const total = this.sockets.reduce((sum, each) => sum + each[register], 0);
        if (total > 16) this.error(`buffers of ${total} KB in all`); // (3.3)
      }
      this.rx = new Uint8Array(socket[S_RXBUF] * KB);
      this.tx = new Uint8Array(socket[S_TXBUF] * KB);
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
    for (let i = 0; i < length; i++) frame[i] = this.tx[(this.txRd + i) % this.tx.length];
    this.txRd = this.txEnd;
    this.sending = false;
    this.sockets[0][S_IR] |= IR_SENDOK;
    this.count.sent++;
    this.#level();
    this.out(frame);
  }

  // A frame from the line, without its FCS; whether the chip has taken it.
  inject(frame) {
    if (this.status !== SOCK_MACRAW || !this.#wanted(frame)) return false;
    const length = Math.max(MIN_FRAME, frame.length) + 2;
    const room = this.rx.length - ((this.rxWr - this.rxFreed) & 0xffff);
    if (length > room) {
      this.count.dropped++;
      return false;
    }
    // In MACRAW mode a frame lies behind its length, which counts itself (Wiznet's ioLibrary,
    // socket.c, recvfrom: head[0..1], less 2).
    const put = (byte) => {
      this.rx[this.rxWr % this.rx.length] = byte;
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

  // (4.2: Sn_MR in MACRAW mode)
  #wanted(frame) {
    const mode = this.sockets[0][S_MR];
    const own = this.common.subarray(SHAR, SHAR + 6).every((byte, i) => byte === frame[i]);
    const broadcast = frame.subarray(0, 6).every((byte) => byte === 0xff);
    if (mode & MIP6B && frame[12] === 0x86 && frame[13] === 0xdd) return false;
    if (broadcast) return !(mode & BCASTB);
    if (frame[0] & 1) return !(mode & MMB);
    // MFEN: only what is broadcast or for itself, and groups. The data sheet does not say the last,
    // but with MFEN set mDNS works (ESP-IDF, issue 10359) and groups arrive (Zephyr, issue 118897).
    return own || !(mode & MF);
  }
}

export function half(word, at, value) {
  return at & 1 ? (word & 0xff00) | value : (value << 8) | (word & 0xff);
}
