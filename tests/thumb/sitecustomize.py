"""As tests/cpython, and inline assembly for Thumb runs as well, on an emulated Cortex-M."""

import builtins

import micropython

import emulated

micropython.asm_thumb = emulated.asm_thumb
micropython.viper = emulated.viper
builtins.ptr8 = emulated.ptr8
builtins.ptr16 = emulated.ptr16
builtins.ptr32 = emulated.ptr32
