"""Runs examples/server.py on MicroPython in a private network and talks to it from Linux."""

import shutil
import subprocess

from tools import exchange, interpreters, netns
from tools.common import Missing, main, say
from tools.host import ADDRESS, LINUX, PORT, Host

_STREAM_BYTES = 16384
_ANSWER = b"yo dawg"


def _command(argv, data=b""):
    """Shows a command as it would be typed, runs it, shows its output and returns it."""
    typed = " ".join(argv)
    if data:
        typed = f"printf '{data.decode()}' | {typed}"
    print(f"\n$ {typed}", flush=True)
    done = subprocess.run(argv, input=data, stdout=subprocess.PIPE, timeout=30)
    print(done.stdout.decode(errors="replace").rstrip("\n"), flush=True)
    return done.stdout


def _ping():
    if shutil.which("ping"):
        output = _command(["ping", "-n", "-c", "3", "-i", "0.2", ADDRESS]).decode()
        assert " 0% packet loss" in output, "ping lost packets"
    else:
        print(f"\nping {ADDRESS} (a raw socket of Python's: ping is not installed)")
        for sequence in range(1, 4):
            seconds = exchange.ping(ADDRESS, sequence=sequence)
            print(f"64 bytes from {ADDRESS}: icmp_seq={sequence} time={seconds * 1000:.3f} ms")


def _exchange(protocol, data):
    """One message over UDP or TCP with socat, netcat or Python's sockets."""
    if shutil.which("socat"):
        argv = ["socat", "-t", "2", "-", f"{protocol}:{ADDRESS}:{PORT}"]
        if protocol == "UDP":
            argv[2] = "0.5"
        return _command(argv, data)
    if shutil.which("nc"):
        argv = ["nc", "-w", "1", ADDRESS, str(PORT)]
        if protocol == "UDP":
            argv.insert(1, "-u")
        return _command(argv, data)
    print(f"\n{data.decode()!r} over {protocol} (a socket of Python's: no socat or nc installed)")
    talk = exchange.udp if protocol == "UDP" else exchange.tcp
    answer = talk(ADDRESS, PORT, data)
    print(answer.decode(errors="replace"))
    return answer


def converse():
    _ping()
    answer = _exchange("UDP", b"hello")
    assert answer == _ANSWER, f"UDP: {_ANSWER} expected, {answer} received"
    answer = _exchange("TCP", b"smolmpy")
    assert answer == b"ypmloms", f"TCP: the reverse of 'smolmpy' expected, {answer} received"
    data = exchange.pattern(_STREAM_BYTES)
    exchange.assert_reversed(data, exchange.tcp(ADDRESS, PORT, data))
    print(
        f"\n{_STREAM_BYTES} bytes over TCP came back reversed piece by piece, none of them wrong"
    )


def _main():
    interpreter = interpreters.default(make=True)
    netns.enter()
    say(f"{interpreter} runs examples/server.py at {ADDRESS}; Linux is {LINUX} on tap0")
    wrong = None
    with Host(interpreter) as server:
        try:
            exchange.wait_for(ADDRESS, server.running)
            converse()
        except (AssertionError, OSError, subprocess.SubprocessError) as problem:
            wrong = problem
    if wrong or server.ended_early:
        print(server.output)
        raise Missing(f"this was not the right answer: {wrong or 'the server ended'}")
    print()
    say("every answer was right")


if __name__ == "__main__":
    main(_main)
