// SPI in mode 0 by the levels of pins, for a W5500: bits come in with the rise of SCK, and those that
// go out are there then, and no longer after its fall.
export class Bits {
  constructor(gpio, { cs, sck, mosi, miso }, chip) {
    Object.assign(this, { mosi: gpio[mosi], miso: gpio[miso], chip });
    gpio[cs].addListener(() => (this.count = 0));
    gpio[sck].addListener((state) => {
      if (state === 1) this.#rise();
      else if (state === 0) this.#fall();
    });
    this.count = 0;
  }

  #rise() {
    const { chip } = this;
    if (this.count === 0) {
      this.value = 0;
      // What is read does not depend on what comes in meanwhile, and what comes in is not read.
      this.reads = chip.phase === 3 && !chip.writing;
      this.reply = this.reads ? chip.byte(0) : 0;
    }
    this.miso.setInputValue(!!((this.reply << this.count) & 0x80));
    this.value = (this.value << 1) | (this.mosi.value === 1 ? 1 : 0);
    this.count = (this.count + 1) & 7;
    if (this.count === 0 && !this.reads) chip.byte(this.value);
  }

  #fall() {
    this.miso.setInputValue(!this.miso.inputValue);
  }
}
