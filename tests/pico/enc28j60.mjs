// An ENC28J60 from its data sheet (DS39662E; sections in parentheses) and its errata (DS80349C):
// the SPI instructions, registers in four banks, the buffer, receive and transmit logic, PHY, the
// interrupt pin; silicon revision B7. It knows nothing of this project's driver; what the data sheet
// forbids is noted in `errors`.
const MAX_HZ = 20e6; // (16.0, table 16-6)
const BIT = 100; // ns at 10 Mbit/s
const OVERHEAD = 8 + 4 + 12; // bytes on the line beside a frame: preamble, FCS, gap
const MII_BUSY = 10.24e3; // ns (3.3.1)
const RESET_TIME = 300e3; // ns until the oscillator is stable (2.2: OST; errata 2: wait 1 ms)
const CS_HOLD = 210; // ns after an access to a MAC or MII register (16.0, parameter 6)
const SIZE = 0x2000;
const MIN_FRAME = 60;
const CRC = 4;

// Registers as bank << 5 | address (3.0, table 3-1); from 0x1B on all banks have the same.
const reg = (bank, address) => (bank << 5) | address;
const [EIE, EIR, ESTAT, ECON2, ECON1] = [0x1b, 0x1c, 0x1d, 0x1e, 0x1f];
const [ERDPT, EWRPT, ETXST, ETXND] = [0x00, 0x02, 0x04, 0x06];
const [ERXST, ERXND, ERXRDPT, ERXWRPT] = [0x08, 0x0a, 0x0c, 0x0e];
const [ERXFCON, EPKTCNT] = [reg(1, 0x18), reg(1, 0x19)];
const [MACON1, MACON3, MAMXFL] = [reg(2, 0x00), reg(2, 0x02), reg(2, 0x0a)];
const [MACLCON1, MACLCON2] = [reg(2, 0x08), reg(2, 0x09)];
const [MICMD, MIREGADR, MIWR, MIRD] = [reg(2, 0x12), reg(2, 0x14), reg(2, 0x16), reg(2, 0x18)];
const [MISTAT, EREVID] = [reg(3, 0x0a), reg(3, 0x12)];
const MAADR = [4, 5, 2, 3, 0, 1].map((address) => reg(3, address)); // MAADR1 is the first octet
const [INTIE, PKTIF, LINKIF, TXIF, TXERIF, RXERIF] = [0x80, 0x40, 0x10, 0x08, 0x02, 0x01];
const [TXABRT, CLKRDY] = [0x02, 0x01]; // of ESTAT
const [AUTOINC, PKTDEC] = [0x80, 0x40]; // of ECON2
const [TXRST, RXRST, TXRTS, RXEN] = [0x80, 0x40, 0x08, 0x04]; // of ECON1
const [UCEN, ANDOR, CRCEN, UNMODELLED, MCEN, BCEN] = [0x80, 0x40, 0x20, 0x1c, 0x02, 0x01];
const [MARXEN, FULDPX, TXCRCEN] = [0x01, 0x01, 0x10];
// Registers of the PHY.
const [PHCON1, PHSTAT1, PHID1, PHID2, PHCON2] = [0x00, 0x01, 0x02, 0x03, 0x10];
const [PHSTAT2, PHIE, PHIR, PHLCON] = [0x11, 0x12, 0x13, 0x14];
const PHY_WRITABLE = [PHCON1, PHCON2, PHIE, PHLCON];
const PDPXMD = 0x0100;

