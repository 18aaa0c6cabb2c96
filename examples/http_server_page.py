"""The status of an interface as a web page and as JSON, made piece by piece.

What comes from others, as addresses do, is escaped where the page is written.
"""

import gc
from json import dumps

from smolmpy import TCPSocket
from smolmpy.sockets.base import Socket
from smolmpy.wire import address

_STYLE = """
:root { color-scheme: light dark; font: 15px/1.45 system-ui, sans-serif; }
body { max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0; }
h2 { font-size: 1rem; margin: 2rem 0 .5rem; }
.facts { color: GrayText; margin: .25rem 0 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; }
th, td { padding: .3rem .75rem .3rem 0; border-bottom: 1px solid #8884; }
.n { text-align: right; }
.state { padding: .1rem .5rem; border-radius: 1rem; background: #8883; font-size: .8rem; }
.ESTABLISHED, .reachable, .static { background: #2a82; }
.counters { columns: 16rem; column-gap: 2.5rem; margin: 0; }
.counters div { display: flex; break-inside: avoid; border-bottom: 1px solid #8884; }
.counters dd { margin: 0 0 0 auto; font-variant-numeric: tabular-nums; }
.counters dt, .counters dd { padding: .15rem 0; }
.zero { opacity: .45; }
"""


def escape(text):
    """Text as it may stand in HTML, within an attribute too."""
    for char, name in (("&", "amp"), ("<", "lt"), (">", "gt"), ('"', "quot"), ("'", "#39")):
        text = text.replace(char, "&%s;" % name)
    return text


def sockets(iface):
    """Yields (kind, state, local end, remote end, bytes to receive, bytes to be acknowledged)."""
    for socket in iface.sockets:
        if isinstance(socket, TCPSocket):
            local = _end(socket.local_addr, socket.local_port)
            remote = _end(socket.remote_addr, socket.remote_port)
            queues = socket.recv_queue, socket.send_queue
            yield ("TCP", socket.state_name, local, remote) + queues
        elif isinstance(socket, Socket):
            yield type(socket).__name__.replace("Socket", ""), "", "", "", 0, 0


def _end(addr, port):
    return "%s:%d" % (address.format(addr) if any(addr) else "*", port) if port else ""


def _time(ms):
    s = ms // 1000
    text = "%d:%02d:%02d" % (s // 3600 % 24, s // 60 % 60, s % 60)
    return "%d d %s" % (s // 86400, text) if s >= 86400 else text


def _row(*cells):
    # Numbers stand to the right.
    row = ""
    for cell in cells:
        if isinstance(cell, int):
            row += '<td class="n">%d</td>' % cell
        else:
            row += "<td>%s</td>" % cell
    return "<tr>%s</tr>\n" % row


def _state(name):
    return '<span class="state %s">%s</span>' % (name, name) if name else ""


def html(server, refresh=2):
    """Yields the page of a server (http_server.py), which loads itself again after `refresh` s."""
    iface = server.iface
    yield '<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">\n'
    yield '<meta http-equiv="refresh" content="%d">\n' % refresh
    yield '<meta name="viewport" content="width=device-width">\n'
    yield '<link rel="icon" href="data:,">\n<title>smolmpy</title>\n'
    yield "<style>%s</style>\n<h1>smolmpy</h1>\n" % _STYLE
    facts = iface.addresses()
    facts.append(address.format_mac(iface.mac))
    if iface.gateway:
        facts.append("gateway " + iface.gateway)
    facts.append("up " + _time(server.uptime))
    facts.append("requests: %d" % server.requests)
    if hasattr(gc, "mem_free"):
        facts.append("heap free: %d bytes" % gc.mem_free())
    yield '<p class="facts">%s</p>\n' % escape(" · ".join(facts))
    yield '<h2>Sockets</h2>\n<div class="wide"><table>\n<tr><th>Kind<th>State<th>Local<th>Remote'
    yield '<th class="n">To receive<th class="n">To be acknowledged</tr>\n'
    for kind, state, local, remote, queued, unacked in sockets(iface):
        state = _state(escape(state))
        yield _row(escape(kind), state, escape(local), escape(remote), queued, unacked)
    yield '</table></div>\n<h2>Neighbors</h2>\n<div class="wide"><table>\n'
    yield "<tr><th>Address<th>Ethernet<th>State</tr>\n"
    for addr, mac, kind in iface.neighbors():
        yield _row(escape(addr), escape(mac), _state(escape(kind)))
    yield '</table></div>\n<h2>Counters</h2>\n<dl class="counters">\n'
    counters = iface.counters()
    for name in sorted(counters):
        row = "<div%s><dt>%s</dt><dd>%d</dd></div>\n"
        yield row % ("" if counters[name] else ' class="zero"', escape(name), counters[name])
    yield "</dl>\n</html>\n"


def json(server):
    """Yields the same as a JSON object."""
    iface = server.iface
    yield '{"uptime_ms": %d,\n"requests": %d,\n' % (server.uptime, server.requests)
    yield '"mac": %s,\n' % dumps(address.format_mac(iface.mac))
    yield '"addresses": %s,\n' % dumps(iface.addresses())
    yield '"gateway": %s,\n' % dumps(iface.gateway)
    yield '"neighbors": %s,\n' % dumps(iface.neighbors())
    yield '"counters": %s,\n' % dumps(iface.counters())
    yield '"sockets": ['
    comma = ""
    for kind, state, local, remote, queued, unacked in sockets(iface):
        row = {"kind": kind, "state": state, "local": local, "remote": remote}
        row["recv_queue"] = queued
        row["send_queue"] = unacked
        yield comma + dumps(row)
        comma = ",\n"
    yield "]}\n"
