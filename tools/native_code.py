"""The machine code that mpy-cross makes of a source file, function by function."""

import ast
import functools
import importlib.util
import sys
import tempfile
from pathlib import Path

from tools import source
from tools.common import Missing, run

_DECORATORS = ("viper", "native", "asm_thumb", "asm_rv32")


@functools.cache
def _mpy_tool():
    """MicroPython's own reader of .mpy files, as a module."""
    top = source.find()
    folders = [str(top / "tools"), str(top / "py")]
    sys.path[:0] = folders
    try:
        spec = importlib.util.spec_from_file_location("mpy_tool", top / "tools" / "mpy-tool.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        del sys.path[: len(folders)]
    return module


def machine_code(path):
    """The machine code of each function in a .mpy file, in the order of the source."""
    tool = _mpy_tool()
    tool.config.native_arch = tool.MP_NATIVE_ARCH_NONE
    tool.global_qstrs = tool.GlobalQStrList()

    def walk(code):
        if code.code_kind != tool.MP_CODE_BYTECODE:
            yield bytes(code.fun_data)
        for child in code.children or ():
            yield from walk(child)

    return list(walk(tool.read_mpy(str(path)).raw_code))


def _definitions(path):
    """(kind, node) of the functions with machine code in a source file, in the right order."""

    def walk(node):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef):
                for each in child.decorator_list:
                    if getattr(each, "attr", "") in _DECORATORS:
                        yield each.attr, child
            yield from walk(child)

    return list(walk(ast.parse(Path(path).read_text())))


def functions(compiler, path, arch):
    """[(kind, node, code)] of a source file: the decorator's name, the definition as an AST, and
    what `compiler` makes of it for `arch`."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "out.mpy"
        run(compiler, f"-march={arch}", "-O3", "-o", target, path)
        found = machine_code(target)
    nodes = _definitions(path)
    if len(nodes) != len(found):
        raise Missing(f"{path}: {len(nodes)} functions in the source, {len(found)} compiled.")
    return [(*node, code) for node, code in zip(nodes, found, strict=True)]