export class ENC28J60 {
  constructor(clock, { int, out, hz }) {
    Object.assign(this, { clock, int, out, hz });
    this.errors = [];
    this.count = { transactions: 0, bytes: 0, received: 0, sent: 0, dropped: 0 };
    this.deselected = true;
    this.inReset = false;
    this.sendAlarm = clock.createAlarm(() => this.#sent());
    this.#systemReset();
  }

  error(text) {
    if (this.errors.length < 50 && !this.errors.includes(text)) this.errors.push(text);
  }

  #systemReset() {
    this.registers = new Uint8Array(128);
    this.buffer ??= new Uint8Array(SIZE);
    for (const at of [ERDPT, ERXST, ERXRDPT]) this.#setWord(at, 0x05fa);
    this.#setWord(ERXND, 0x1fff);
    this.#setWord(MAMXFL, 0x0600);
    this.registers[ERXFCON] = UCEN | CRCEN | BCEN;
    this.registers[ECON2] = AUTOINC;
    this.registers[MACLCON1] = 0x0f;
    this.registers[MACLCON2] = 0x37;
    this.registers[EREVID] = 6;
    this.registers[ESTAT] = CLKRDY;
    this.readPointer = 0x05fa; // what the receive logic has been told: ERXRDPT as a whole
    this.phy = new Uint16Array(32);
    this.phy[PHSTAT1] = 0x1804;
    this.phy[PHID1] = 0x0083;
    this.phy[PHID2] = 0x1400;
    this.phy[PHSTAT2] = 0x0400;
    this.phy[PHLCON] = 0x3422;
    this.miiUntil = 0;
    this.sending = false;
    this.sendAlarm.cancel();
    this.ready = this.clock.nanos + RESET_TIME;
    this.instruction = null;
    this.#level();
  }

