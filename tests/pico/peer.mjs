// A host at the other end of the cable, in the emulator's own time: what it does, and when, depends
// on nothing outside, so that what is measured is the same at each run. It asks (ARP, ICMP echo,
// UDP), and connects by TCP to a sink and to a source. It is no more than a fair peer on a quiet
// network: it sends what the window allows in full segments, acknowledges every second segment, or
// 40 ms late (as Linux does), and repeats what is not acknowledged for 300 ms. Checksums and
// contents of what it gets are verified.
//
//   new Peer(clock, { chip, meter, bit }).run(plan, done)
//
// `plan` is a list of operations, such as { op: 'ping', size: 98, count: 10 }; done(results) is
// told of each what passed meanwhile (Meter), or `wrong`.
const MAC = [0x02, 0, 0, 0, 0, 0x64];
const ADDRESS = [192, 168, 69, 100];
const BOARD = [192, 168, 69, 1];
const ARP = [0, 1, 8, 0, 6, 4, 0]; // up to the first byte of the operation
const OVERHEAD = 8 + 4 + 12; // bytes on the line beside a frame: preamble, FCS, gap
const MS = 1e6;
const RETRANSMIT = 300 * MS;
const DELAYED_ACK = 40 * MS;
const PAUSE = 20.3; // ms between two requests; odd, so that they meet each phase of a millisecond
const [ECHO_PORT, SINK_PORT, SOURCE_PORT, OUR_PORT] = [7, 9, 19, 40000];
const [FIN, SYN, RST, PSH, ACK] = [1, 2, 4, 8, 16];
const MSS = 1460;
const WINDOW = 65535;

// What has passed up to now, in ns: in all; while the core slept; while the chip was selected;
// while the bus was clocked.
export class Meter {
  constructor(clock, pacer, chip, hz) {
    Object.assign(this, { clock, pacer, chip, hz });
    this.selected = 0;
    this.fell = null; // when chip select fell
    this.began = null; // what had passed when the chip last began to send
    const { select } = chip;
    chip.select = (level) => {
      if (!level && this.fell === null) this.fell = clock.nanos;
      if (level && this.fell !== null) {
        this.selected += clock.nanos - this.fell;
        this.fell = null;
      }
      select.call(chip, level);
    };
    const { schedule } = chip.sendAlarm;
    chip.sendAlarm.schedule = (nanos) => {
      this.began = this.read();
      schedule.call(chip.sendAlarm, nanos);
    };
  }

  // From here on `spent` has cycles by address, of instructions that begin while the bus rests.
  watch(core, spi) {
    this.spent = new Map();
    const { executeInstruction } = core;
    core.executeInstruction = () => {
      const at = core.PC;
      const resting = !spi.busy;
      const cycles = executeInstruction.call(core);
      if (resting) this.spent.set(at, (this.spent.get(at) ?? 0) + cycles);
      return cycles;
    };
  }

  read() {
    const { clock, pacer, chip } = this;
    return {
      time: clock.nanos,
      asleep: pacer.asleep,
      selected: this.selected + (this.fell === null ? 0 : clock.nanos - this.fell),
      spi: (chip.count.bytes * 8e9) / (this.hz() || 1),
      bytes: chip.count.bytes,
      transactions: chip.count.transactions,
      received: chip.count.received,
      sent: chip.count.sent,
    };
  }
}

function since(before, after) {
  return Object.fromEntries(Object.keys(after).map((key) => [key, after[key] - before[key]]));
}

function sum(bytes, start = 0) {
  let total = start;
  for (let i = 0; i < bytes.length; i += 2) total += (bytes[i] << 8) | (bytes[i + 1] ?? 0);
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  return total;
}

const word = (bytes, at) => (bytes[at] << 8) | bytes[at + 1];
const long = (bytes, at) => ((word(bytes, at) << 16) | word(bytes, at + 2)) >>> 0;
const half = (value) => [(value >> 8) & 0xff, value & 0xff];
const whole = (value) => [...half(value >>> 16), ...half(value)];
const BLOCK = 1460; // what the board sends again and again
const pattern = (at) => ((at % BLOCK) * 7 + ((at % BLOCK) >> 8)) & 0xff;

