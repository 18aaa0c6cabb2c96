"""A frame's way: which functions of which files a packet passes, seen as it passes them.

    python3 -m tools.ways [--check]

Plays what is below on CPython, with the portable editions, notes each call within the stack, and
writes the table of docs/architecture.md and the drawings docs/floors.svg and docs/frame.svg.
With --check nothing is written; the status says whether they are what they should be.
"""

import re
import sys

from tools import floors
from tools.common import ROOT, main, say

_PAGE = ROOT / "docs" / "architecture.md"
_MARK = re.compile(r"(?<=<!-- make ways writes this -->\n).*(?=<!-- to here -->)", re.DOTALL)
# Not hops: what a hop calls to compute or to look up.
_ASIDE = ("kernel/", "wire/", "core/")
_PROPERTIES = ("delay", "poll_delay", "_st")


def _ways():
    """[(what it is, a function that plays it and returns what was called)]."""
    sys.path[:0] = [str(ROOT / "tests" / part) for part in ("cpython", "conformance")]
    import harness as h
    from smolmpy import TCPSocket, UDPSocket

    def host(socket=None, **kw):
        host = h.Host(**kw)
        if socket:
            host.add(socket)
        return host

    def receiving(host, frame):
        host.device.queue.append(frame)
        return host.run

    def udp(**kw):
        s = UDPSocket(64, 64)
        at = host(s, **kw)
        s.bind(7)
        return at, s

    def ping():
        return receiving(host(), h.echo())

    def arp():
        return receiving(host(), h.arp(1))

    def datagram():
        at, _ = udp()
        return receiving(at, h.udp(5000, 7, b"hello"))

    def datagram_out():
        at, s = udp()
        s.send_to(b"hello", h.PEER, 9)
        return at.run

    def miss():
        at, s = udp(neighbor=False)
        s.send_to(b"hello", h.PEER, 9)

        def play():
            at.run()
            at.inject(h.arp(2))

        return play

    def syn():
        s = TCPSocket(4096, 4096)
        at = host(s)
        s.listen(80)
        return receiving(at, h.tcp(5001, 80, "S", 1000, 0))

    def connected():
        s = TCPSocket(4096, 4096)
        at = host(s)
        s.ack_delay = 0
        s.nagle = False
        s.listen(6969)
        p = h.Peer(at)
        p.send("S", 0)
        p.expect("SA")
        p.seq = p.ack = 1
        p.send("A")
        at.clear()
        return at, s, p

    def segment():
        at, _, p = connected()
        frame = p.frame("A", 1, 1, b"hello")
        return receiving(at, frame)

    def segment_out():
        at, s, _ = connected()
        s.send(b"hello")
        return at.run

    def lost():
        at, s, _ = connected()
        s.send(b"hello")
        at.run()
        return lambda: at.advance(1000)

    return [
        ("an ARP request for us", arp),
        ("a ping", ping),
        ("a datagram comes", datagram),
        ("a datagram goes", datagram_out),
        ("a datagram to a neighbor not yet known (ARP miss)", miss),
        ("a SYN", syn),
        ("a segment with text comes, and is acknowledged", segment),
        ("a segment with text goes", segment_out),
        ("a segment is lost, and goes again", lost),
    ]


def _traced(play):
    """[(file, function)] of the stack in the order of their first calls."""
    seen = []

    def note(frame, event, arg):
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(str(floors.PACKAGE)):
            file = code.co_filename[len(str(floors.PACKAGE)) + 1 :]
            hop = file, code.co_name
            if not file.startswith(_ASIDE) and "<" not in code.co_name and hop not in seen:
                seen.append(hop)

    sys.setprofile(note)
    try:
        play()
    finally:
        sys.setprofile(None)
    return [hop for hop in seen if hop[1] not in _PROPERTIES]


def _stations(hops):
    """The same by file: [(file, [functions])], a file again where the way comes back to it."""
    found = []
    for file, name in hops:
        if not found or found[-1][0] != file:
            found.append((file, []))
        found[-1][1].append(name)
    return found


def table(ways):
    """The table of docs/architecture.md."""
    lines = ["| what | files, and in them functions |", "| --- | --- |"]
    for what, hops in ways:
        stations = [
            f"[{file[:-3]}](../smolmpy/{file}) `{'` `'.join(names)}`"
            for file, names in _stations(hops)
        ]
        lines.append(f"| {what} | {', '.join(stations)} |")
    return "\n".join(lines) + "\n"