  #word(at) {
    return this.registers[at] | (this.registers[at + 1] << 8);
  }

  #setWord(at, value) {
    this.registers[at] = value & 0xff;
    this.registers[at + 1] = value >> 8;
  }

  #flags() {
    const flags = this.registers[EIR] & ~PKTIF;
    return this.registers[EPKTCNT] ? flags | PKTIF : flags;
  }

  #level() {
    const enabled = this.registers[EIE];
    this.int(!(enabled & INTIE && this.#flags() & enabled & 0x7f)); // (12.0)
  }

  reset(level) {
    if (level && this.inReset) this.#systemReset();
    this.inReset = !level;
  }

  select(level) {
    if (!level && this.deselected) {
      this.count.transactions++;
      this.instruction = null;
      this.index = 0;
      if (this.hz() > MAX_HZ) this.error(`SPI at ${this.hz() / 1e6} MHz`);
    } else if (level && !this.deselected && this.slow && this.clock.nanos - this.last < CS_HOLD) {
      this.error('chip select rises too early after a MAC register');
    }
    this.slow = false;
    this.deselected = level;
  }

  // SPI instructions (4.0, table 4-1).
  byte(value) {
    this.count.bytes++;
    if (this.deselected) {
      this.error('clocked without chip select');
      return 0;
    }
    if (this.inReset || this.clock.nanos < this.ready) return 0;
    this.last = this.clock.nanos;
    if (this.index++ === 0) {
      this.#begin(value);
      return 0;
    }
    switch (this.instruction) {
      case 0: // RCR: MAC and MII registers are a byte late (4.2.1)
        if (this.slow && this.index === 2) return 0;
        return this.#read(this.register);
      case 1: // RBM
        return this.#readBuffer();
      case 2: // WCR
        if (this.index === 2) this.#write(this.register, value);
        break;
      case 3: // WBM
        this.#writeBuffer(value);
        break;
      case 4: // BFS
        if (this.index === 2) this.#write(this.register, this.registers[this.register] | value);
        break;
      case 5: // BFC
        if (this.index === 2) this.#write(this.register, this.registers[this.register] & ~value);
        break;
    }
    return 0;
  }

  #begin(value) {
    const address = value & 0x1f;
    this.instruction = value >> 5;
    this.register = address >= EIE ? address : reg(this.registers[ECON1] & 3, address);
    if (this.instruction === 7) {
      if (value !== 0xff) this.error(`instruction ${value}`);
      this.#systemReset(); // SRC
      return;
    }
    const memory = this.instruction === 1 || this.instruction === 3;
    if (this.instruction === 6 || (memory && address !== 0x1a)) this.error(`instruction ${value}`);
    this.slow = !memory && this.#isMac(this.register);
    if (this.slow && this.instruction > 3) this.error('a bit field of a MAC register (4.2.4)');
  }

  #isMac(register) {
    const [bank, address] = [register >> 5, register & 0x1f];
    if (address >= EIE) return false;
    return bank === 2 || (bank === 3 && (address <= 5 || register === MISTAT));
  }

  #read(register) {
    switch (register) {
      case EIR:
        return this.#flags();
      case MISTAT:
        return this.clock.nanos < this.miiUntil ? 1 : 0;
      case ERXRDPT:
        return this.readPointer & 0xff;
      case ERXRDPT + 1:
        return this.readPointer >> 8;
    }
    return this.registers[register];
  }

  #write(register, value) {
    const { registers } = this;
    const before = registers[register];
    switch (register) {
      case EIR: // PKTIF and LINKIF follow what they stand for (12.1)
        registers[EIR] = (before & (PKTIF | LINKIF)) | (value & ~(PKTIF | LINKIF));
        break;
      case ESTAT:
        registers[ESTAT] = (before & CLKRDY) | (value & ~CLKRDY);
        break;
      case ECON2:
        registers[ECON2] = value & ~PKTDEC;
        if (value & PKTDEC) {
          if (registers[EPKTCNT] === 0) this.error('PKTDEC without a packet');
          else registers[EPKTCNT]--;
        }
        break;
      case ECON1:
        registers[ECON1] = value;
        this.#control(before, value);
        break;
      case ERXRDPT + 1: // the low byte waits for the high one (6.1)
        registers[register] = value;
        this.readPointer = this.#word(ERXRDPT);
        if (!(this.readPointer & 1)) this.error('ERXRDPT is even (errata 14)');
        break;
      case ERXST:
      case ERXST + 1:
      case ERXND:
      case ERXND + 1:
        if (registers[ECON1] & RXEN) this.error('the receive buffer is moved while it is in use');
        registers[register] = value;
        if (register < ERXND) this.#setWord(ERXWRPT, this.#word(ERXST)); // (6.1)
        break;
      case MICMD:
        registers[MICMD] = value;
        if (value & 1) {
          const address = registers[MIREGADR];
          this.#setWord(MIRD, this.phy[address]);
          if (address === PHIR) {
            this.phy[PHIR] = 0;
            registers[EIR] &= ~LINKIF;
          }
          this.miiUntil = this.clock.nanos + MII_BUSY;
        }
        break;
      case MIWR + 1:
        registers[register] = value;
        if (this.clock.nanos < this.miiUntil) this.error('MIWRH while the MII is busy');
        if (PHY_WRITABLE.includes(registers[MIREGADR])) {
          this.phy[registers[MIREGADR]] = this.#word(MIWR);
        }
        this.miiUntil = this.clock.nanos + MII_BUSY;
        break;
      case EPKTCNT:
      case EREVID:
      case MISTAT:
      case ERXWRPT:
      case ERXWRPT + 1:
        this.error(`a write to register ${register}`);
        break;
      default:
        registers[register] = value;
    }
    this.#level();
  }

  #control(before, value) {
    if (value & TXRST) {
      this.sendAlarm.cancel();
      this.sending = false;
      this.registers[ECON1] &= ~TXRTS;
    } else if (value & TXRTS && !this.sending) {
      this.#send();
    } else if (!(value & TXRTS) && this.sending) {
      this.sendAlarm.cancel(); // (7.1: clearing TXRTS aborts)
      this.sending = false;
      this.registers[ESTAT] |= TXABRT;
      this.registers[EIR] |= TXERIF;
    }
    if (value & RXRST) this.registers[EPKTCNT] = 0; // (11.3)
    if (value & RXEN && !(before & RXEN)) {
      if (this.#word(ERXST) !== 0) this.error('the receive buffer does not begin at 0 (errata 5)');
      if (this.registers[ERXFCON] & UNMODELLED) this.error('a filter that is not modelled');
    }
  }

  #readBuffer() {
    const at = this.#word(ERDPT);
    if (this.registers[ECON2] & AUTOINC) {
      const wrap = at === this.#word(ERXND); // (3.2.3)
      this.#setWord(ERDPT, wrap ? this.#word(ERXST) : (at + 1) % SIZE);
    }
    return this.buffer[at % SIZE];
  }

  #writeBuffer(value) {
    const at = this.#word(EWRPT);
    if (at >= this.#word(ERXST) && at <= this.#word(ERXND)) {
      this.error('a write to the receive buffer');
    }
    this.buffer[at % SIZE] = value;
    if (this.registers[ECON2] & AUTOINC) this.#setWord(EWRPT, (at + 1) % SIZE);
  }

  // (7.1)
  #send() {
    const length = this.#word(ETXND) - this.#word(ETXST); // less the control byte
    const mac = this.registers[MACON3];
    if (!!(mac & FULDPX) !== !!(this.phy[PHCON1] & PDPXMD)) this.error('MAC and PHY differ in duplex');
    if (!(mac & TXCRCEN)) this.error('a frame without FCS');
    if (!(mac & 0xe0)) this.error('no padding (6.5.4: MACON3.PADCFG)');
    if (this.buffer[this.#word(ETXST)] & 1) this.error('a control byte that overrides MACON3');
    if (length < 14 || length > 1514) this.error(`a frame of ${length} bytes is sent`);
    this.registers[ESTAT] &= ~(TXABRT | 0x10);
    this.sending = true;
    this.sendAlarm.schedule((Math.max(length, MIN_FRAME) + OVERHEAD) * 8 * BIT);
  }

  #sent() {
    const start = this.#word(ETXST) + 1;
    const end = this.#word(ETXND);
    const frame = new Uint8Array(Math.max(MIN_FRAME, end + 1 - start));
    frame.set(this.buffer.subarray(start, end + 1));
    // Seven bytes of status lie behind the frame (7.1, table 7-1): the count, and bit 23, "done".
    const status = [frame.length + CRC, 0, 0x80, 0, 0, 0, 0];
    status[1] = status[0] >> 8;
    for (let i = 0; i < 7; i++) this.buffer[(end + 1 + i) % SIZE] = status[i] & 0xff;
    this.sending = false;
    this.registers[ECON1] &= ~TXRTS;
    this.registers[EIR] |= TXIF;
    this.count.sent++;
    this.#level();
    this.out(frame);
  }

  // A frame from the line, without its FCS; whether the chip has taken it (6.0, 7.2, 8.0).
  inject(frame) {
    const { registers } = this;
    const on = registers[ECON1] & RXEN && !(registers[ECON1] & RXRST) && registers[MACON1] & MARXEN;
    if (!on || !this.#wanted(frame)) return false;
    const [first, last] = [this.#word(ERXST), this.#word(ERXND)];
    const write = this.#word(ERXWRPT);
    const length = Math.max(MIN_FRAME, frame.length) + CRC;
    const total = 6 + length + (length & 1);
    const space =
      write > this.readPointer
        ? last - first - (write - this.readPointer)
        : write === this.readPointer
          ? last - first
          : this.readPointer - write - 1; // (example 7-1)
    if (total > space || registers[EPKTCNT] === 255) {
      this.count.dropped++;
      registers[EIR] |= RXERIF;
      this.#level();
      return false;
    }
    let at = write;
    const put = (byte) => {
      this.buffer[at] = byte;
      at = at === last ? first : at + 1;
    };
    let next = write + total;
    if (next > last) next -= last - first + 1;
    const kind = frame[0] & 1 ? (frame.subarray(0, 6).every((b) => b === 0xff) ? 0x02 : 0x01) : 0;
    // The next packet, then the status vector (7.2.2): the count with the FCS, and bit 23, "ok".
    for (const byte of [next & 0xff, next >> 8, length & 0xff, length >> 8, 0x80, kind]) put(byte);
    for (let i = 0; i < length - CRC; i++) put(frame[i] ?? 0);
    for (const byte of fcs(frame, length - CRC)) put(byte);
    this.#setWord(ERXWRPT, next);
    registers[EPKTCNT]++;
    this.count.received++;
    this.#level();
    return true;
  }

  #wanted(frame) {
    const filters = this.registers[ERXFCON];
    if (!(filters & (UCEN | MCEN | BCEN))) return true; // promiscuous, whatever the FCS
    if (filters & ANDOR) this.error('filters joined by AND');
    const own = MAADR.every((register, i) => this.registers[register] === frame[i]);
    const broadcast = frame.subarray(0, 6).every((byte) => byte === 0xff);
    if (filters & UCEN && own) return true;
    if (filters & BCEN && broadcast) return true;
    return !!(filters & MCEN && frame[0] & 1);
  }
}

// The frame check sequence of Ethernet (IEEE 802.3, 3.2.9), as it lies in the buffer.
function fcs(frame, length) {
  let crc = 0xffffffff;
  for (let i = 0; i < length; i++) {
    crc ^= frame[i] ?? 0;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  crc = ~crc;
  return [crc & 0xff, (crc >> 8) & 0xff, (crc >> 16) & 0xff, (crc >>> 24) & 0xff];
}
