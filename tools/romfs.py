"""Files as a ROMFS image, which MicroPython mounts where it lies in memory (`vfs.VfsRom`)."""

_MAGIC = b"\xd2\xcd\x31"
_VERBATIM = 2
_DIRECTORY = 4
_FILE = 5


def _number(value):
    """Seven bits a byte, the most significant first; the top bit says that more follow."""
    digits = [value & 0x7F]
    while value := value >> 7:
        digits.append(value & 0x7F | 0x80)
    return bytes(reversed(digits))


def _record(kind, payload):
    return _number(kind) + _number(len(payload)) + payload


def _entry(name, content):
    head = _number(len(name.encode())) + name.encode()
    if isinstance(content, dict):
        return _record(_DIRECTORY, head + _entries(content))
    return _record(_FILE, head + _record(_VERBATIM, content))


def _entries(folder):
    return b"".join(_entry(name, folder[name]) for name in sorted(folder))


def image(files):
    """The image of `files`: bytes by path, such as "lib/program.py"."""
    top = {}
    for path, content in files.items():
        *folders, name = path.split("/")
        folder = top
        for part in folders:
            folder = folder.setdefault(part, {})
        folder[name] = bytes(content)
    payload = _entries(top)
    return _MAGIC + _number(len(payload)) + payload
