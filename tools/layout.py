"""Keeps the private constants of smolmpy in step with the page that describes them.

docs/layout.md describes each word and number that modules share; smolmpy/errno.py and
smolmpy/core/counters.py have the errnos and the counters. Written here is, in each module of the
stack, the block of those that it uses, since const() does not cross modules.

    python3 -m tools.layout [--check]

With --check nothing is written; the status says whether a line differs, or whether any private
constant of smolmpy is not used.
"""

import ast
import re
import sys

from tools.common import ROOT, Missing, main, say

PAGE = ROOT / "docs" / "layout.md"
PACKAGE = ROOT / "smolmpy"
# Where a name of the page means what the page says.
STACK = ("core", "link", "ip", "iface", "sockets", "tcp")
# Where it may, if the value is the same: these have words of their own as well.
GUESTS = ("services", "compat")
MARK = "# Of docs/layout.md: 'make format' writes these."
_PREFIX = re.compile(r"^(?:.*\. |)Constants: `(_\w*?)NAME`(?:, of (.*)\.)?")
_ALL = re.MULTILINE | re.DOTALL
_IMPORTS = re.compile(r"^from micropython import const\n(?:\n*(?:from|import) .*\n)*", re.M)
_LINE = re.compile(r"^(_\w+) = const\((.*?)\)(?:  #.*)?\n", re.MULTILINE)


def page_words(text):
    """[(name of a constant, its number as text, the modules that it is for)] of the page.

    Modules are a set of paths such as "phy/spi"; None stands for all of the stack.
    """
    found = []
    prefix = scope = follow = None
    for line in text.splitlines():
        stated = _PREFIX.match(line)
        if stated:
            prefix = stated[1]
            scope = frozenset(re.findall(r"`([\w/]+)\.py`", stated[2])) if stated[2] else None
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if cells and cells[0] in ("word", "value"):
            follow = cells[0] == "word"
        elif cells and re.fullmatch(r"\d+|0x[0-9A-F]+", cells[0]):
            for i, name in enumerate(re.findall(r"`(\w+)`", cells[1])):
                number = str(int(cells[0]) + i) if follow and i else cells[0]
                found.append((prefix + name, number, scope))
    return found


def known_words(module=None):
    """{name of a constant: its number as text}, of all that modules share, in order.

    `module`, as "phy/spi": of what is for that module.
    """
    words = page_words(PAGE.read_text())
    words = [
        (name, number)
        for name, number, scope in words
        if (scope and module in scope) or (not scope and not module)
    ]
    if not module:
        first = dict(words)["_COUNTERS"]
        text = (PACKAGE / "core" / "counters.py").read_text()
        names = ast.literal_eval(re.search(r"^_NAMES = (\(.*?^\))", text, re.M | re.S)[1])
        words += [(f"_C_{n.upper()}", str(int(first) + i)) for i, n in enumerate(names.split())]
        text = (PACKAGE / "errno.py").read_text()
        errnos = re.findall(r"^(E\w+) = (\d+)$", text, re.M)
        words += [(f"_{name}", number) for name, number in errnos]
    known = dict(words)
    if len(known) != len(words):
        twice = sorted({name for name, _ in words if sum(n == name for n, _ in words) > 1})
        raise Missing(f"{', '.join(twice)}: more than once in docs/layout.md")
    return known


def _uses(text):
    """The names that are read in a module."""
    nodes = ast.walk(ast.parse(text))
    return {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}


def unused(text):
    """Private constants of a module that it does not use."""
    used = _uses(text)
    return [name for name, _ in _LINE.findall(text) if name not in used]


def written(text, known, guest=False):
    """The module with its block as it should be; ValueError where a name means something else."""
    own = dict(_LINE.findall(text))
    ours = {}  # those that the block has
    used = _uses(text)
    for name, number in known.items():
        if name in own and int(own[name], 0) != int(number, 0):
            if not guest:
                raise ValueError(f"{name} is {number} in docs/layout.md, not {own[name]}")
        elif name in own or (name in used and not guest):
            ours[name] = number
    body = _LINE.sub(lambda m: "\0" if m[1] in ours else m[0], text.replace(MARK + "\n", ""))
    block = ""
    last = None
    for name, number in ours.items():
        if name in used:
            # A line between those that have different prefixes: _T_, _F_, _C_, none.
            prefix = re.match(r"_[A-Z]_|_E(?=[A-Z]+$)|_", name)[0]
            block += "\n" if last not in (None, prefix) else ""
            block += f"{name} = const({number})\n"
            last = prefix
    if not block:
        return body.replace("\0", "")
    if "\0" not in body:
        imports = _IMPORTS.search(body)
        if not imports:
            raise ValueError(f"{', '.join(ours)}: 'from micropython import const' is missing")
        at = imports.end()
        body = body[:at] + "\0" + body[at:]
    before, _, after = body.partition("\0")
    after = after.replace("\0", "").lstrip("\n")
    # Where lines were taken away, no more than one empty line stays, but before code.
    constants, code, rest = re.match(
        r"(.*?)((?:^(?:#.*\n)*(?:@|def |class )|\Z))(.*)", after, _ALL
    ).groups()
    after = re.sub(r"\n{3,}(?=(?:#.*\n)*\w)", "\n\n", constants) + code + rest
    gap = "\n\n" if re.match(r"(?:#.*\n)*(?:@|def |class )", after) else "\n"
    return f"{before.rstrip()}\n\n{MARK}\n{block}{gap}{after}"


def modules():
    """[(path, what it may know, whether it is a guest)] of the modules that have a block."""
    shared = known_words()
    for floor in (*STACK, *GUESTS):
        for path in sorted((PACKAGE / floor).rglob("*.py")):
            yield path, shared, floor in GUESTS
    named = {name for _, _, scope in page_words(PAGE.read_text()) if scope for name in scope}
    for name in sorted(named):
        yield PACKAGE / f"{name}.py", known_words(name), False


def update(check=False):
    """Writes the blocks, or with `check` says which differ; the status, 0 for good."""
    status = 0
    for path, known, guest in modules():
        text = path.read_text()
        try:
            right = written(text, known, guest)
        except ValueError as problem:
            say(f"{path.relative_to(ROOT)}: {problem}")
            status = 1
            continue
        if right != text and check:
            say(f"{path.relative_to(ROOT)}: its constants are stale: 'make format' writes them")
            status = 1
        elif right != text:
            path.write_text(right)
    for path in sorted(PACKAGE.rglob("*.py")):
        for name in unused(path.read_text()):
            say(f"{path.relative_to(ROOT)}: {name} is not used")
            status = 1
    return status


if __name__ == "__main__":
    main(lambda: update("--check" in sys.argv))