export class Peer {
  constructor(clock, { chip, meter, bit }) {
    Object.assign(this, { clock, chip, meter, bit });
    this.free = 0; // when the line is
    this.board = null; // its MAC address
    this.ident = 0;
    this.port = OUR_PORT;
    this.take = null; // what is told of each frame that comes
    this.results = [];
    this.alarm = clock.createAlarm(() => this.late());
    this.late = () => {};
  }

  // The plan begins when the board has sent its first frame and has had time to come to rest.
  run(plan, done) {
    Object.assign(this, { plan: [...plan], done });
    this.take = () => {
      this.take = null;
      this.after(200 * MS, () => this.#next());
    };
  }

  after(nanos, call) {
    this.late = call;
    this.alarm.schedule(nanos);
  }

  #next() {
    const step = this.plan.shift();
    if (!step) return this.done(this.results);
    const { spent } = this.meter;
    spent?.clear();
    const end = (result) => {
      this.take = null;
      if (spent) result.spent = [...spent];
      this.results.push({ ...step, ...result });
      if (result.wrong) return this.done(this.results);
      this.after(100 * MS, () => this.#next());
    };
    this[step.op](step, end);
  }

  // A frame from the chip, when it has passed the line.
  receive(frame) {
    const wrong = this.#wrong(frame);
    if (wrong) return this.chip.error(`sent: ${wrong}`);
    const asked = word(frame, 12) === 0x0806 && frame[21] === 1;
    if (asked && ADDRESS.every((byte, i) => byte === frame[38 + i])) {
      this.send([...this.board, ...MAC, 8, 6, ...ARP, 2, ...MAC, ...ADDRESS, ...frame.subarray(22, 32)]);
    }
    this.take?.(frame);
  }

  #wrong(frame) {
    this.board ??= [...frame.subarray(6, 12)];
    if (word(frame, 12) !== 0x0800) return null;
    const ip = frame.subarray(14);
    const length = word(ip, 2);
    if (length > ip.length || sum(ip.subarray(0, 20)) !== 0xffff) return 'a wrong IP header';
    const body = ip.subarray(20, length);
    if (ip[9] === 1) return sum(body) === 0xffff ? null : 'a wrong ICMP checksum';
    const pseudo = sum(ip.subarray(12, 20), ip[9] + body.length);
    return sum(body, pseudo) === 0xffff ? null : 'a wrong checksum';
  }

  // Sends a frame, when the line is free; `there` is called when the chip has it.
  send(frame, there) {
    const { clock, chip } = this;
    const nanos = (Math.max(frame.length, 60) + OVERHEAD) * 8 * this.bit;
    this.free = Math.max(this.free, clock.nanos) + nanos;
    const arrival = clock.createAlarm(() => {
      if (chip.inject(Uint8Array.from(frame))) there?.();
    });
    arrival.schedule(this.free - clock.nanos);
  }

  ip(protocol, body) {
    const header = [0x45, 0, ...half(20 + body.length), ...half(++this.ident), 0x40, 0, 64, protocol];
    header.push(0, 0, ...ADDRESS, ...BOARD);
    const check = ~sum(header) & 0xffff;
    [header[10], header[11]] = half(check);
    return [...this.board, ...MAC, 8, 0, ...header, ...body];
  }

  checked(protocol, body, at) {
    const check = ~sum(body, sum([...ADDRESS, ...BOARD], protocol + body.length)) & 0xffff;
    [body[at], body[at + 1]] = half(check);
    return this.ip(protocol, body);
  }

  // ---- operations ----

  // Nothing is asked of the board.
  idle({ ms }, end) {
    const before = this.meter.read();
    this.after(ms * MS, () => end({ passed: [since(before, this.meter.read())] }));
  }

