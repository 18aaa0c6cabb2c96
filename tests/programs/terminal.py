"""examples/console_repl.py with a stand-in for the prompt, as the C code of a port calls it.

Lines are evaluated; `step()` is called between, as the timer does.
"""

from console_repl import Terminal, session
from smolmpy import net

terminal = Terminal(session(23), "secret")
byte = bytearray(1)
line = b""
while True:
    n = terminal.readinto(byte)
    if n is None:
        net.rest(50)
        terminal.step()
    elif byte == b"\r":
        result = repr(eval(line)) if line else ""
        terminal.write(bytearray(("\r\n%s\r\n>>> " % result).encode()))
        line = b""
    else:
        terminal.write(byte)
        line += byte
