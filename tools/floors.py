"""The floors of smolmpy, read from its imports."""

import ast

from tools.common import ROOT

PACKAGE = ROOT / "smolmpy"
# From the roof to the ground. `phy` stands beside them: boards join it to an interface.
FLOORS = ("compat", "services", "tcp", "sockets", "iface", "ip", "link", "core", "wire", "kernel")
BESIDE = {"phy": ("phy", "wire", "kernel", "errno")}
# In the package's own folder: what everybody may import, and the doors, which name modules of the
# roof as programs do.
LEAVES = ("errno", "net")
DOORS = ("__init__", "socket", "network", "aio")


def sources():
    """{module, as "tcp.input": its text}."""
    return {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path.read_text()
        for path in sorted(PACKAGE.rglob("*.py"))
    }


def imports(text, module):
    """The modules of the package that a module imports, wherever in its text it does so."""
    parts = module.split(".")[:-1]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom):
            if node.level:
                base = parts[: len(parts) - node.level + 1]
            elif node.module and node.module.split(".")[0] == "smolmpy":
                base = []
            else:
                continue
            name = node.module.removeprefix("smolmpy").strip(".") if node.module else ""
            base = [*base, *filter(None, name.split("."))]
            for alias in node.names:
                whole = len(base) > 1 or base and base[0] in LEAVES
                yield ".".join(base if whole else [*base, alias.name])
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "smolmpy":
                    yield alias.name.removeprefix("smolmpy").strip(".")
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "__import__":
            name = node.args[0]
            if isinstance(name, ast.Constant) and name.value.startswith("smolmpy."):
                yield name.value.removeprefix("smolmpy.")


def allowed(floor):
    """The floors that one may import from."""
    if floor in LEAVES:
        return ()
    if floor in BESIDE:
        return BESIDE[floor]
    return (*FLOORS[FLOORS.index(floor) :], *LEAVES)


def upward(modules):
    """[(module, what it imports)] of {module: text} where that is not below."""
    wrong = []
    for module, text in modules.items():
        floor = module.split(".")[0]
        if floor not in DOORS:
            below = allowed(floor)
            found = imports(text, module)
            wrong += [(module, other) for other in found if other.split(".")[0] not in below]
    return wrong


def arrows():
    """{(floor, floor below): how many imports}, of those that leave their floor."""
    counted = {}
    for module, text in sources().items():
        floor = module.split(".")[0]
        for other in set(imports(text, module)) if floor not in DOORS else ():
            to = other.split(".")[0]
            if to != floor:
                counted[floor, to] = counted.get((floor, to), 0) + 1
    return counted