_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1a2b3c}.s{font-size:11px;fill:#556677}"
    ".f{fill:#f2f5f8;stroke:#c5d0da}.b{fill:#fff;stroke:#2f6f9f}"
    ".a{fill:none;stroke:#2f6f9f;stroke-width:1.5;marker-end:url(#m)}a{text-decoration:none}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.s{fill:#9fb0c0}"
    ".f{fill:#1b2530;stroke:#3a4a5a}.b{fill:#0f1720;stroke:#6fb1e0}.a{stroke:#6fb1e0}}"
)
_ARROW = (
    '<defs><marker id="m" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
    'orient="auto"><path d="M0 0L8 4L0 8z" fill="#2f6f9f"/></marker></defs>'
)


def _svg(width, height, title, parts):
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
    head += f'width="{width}" height="{height}" role="img"><title>{title}</title>'
    return head + f"<style>{_STYLE}</style>{_ARROW}" + "\n".join(parts) + "</svg>\n"


def draw_floors():
    """The tower: a floor a row, its modules in it, and how many imports go down from it."""
    modules = {}
    for module in floors.sources():
        floor, _, name = module.partition(".")
        if name and name != "__init__" and not name.endswith(("_thumb", "_rv32")):
            modules.setdefault(floor, []).append(name)
    counted = floors.arrows()
    parts = []
    y = 10
    for floor in (*floors.FLOORS, *floors.BESIDE):
        if floor in floors.BESIDE:
            y += 16
        parts.append(f'<rect class="f" x="10" y="{y}" width="900" height="46" rx="6"/>')
        parts.append(f'<text x="22" y="{y + 28}" font-weight="600">{floor}</text>')
        parts.append(f'<text x="110" y="{y + 20}">{", ".join(modules[floor])}</text>')
        below = [f"{to} {n}" for (of, to), n in counted.items() if of == floor]
        order = (*floors.FLOORS, *floors.LEAVES)
        below.sort(key=lambda text: order.index(text.split()[0]))
        text = "imports " + ", ".join(below) if below else "imports nothing"
        parts.append(f'<text class="s" x="110" y="{y + 37}">{text}</text>')
        y += 52
    return _svg(920, y + 4, "The floors of smolmpy and their imports", parts)


def draw_frame(what, hops):
    """One way through the floors, from left to right, each station a link to its file."""
    rows = [f for f in floors.FLOORS if f not in ("compat", "services", "core", "wire", "kernel")]
    top = {floor: 34 + 78 * i for i, floor in enumerate(rows)}
    stations = _stations(hops)
    step = 138
    width = 100 + step * len(stations)
    parts = [f'<text x="12" y="20" font-weight="600">{what}</text>']
    for floor, y in top.items():
        parts.append(f'<rect class="f" x="10" y="{y}" width="{width}" height="70" rx="6"/>')
        parts.append(f'<text x="20" y="{y + 40}">{floor}</text>')
    x = 92
    before = None
    for file, names in stations:
        y = top[file.split("/")[0]] + 8
        if before:
            parts.append(f'<path class="a" d="M{before[0]} {before[1]}L{x} {y + 27}"/>')
        shown = names if len(names) < 3 else [names[0], f"and {len(names) - 1} more"]
        parts.append(
            f'<a href="../smolmpy/{file}"><rect class="b" x="{x}" y="{y}" width="112" height="54" '
            f'rx="5"/><text x="{x + 8}" y="{y + 17}">{file.split("/")[1]}</text>'
        )
        for i, name in enumerate(shown):
            parts.append(f'<text class="s" x="{x + 8}" y="{y + 32 + 14 * i}">{name}</text>')
        parts.append("</a>")
        before = x + 112, y + 27
        x += step
    return _svg(width + 20, 34 + 78 * len(rows) + 6, what, parts)


def made():
    """{path: what it should hold}."""
    ways = [(what, _traced(prepare())) for what, prepare in _ways()]
    page = _MARK.sub(lambda _: table(ways), _PAGE.read_text())
    drawn = next(way for way in ways if "is acknowledged" in way[0])
    return {
        _PAGE: page,
        ROOT / "docs" / "floors.svg": draw_floors(),
        ROOT / "docs" / "frame.svg": draw_frame(*drawn),
    }


def _main():
    check = "--check" in sys.argv
    stale = [
        (path, text)
        for path, text in made().items()
        if not path.exists() or path.read_text() != text
    ]
    for path, text in stale:
        if check:
            say(f"{path.relative_to(ROOT)} is stale: 'make ways' writes it.")
        else:
            path.write_text(text)
            say(f"wrote {path.relative_to(ROOT)}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    main(_main)
