"""Fetches a page over HTTP or HTTPS.

    http_client.py [-a ADDR/PREFIX] [-g GATEWAY] [-d SERVER] [-H NAME=ADDR] [-o FILE] [-i]
                   [-c FILE] [-k] [-w SECONDS] URL

`-d` is a name server, `-H` an address for a name without one. The page goes to standard output or
to the file of `-o`; `-i` shows the head of the response too. With https the server has to have a
certificate that one in the file of `-c` vouches for (PEM or DER), and for its name; `-k` trusts
anybody. `-w` is how long the server may be silent (10). The exit status is 0 if the page came
whole and the server's status is below 400, 1 if not.

It is written for the module `socket` of MicroPython, which here is smolmpy's: nothing in the
classes below knows where it comes from. HTTPS needs the module `ssl`.
"""

import sys

import options
import smolmpy_board as board
from smolmpy import net, network

USAGE = (
    "http_client.py [-a ADDR/PREFIX] [-g GATEWAY] [-d SERVER] [-H NAME=ADDR] [-o FILE] [-i] "
    "[-c FILE] [-k] [-w SECONDS] URL"
)
MOST_REDIRECTS = 5
LONGEST_LINE = 2048  # of a head
MOST_HEADERS = 100
PIECE = 1024


class HTTPError(Exception):
    """The other end does not speak HTTP, or has ended in mid-sentence."""


def split_url(url):
    """(scheme, host, port, target) of an absolute URL; ValueError if it is none."""
    scheme, mark, rest = url.partition("://")
    scheme = scheme.lower()
    if not mark or scheme not in ("http", "https"):
        raise ValueError("%s: http://... or https://... is expected" % url)
    rest = rest.partition("#")[0]
    end = min(at for at in (rest.find("/"), rest.find("?"), len(rest)) if at >= 0)
    host, target = rest[:end], rest[end:]
    if not target.startswith("/"):
        target = "/" + target
    host, _, port = host.partition(":")
    if not port:
        port = "443" if scheme == "https" else "80"
    if not host or "@" in host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError("%s: HOST or HOST:PORT is expected" % url)
    if not all(33 <= ord(char) < 127 for char in target):
        raise ValueError("%s: a character that has to be written as %%XX" % url)
    return scheme, host, int(port), target


def join_url(base, location):
    """The URL that `location` means on the page `base` (RFC 3986 section 5, without dots)."""
    if "://" in location.partition("?")[0]:
        return location
    scheme, host, port, target = split_url(base)
    if location.startswith("//"):
        return scheme + ":" + location
    if not location.startswith("/"):
        location = target.partition("?")[0].rsplit("/", 1)[0] + "/" + location
    return "%s://%s:%d%s" % (scheme, host, port, location)


class Response:
    """The answer to a request, read from a stream: status, reason, headers, and the body.

    The names of the headers are in lower case. `pieces()` yields the body.
    """

    def __init__(self, stream):
        self.stream = stream
        self.status = 100
        while self.status // 100 == 1:  # 1xx are followed by another
            version, _, rest = self._line().partition(" ")
            if not version.startswith("HTTP/1.") or not rest[:3].isdigit():
                raise HTTPError("this is not HTTP/1")
            self.version = version
            self.status = int(rest[:3])
            self.reason = rest[4:]
            self.headers = self._headers()

    def _line(self):
        line = self.stream.readline(LONGEST_LINE)
        if not line.endswith(b"\n"):
            raise HTTPError("a line is too long" if line else "the server has ended early")
        return line.decode().rstrip("\r\n")

    def _headers(self):
        headers = {}
        for _ in range(MOST_HEADERS):
            line = self._line()
            if not line:
                return headers
            name, colon, value = line.partition(":")
            if not colon:
                raise HTTPError("a header has no colon")
            name = name.lower()
            value = value.strip()
            headers[name] = headers[name] + ", " + value if name in headers else value
        raise HTTPError("there are too many headers")

    def pieces(self, size=PIECE):
        """Yields views of the body, of at most `size` bytes; each is valid until the next."""
        buf = bytearray(size)
        view = memoryview(buf)
        headers = self.headers
        if self.status in (204, 304):
            return
        if "chunked" in headers.get("transfer-encoding", "").lower():
            while True:
                left = self._number(self._line().partition(";")[0].strip(), 16)
                if not left:
                    break
                for n in self._read(buf, left):
                    yield view[:n]
                if self._line():
                    raise HTTPError("a chunk is longer than it said")
            self._headers()  # trailers
        elif "content-length" in headers:
            for n in self._read(buf, self._number(headers["content-length"], 10)):
                yield view[:n]
        else:
            n = self.stream.readinto(buf)
            while n:
                yield view[:n]
                n = self.stream.readinto(buf)

    def _number(self, text, base):
        try:
            n = int(text, base)
        except ValueError:
            n = -1
        if n < 0:
            raise HTTPError("%r is not a length" % text)
        return n

    def _read(self, buf, left):
        # Reads `left` bytes: yields how many are in buf.
        view = memoryview(buf)
        while left:
            n = self.stream.readinto(view[:left] if left < len(buf) else buf)
            if not n:
                raise HTTPError("%d bytes of the body are missing" % left)
            left -= n
            yield n