  // Requests, one after the other: what passes from the frame in the chip to the answer that begins
  // to leave. `pause` is the time between them in ms, and each is longer by `more`.
  #ask({ count, pause = PAUSE, more = 0 }, make, fits, end) {
    const passed = [];
    let before = null;
    const ask = () => {
      before = null;
      this.send(make(passed.length), () => (before = this.meter.read()));
      this.after(1000 * MS, () => end({ passed, wrong: 'no answer' }));
    };
    this.take = (frame) => {
      if (before === null || !fits(frame, passed.length)) return;
      passed.push(since(before, this.meter.began));
      const nanos = (pause + more * passed.length) * MS;
      this.after(nanos, passed.length < count ? ask : () => end({ passed }));
      before = null;
    };
    ask();
  }

  arp(step, end) {
    const request = [255, 255, 255, 255, 255, 255, ...MAC, 8, 6, ...ARP, 1];
    request.push(...MAC, ...ADDRESS, 0, 0, 0, 0, 0, 0, ...BOARD);
    this.#ask(step, () => request, (frame) => word(frame, 12) === 0x0806 && frame[21] === 2, end);
  }

  ping(step, end) {
    const data = Array.from({ length: step.size - 42 }, (_, i) => pattern(i));
    const make = (n) => {
      const body = [8, 0, 0, 0, 0x12, 0x34, ...half(n), ...data];
      [body[2], body[3]] = half(~sum(body) & 0xffff);
      return this.ip(1, body);
    };
    const fits = (frame, n) => frame[23] === 1 && frame[34] === 0 && word(frame, 40) === n
      && data.every((byte, i) => frame[42 + i] === byte);
    this.#ask(step, make, fits, end);
  }

  udp(step, end) {
    const data = Array.from({ length: step.payload }, (_, i) => pattern(i));
    const make = () => {
      const length = 8 + step.payload;
      const body = [...half(OUR_PORT), ...half(ECHO_PORT), ...half(length), 0, 0, ...data];
      return this.checked(17, body, 6);
    };
    const fits = (frame) => frame[23] === 17 && data.every((byte, i) => frame[42 + i] === byte);
    this.#ask(step, make, fits, end);
  }

  // A stream into the board, from the first segment that it has to the last byte acknowledged.
  sink({ bytes }, end) {
    const stream = new Stream(this, SINK_PORT, end);
    let una = 0;
    let next = 0;
    const fill = () => {
      while (next < bytes) {
        const length = Math.min(MSS, stream.mss, bytes - next);
        if (next + length - una > stream.window) break;
        const data = Array.from({ length }, (_, i) => pattern(next + i));
        const first = next === 0 && !stream.before;
        const start = () => (stream.before = this.meter.read());
        const last = next + length === bytes;
        stream.send(last ? ACK | PSH : ACK, data, next, first ? start : undefined);
        next += length;
      }
    };
    const repeat = () => {
      stream.repeated++;
      if (stream.repeated > 50) return end({ wrong: 'the stream does not go on' });
      next = una;
      if (stream.window < MSS) stream.window = MSS;
      fill();
      this.after(RETRANSMIT, repeat);
    };
    stream.open(() => {
      fill();
      this.after(RETRANSMIT, repeat);
    });
    stream.acked = (at) => {
      if (at > una) {
        una = at;
        next = Math.max(next, una);
        this.after(RETRANSMIT, repeat);
      }
      if (una < bytes) return fill();
      stream.acked = () => {};
      const passed = [since(stream.before, this.meter.began)];
      stream.close(bytes, { passed, repeated: stream.repeated });
    };
  }

  // A stream out of the board, from the connection to the last byte; the board closes it.
  source({ bytes }, end) {
    const stream = new Stream(this, SOURCE_PORT, end);
    let have = 0;
    let unacked = 0;
    const tell = () => {
      unacked = 0;
      stream.send(ACK, [], 0);
    };
    const silent = () => end({ wrong: `no more after ${have} bytes` });
    stream.open(() => {
      stream.send(ACK, [], 0, () => (stream.before = this.meter.read()));
      this.after(5000 * MS, silent);
    });
    stream.data = (at, data, flags) => {
      if (at !== have) {
        stream.repeated++;
        return tell();
      }
      if (!data.every((byte, i) => byte === pattern(have + i))) {
        return end({ wrong: `wrong data behind ${have}` });
      }
      have += data.length;
      stream.wanted = have;
      unacked += data.length ? 1 : 0;
      if (have >= bytes && stream.passed === undefined) {
        stream.passed = [since(stream.before, this.meter.began)];
      }
      if (flags & FIN) {
        stream.wanted = have + 1;
        if (have !== bytes) return end({ wrong: `${have} bytes came` });
        return stream.close(0, { passed: stream.passed, repeated: stream.repeated });
      }
      if (unacked >= 2) {
        tell();
        this.after(5000 * MS, silent);
      } else {
        this.after(DELAYED_ACK, () => {
          tell();
          this.after(5000 * MS, silent);
        });
      }
    };
  }
}

