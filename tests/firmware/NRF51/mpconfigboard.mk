# A Cortex-M0, which faults on unaligned words and knows 16-bit encodings only. MicroPython's port
# has this machine as MICROBIT, but freezes code for another processor, and the suite wants more
# memory than the chip has.
QEMU_ARCH = arm
QEMU_MACHINE = microbit

CFLAGS += -mthumb -mcpu=cortex-m0 -mfloat-abi=soft
CFLAGS += -DQEMU_SOC_NRF51 -DMICROPY_EMIT_THUMB=1 -DMICROPY_EMIT_INLINE_THUMB=1 -DMICROPY_EMIT_THUMB_ARMV7M=0
CFLAGS += -DMICROPY_HW_MCU_NAME='"Cortex-M0"'

LDSCRIPT = $(BOARD_DIR)/memory.ld

SRC_BOARD_O = shared/runtime/gchelper_native.o shared/runtime/gchelper_thumb1.o

MPY_CROSS_FLAGS += -march=armv6m
