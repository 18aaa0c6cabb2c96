"""Debian and Ubuntu packages that the tests use: which are missing, and how to get them.

As root on such a system they are installed, after saying so. Elsewhere nothing is changed.
"""

import contextlib
import os
import pathlib
import platform
import shutil
import subprocess

from tools.common import Missing, main, run, say

# Package, and what it is for. Some exist only on x86-64 hosts.
PACKAGES = {
    "iproute2": "looking at network devices",
    "iputils-ping": "ping",
    "socat": "TCP and UDP clients other than Python's",
    "netcat-openbsd": "TCP and UDP clients other than Python's",
    "tcpdump": "captures",
    "tshark": "judging captures",
    "ethtool": "offload settings",
    "dnsmasq-base": "a DHCP and DNS server",
    "chrony": "an NTP server",
    "avahi-daemon": "another host with multicast DNS",
    "curl": "an HTTP client",
    "openssl": "a TLS client, and certificates",
    "nginx-light": "an HTTP server, with TLS",
    "apache2-utils": "many HTTP requests at once",
    "mosquitto": "an MQTT broker",
    "mosquitto-clients": "MQTT clients",
    "iperf3": "measuring throughput",
    "chromium": "a browser",
    "gcc": "building MicroPython",
    "make": "building MicroPython",
    "pkg-config": "building MicroPython",
    "xz-utils": "unpacking MicroPython's source",
    "libffi-dev": "building MicroPython with ffi",
    "gcc-multilib": "building MicroPython for 32 bits",
    "qemu-system-arm": "the emulated Cortex-M3",
    "gcc-arm-none-eabi": "building firmware",
    "libnewlib-arm-none-eabi": "building firmware",
    "qemu-system-misc": "the emulated RV32",
    "gcc-riscv64-unknown-elf": "building firmware for RV32",
    "picolibc-riscv64-unknown-elf": "building firmware for RV32",
    "cmake": "building firmware for the RP2040",
    "ninja-build": "building firmware for the RP2040",
    "g++": "building firmware for the RP2040",
    "nodejs": "the emulated Pico",
    "npm": "the emulated Pico",
}
_X86_ONLY = ("gcc-multilib",)
# Often installed otherwise, and then in the way of the package.
_PROGRAMS = {"nodejs": "node", "npm": "npm"}


def is_debian():
    return shutil.which("apt-get") is not None and shutil.which("dpkg-query") is not None


def missing(names=None):
    """The packages of `names` (all of PACKAGES) that are not installed. Empty off Debian."""
    if not is_debian():
        return []
    if names is None:
        names = [n for n in PACKAGES if platform.machine() == "x86_64" or n not in _X86_ONLY]
    query = ["dpkg-query", "--show", "--showformat", "${Package} ${Status}\n", *names]
    lines = subprocess.run(query, capture_output=True, text=True).stdout.splitlines()
    installed = {line.split()[0] for line in lines if line.endswith(" installed")}
    installed.update(name for name, program in _PROGRAMS.items() if shutil.which(program))
    return [name for name in names if name not in installed]


def install(names, purpose):
    """Installs the packages, or raises Missing with the command that would."""
    command = f"apt-get install {' '.join(names)}"
    if not is_debian():
        raise Missing(f"{purpose} is missing: install what your system calls {' '.join(names)}.")
    if os.geteuid():
        raise Missing(f"{purpose} is missing: 'sudo {command}' brings it.")
    say(f"{purpose} is missing; installing: {' '.join(names)}")
    env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    apt = ["apt-get", "--quiet", "--yes"]
    # One repository that is out of reach must not stop the others: the install decides.
    subprocess.run([*apt, "update"], env=env, stdin=subprocess.DEVNULL, capture_output=True)
    with _no_service_starts():
        run(*apt, "install", "--no-install-recommends", *names, env=env)


@contextlib.contextmanager
def _no_service_starts():
    # The tests start the servers that they need, in networks of their own; a package's must not
    # begin to serve this machine's network (policy-rc.d(5): 101 is "not allowed").
    policy = pathlib.Path("/usr/sbin/policy-rc.d")
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()


def ensure(strict=False):
    """Installs what is missing where that is possible; otherwise says what, or fails if strict."""
    names = missing()
    if not names:
        return
    try:
        install(names, "a part of what the tests use")
    except Missing as problem:
        if strict:
            raise
        say(f"{problem} Some tests will be skipped.")


def _main():
    if not is_debian():
        raise Missing(
            "this is not Debian or Ubuntu; install what your system calls: " + ", ".join(PACKAGES)
        )
    names = missing()
    if names:
        install(names, "a part of what the tests use")
    else:
        say("every package is installed")


if __name__ == "__main__":
    main(_main)