class Client:
    """`timeout` is in seconds; `context`, an ssl.SSLContext, is for https."""

    def __init__(self, timeout=10, context=None):
        self.timeout = timeout
        self.context = context
        self.stream = None

    def get(self, url, redirects=MOST_REDIRECTS):
        """A Response, after redirects. Raises OSError, ValueError, HTTPError."""
        while True:
            scheme, host, port, target = split_url(url)
            response = self._request(scheme, host, port, target)
            location = response.headers.get("location")
            if response.status not in (301, 302, 303, 307, 308) or not location:
                return response
            if not redirects:
                raise HTTPError("too many redirects")
            redirects -= 1
            url = join_url(url, location)
            if scheme == "https" and not url.lower().startswith("https:"):
                raise HTTPError("a redirect from https to http")

    def _request(self, scheme, host, port, target):
        import socket

        self.close()
        addr = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)[0][-1]
        self.stream = stream = socket.socket()
        stream.settimeout(self.timeout)
        stream.connect(addr)
        if scheme == "https":
            if self.context is None:
                raise ValueError("https needs -c FILE, or -k")
            self.stream = stream = self.context.wrap_socket(stream, server_hostname=host)
        usual = port == (443 if scheme == "https" else 80)
        stream.write(
            "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: smolmpy\r\nAccept: */*\r\n"
            "Connection: close\r\n\r\n" % (target, host if usual else "%s:%d" % (host, port))
        )
        return Response(stream)

    def close(self):
        if self.stream is not None:
            self.stream.close()
            self.stream = None


def certificates(data):
    """The DER form of the first certificate in `data`, which is PEM or DER."""
    from binascii import a2b_base64

    head, mark, rest = data.partition(b"-----BEGIN CERTIFICATE-----")
    if not mark:
        return data
    return a2b_base64(rest.partition(b"-----END CERTIFICATE-----")[0])


def context(trusted, anybody):
    """An SSLContext that trusts the certificates in a file, or anybody; None for neither."""
    if not trusted and not anybody:
        return None
    try:
        import ssl
    except ImportError:
        raise ValueError("this firmware has no ssl")
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if anybody:
        made.verify_mode = ssl.CERT_NONE
    else:
        with open(trusted, "rb") as file:
            made.load_verify_locations(cadata=certificates(file.read()))
        made.verify_mode = ssl.CERT_REQUIRED
    return made


def bring_up(given):
    """smolmpy as the program's network."""
    device = board.device()
    mac = getattr(device, "mac", None) or options.MAC
    lan = network.LAN(
        device, mac=mac, ticks_ms=board.ticks_ms, wait=board.wait, tcp=2, udp=1, rx=4096
    )
    lan.iface.add_address(given["-a"])
    if given["-g"]:
        lan.iface.gateway = given["-g"]
    lan.active(True)
    network.install()
    ask = None
    if given["-d"]:
        from smolmpy import DNSClient

        def pump():
            net.rest(100)
            net.pump()

        ask = DNSClient(lan.iface, [given["-d"]], pump=pump).resolve
    known, _, addr = given["-H"].partition("=")

    def resolve(host):
        if addr and host == known:
            return addr
        if ask is None:
            raise OSError(-2, "%s: no name server (-d SERVER)" % host)
        return ask(host)

    net.resolve = resolve


def main(args):
    defaults = {"-d": "", "-H": "", "-o": "", "-i": False, "-c": "", "-k": False, "-w": "10"}
    given, (url,) = options.parse(args, USAGE, defaults, 1)
    client = Client(options.number(given, "-w", 1))
    out = None
    try:
        client.context = context(given["-c"], given["-k"])
        split_url(url)
        bring_up(given)
        response = client.get(url)
        if given["-i"]:
            print(response.version, response.status, response.reason)
            for name in sorted(response.headers):
                print("%s: %s" % (name, response.headers[name]))
            print()
        out = open(given["-o"], "wb") if given["-o"] else getattr(sys.stdout, "buffer", None)
        for piece in response.pieces():
            if out is None:  # a board's standard output takes text
                sys.stdout.write(bytes(piece).decode())
            else:
                out.write(piece)
        ok = response.status < 400
    except (OSError, ValueError, HTTPError) as problem:
        options.stop("http_client.py: %s" % describe(problem), 1)
    finally:
        client.close()
        if net.iface is not None:
            net.pump()  # what closing has to say
        if out is not None and given["-o"]:
            out.close()
    sys.exit(0 if ok else 1)


def describe(problem):
    """An exception as a sentence."""
    if isinstance(problem, OSError) and problem.args:
        from smolmpy.errno import NAMES

        name = NAMES.get(problem.args[0], problem.args[0])
        return ": ".join([str(name)] + [str(arg) for arg in problem.args[1:]])
    return " ".join(str(problem).split())


if __name__ == "__main__":
    main(sys.argv[1:])