// A connection that the peer opens. Positions are counted from 0 behind the SYN.
class Stream {
  constructor(peer, port, end) {
    Object.assign(this, { peer, port, end });
    this.ours = ++peer.port;
    this.first = (0x10000000 + this.ours * 7919) >>> 0;
    this.theirs = 0; // their initial sequence number
    this.wanted = 0;
    this.mss = 536;
    this.window = 0;
    this.repeated = 0;
    this.before = null;
    this.acked = () => {};
    this.data = () => {};
  }

  open(opened) {
    const { peer } = this;
    peer.take = (frame) => this.#take(frame);
    this.opened = opened;
    peer.after(3000 * MS, () => this.end({ wrong: 'no connection' }));
    this.#segment(SYN, this.first, 0, [2, 4, ...half(MSS)], []);
  }

  send(flags, data, at, there) {
    const next = (this.first + 1 + at) >>> 0;
    const wanted = (this.theirs + 1 + this.wanted) >>> 0;
    this.#segment(flags, next, wanted, [], data, there);
  }

  // Both directions are closed: then the operation ends.
  close(at, result) {
    const { peer } = this;
    let theirs = this.wanted > 0; // their FIN was there before
    peer.after(3000 * MS, () => this.end({ ...result, wrong: 'the connection does not close' }));
    let left = false;
    const done = () => theirs && left && this.end(result);
    this.acked = (to) => {
      if (to < at + 1 || left) return;
      left = true;
      done();
    };
    this.data = (_, data, flags) => {
      if (!(flags & FIN) || theirs) return;
      theirs = true;
      this.wanted += data.length + 1;
      this.send(ACK, [], at + 1);
      done();
    };
    this.send(FIN | ACK, [], at);
  }

  #segment(flags, sequence, acknowledged, options, data, there) {
    const body = [...half(this.ours), ...half(this.port), ...whole(sequence), ...whole(acknowledged)];
    body.push((20 + options.length) << 2, flags, ...half(WINDOW), 0, 0, 0, 0, ...options, ...data);
    this.peer.send(this.peer.checked(6, body, 16), there);
  }

  #take(frame) {
    if (word(frame, 12) !== 0x0800 || frame[23] !== 6) return;
    const ip = frame.subarray(14, 14 + word(frame, 16));
    const tcp = ip.subarray(20);
    if (word(tcp, 2) !== this.ours || word(tcp, 0) !== this.port) return;
    const flags = tcp[13];
    if (flags & RST) return this.end({ wrong: 'the board reset the connection' });
    this.window = word(tcp, 14);
    if (flags & SYN) {
      if (!this.opened) return;
      this.theirs = long(tcp, 4);
      if (tcp[12] >> 4 > 5 && tcp[20] === 2) this.mss = word(tcp, 22);
      const { opened } = this;
      this.opened = null;
      this.send(ACK, [], 0);
      return opened();
    }
    this.acked((long(tcp, 8) - this.first - 1) >>> 0);
    const data = tcp.subarray((tcp[12] >> 4) * 4);
    if (data.length || flags & FIN) this.data((long(tcp, 4) - this.theirs - 1) >>> 0, data, flags);
  }
}
