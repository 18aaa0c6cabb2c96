// The usual instructions of rp2040js's Cortex-M0+ done sooner: executeInstruction() compares an
// opcode with one pattern after the other, and goes through the whole map of addresses at each
// access. Here a table of the upper ten bits leads to a function, and RAM and flash are looked at
// first. What is not in the table, and any other address, is rp2040js's own business. Registers,
// flags, memory and cycles are the same after each instruction (quick_check.mjs, all opcodes).
const RAM = 0x20000000;
const FLASH = 0x10000000;

export function quicken(rp2040) {
  const { core, sram, flash } = rp2040;
  const r = core.registers;
  const [ram8, ram16, ram32] = views(sram);
  const [flash8, flash16, flash32] = views(flash);
  const slow = core.executeInstruction;

  // Addresses are sums that may be beyond 32 bits, as there.
  const load = (t, address) => {
    const a = address - RAM;
    if (a >= 0 && a < ram8.length && !(a & 3)) {
      r[t] = ram32[a >> 2];
      return 2;
    }
    const b = address - FLASH;
    if (b >= 0 && b < flash8.length && !(b & 3)) {
      r[t] = flash32[b >> 2];
      return 2;
    }
    const cycles = 1 + core.cyclesIO(address);
    r[t] = core.readUint32(address);
    return cycles;
  };
  const loadHalf = (t, address) => {
    const a = address - RAM;
    if (a >= 0 && a < ram8.length && !(a & 1)) {
      r[t] = ram16[a >> 1];
      return 2;
    }
    const cycles = 1 + core.cyclesIO(address);
    r[t] = core.readUint16(address);
    return cycles;
  };
  const loadByte = (t, address) => {
    const a = address - RAM;
    if (a >= 0 && a < ram8.length) {
      r[t] = ram8[a];
      return 2;
    }
    const b = address - FLASH;
    if (b >= 0 && b < flash8.length) {
      r[t] = flash8[b];
      return 2;
    }
    const cycles = 1 + core.cyclesIO(address);
    r[t] = core.readUint8(address);
    return cycles;
  };
  const store = (t, address) => {
    const a = address - RAM;
    if (a >= 0 && a < ram8.length && !(a & 3)) {
      ram32[a >> 2] = r[t];
      return 2;
    }
    const cycles = 1 + core.cyclesIO(address, true);
    core.writeUint32(address, r[t]);
    return cycles;
  };
  const storeHalf = (t, address) => {
    const a = address - RAM;
    if (a >= 0 && a < ram8.length && !(a & 1)) {
      ram16[a >> 1] = r[t];
      return 2;
    }
    const cycles = 1 + core.cyclesIO(address, true);
    core.writeUint16(address, r[t]);
    return cycles;
  };
  const storeByte = (t, address) => {
    const a = address - RAM;
    if (a >= 0 && a < ram8.length) {
      ram8[a] = r[t];
      return 2;
    }
    const cycles = 1 + core.cyclesIO(address, true);
    core.writeUint8(address, r[t]);
    return cycles;
  };
  // N and Z of what has 32 bits.
  const flags = (result) => {
    core.N = result < 0;
    core.Z = result === 0;
  };
  const add = (a, b) => {
    const sum = a + b;
    const result = sum | 0;
    core.N = result < 0;
    core.Z = result === 0;
    core.C = sum > 0xffffffff;
    core.V = (a | 0) + (b | 0) !== result;
    return result;
  };
  const subtract = (a, b) => {
    const result = (a - b) | 0;
    core.N = result < 0;
    core.Z = result === 0;
    core.C = a >= b;
    core.V = ((a ^ b) & (a ^ result)) < 0;
    return result;
  };

  // Each is given an opcode, finds the program counter two bytes behind it, and returns cycles; -1:
  // it is not what it seemed.
  const table = new Array(1024).fill(null);
  const take = (pattern, action) => {
    const spare = 10 - pattern.length;
    const first = parseInt(pattern, 2) << spare;
    table.fill(action, first, first + (1 << spare));
  };
  take('00000', (op) => {
    const input = r[(op >> 3) & 7];
    const n = (op >> 6) & 31;
    const result = input << n;
    r[op & 7] = result;
    flags(result);
    if (n) core.C = ((input >>> (32 - n)) & 1) === 1;
    return 1;
  });
  take('00001', (op) => {
    const input = r[(op >> 3) & 7];
    const n = (op >> 6) & 31;
    const result = n ? input >>> n : 0;
    r[op & 7] = result;
    flags(result | 0);
    core.C = ((input >>> (n ? n - 1 : 31)) & 1) === 1;
    return 1;
  });
  take('00010', (op) => {
    const input = r[(op >> 3) & 7];
    const n = (op >> 6) & 31;
    const result = n ? input >> n : input >> 31;
    r[op & 7] = result;
    flags(result);
    core.C = ((input >>> (n ? n - 1 : 31)) & 1) === 1;
    return 1;
  });
  take('0001100', (op) => ((r[op & 7] = add(r[(op >> 3) & 7], r[(op >> 6) & 7])), 1));
  take('0001101', (op) => ((r[op & 7] = subtract(r[(op >> 3) & 7], r[(op >> 6) & 7])), 1));
  take('0001110', (op) => ((r[op & 7] = add(r[(op >> 3) & 7], (op >> 6) & 7)), 1));
  take('0001111', (op) => ((r[op & 7] = subtract(r[(op >> 3) & 7], (op >> 6) & 7)), 1));
  take('00100', (op) => {
    r[(op >> 8) & 7] = op & 0xff;
    flags(op & 0xff);
    return 1;
  });
  take('00101', (op) => (subtract(r[(op >> 8) & 7], op & 0xff), 1));
  take('00110', (op) => ((r[(op >> 8) & 7] = add(r[(op >> 8) & 7], op & 0xff)), 1));
  take('00111', (op) => ((r[(op >> 8) & 7] = subtract(r[(op >> 8) & 7], op & 0xff)), 1));
  take('0100000000', (op) => (flags((r[op & 7] &= r[(op >> 3) & 7]) | 0), 1));
  take('0100000001', (op) => (flags((r[op & 7] ^= r[(op >> 3) & 7]) | 0), 1));
  take('0100001000', (op) => (flags(r[op & 7] & r[(op >> 3) & 7]), 1));
  take('0100001010', (op) => (subtract(r[op & 7], r[(op >> 3) & 7]), 1));
  take('0100001100', (op) => (flags((r[op & 7] |= r[(op >> 3) & 7]) | 0), 1));
  take('0100001101', (op) => {
    const result = Math.imul(r[(op >> 3) & 7], r[op & 7]);
    r[op & 7] = result;
    flags(result);
    return 1;
  });
  take('0100001110', (op) => (flags((r[op & 7] &= ~r[(op >> 3) & 7]) | 0), 1));
  take('01000110', (op) => {
    const to = ((op >> 4) & 8) | (op & 7);
    const from = (op >> 3) & 15;
    if (to === 15 || to === 13 || from === 15) return -1;
    r[to] = r[from];
    return 1;
  });
  take('01001', (op) => load((op >> 8) & 7, ((r[15] + 2) & ~3) + ((op & 0xff) << 2)));
  const rm = (op) => r[(op >> 6) & 7] + r[(op >> 3) & 7];
  take('0101000', (op) => store(op & 7, rm(op)));
  take('0101001', (op) => storeHalf(op & 7, rm(op)));
  take('0101010', (op) => storeByte(op & 7, rm(op)));
  take('0101100', (op) => load(op & 7, rm(op)));
  take('0101101', (op) => loadHalf(op & 7, rm(op)));
  take('0101110', (op) => loadByte(op & 7, rm(op)));
  take('01100', (op) => store(op & 7, r[(op >> 3) & 7] + ((op >> 4) & 0x7c)));
  take('01101', (op) => load(op & 7, r[(op >> 3) & 7] + ((op >> 4) & 0x7c)));
  take('01110', (op) => storeByte(op & 7, r[(op >> 3) & 7] + ((op >> 6) & 31)));
  take('01111', (op) => loadByte(op & 7, r[(op >> 3) & 7] + ((op >> 6) & 31)));
  take('10000', (op) => storeHalf(op & 7, r[(op >> 3) & 7] + ((op >> 5) & 0x3e)));
  take('10001', (op) => loadHalf(op & 7, r[(op >> 3) & 7] + ((op >> 5) & 0x3e)));
  take('10010', (op) => store((op >> 8) & 7, r[13] + ((op & 0xff) << 2)));
  take('10011', (op) => load((op >> 8) & 7, r[13] + ((op & 0xff) << 2)));
  take('10101', (op) => ((r[(op >> 8) & 7] = r[13] + ((op & 0xff) << 2)), 1));
  take('1011001010', (op) => ((r[op & 7] = r[(op >> 3) & 7] & 0xffff), 1));
  take('1011001011', (op) => ((r[op & 7] = r[(op >> 3) & 7] & 0xff), 1));
  take('1011010', (op) => {
    let n = 0;
    for (let bits = op & 0x1ff; bits; bits &= bits - 1) n++;
    let a = r[13] - 4 * n - RAM;
    if (a < 0 || a + 4 * n > ram8.length || a & 3) return -1;
    r[13] -= 4 * n;
    a >>= 2;
    for (let i = 0; i < 8; i++) if (op & (1 << i)) ram32[a++] = r[i];
    if (op & 0x100) {
      ram32[a] = r[14];
      return n;
    }
    return n + 1;
  });
  take('1011110', (op) => {
    let n = 0;
    for (let bits = op & 0x1ff; bits; bits &= bits - 1) n++;
    let a = r[13] - RAM;
    if (a < 0 || a + 4 * n > ram8.length || a & 3) return -1;
    r[13] += 4 * n;
    a >>= 2;
    for (let i = 0; i < 8; i++) if (op & (1 << i)) r[i] = ram32[a++];
    if (!(op & 0x100)) return n + 1;
    core.BXWritePC(ram32[a]);
    return n + 2;
  });
  const conditions = [
    () => core.Z, () => !core.Z, () => core.C, () => !core.C, () => core.N, () => !core.N,
    () => core.V, () => !core.V, () => core.C && !core.Z, () => !core.C || core.Z,
    () => core.N === core.V, () => core.N !== core.V,
    () => core.N === core.V && !core.Z, () => core.N !== core.V || core.Z,
  ];
  for (const [n, met] of conditions.entries()) {
    take(`1101${n.toString(2).padStart(4, '0')}`, (op) => {
      if (!met()) return 1;
      r[15] += ((op << 24) >> 23) + 2;
      return 2;
    });
  }
  take('11100', (op) => ((r[15] += ((op << 21) >> 20) + 2), 2));
  take('11110', (op) => {
    const b = r[15] - FLASH;
    if (b < 0 || b >= flash8.length) return -1;
    const next = flash16[b >> 1];
    if ((next & 0xd000) !== 0xd000) return -1;
    const sign = (op & 0x400) << 14;
    const i1 = (~((next << 10) ^ sign >> 1) & 0x800000) >>> 0;
    const i2 = (~((next << 11) ^ sign >> 2) & 0x400000) >>> 0;
    const offset = ((sign | i1 | i2 | ((op & 0x3ff) << 12) | ((next & 0x7ff) << 1)) << 7) >> 7;
    r[14] = (r[15] + 2) | 1;
    r[15] += 2 + offset;
    core.blTaken(core, false);
    return 3;
  });

  core.executeInstruction = () => {
    if (core.interruptsUpdated && core.checkForInterrupts()) core.waiting = false;
    const pc = r[15];
    let op;
    if (pc - FLASH >= 0 && pc - FLASH < flash8.length) op = flash16[(pc - FLASH) >> 1];
    else if (pc - RAM >= 0 && pc - RAM < ram8.length) op = ram16[(pc - RAM) >> 1];
    else return slow.call(core);
    const action = table[op >> 6];
    if (action === null) return slow.call(core);
    r[15] = pc + 2;
    const cycles = action(op);
    if (cycles < 0) {
      r[15] = pc;
      return slow.call(core);
    }
    core.cycles += cycles;
    return cycles;
  };
}

// Memory as bytes, half-words and words; both the machine and ours are little-endian.
function views(bytes) {
  const { buffer, byteOffset, length } = bytes;
  return [bytes, new Uint16Array(buffer, byteOffset, length / 2), new Uint32Array(buffer, byteOffset, length / 4)];
}
