"""Makes build/bytecode/smolmpy: the edition for interpreters without a native code emitter.

It is the one source with its decorators `@micropython.viper` and `@micropython.native` left out,
and with the casts of viper functions (`ptr8(x)`, `ptr16(x)`, `ptr32(x)`, `uint(x)`, `int(x)`)
reduced to `(x)`, which is what they mean where every integer is an object. Line numbers stay as
they are. Modules named in EMITTERS exist for one emitter only and have a plain twin.
"""

import ast
import io
import shutil
import tokenize

from tools.common import BUILD, ROOT, main

BYTECODE = BUILD / "bytecode"
EMITTERS = ("viper", "thumb", "rv32")
_DECORATORS = ("viper", "native")
_POINTERS = ("ptr8", "ptr16", "ptr32", "uint")


def left_out(path):
    """True for a module that only a native emitter can compile and that has a twin without."""
    return path.stem in EMITTERS or path.stem.endswith(tuple(f"_{name}" for name in EMITTERS))


def _is_emitter(decorator):
    return (
        isinstance(decorator, ast.Attribute)
        and decorator.attr in _DECORATORS
        and isinstance(decorator.value, ast.Name)
        and decorator.value.id == "micropython"
    )


def _places(tree):
    """The lines to leave out, and where the names of the casts to leave out begin."""
    decorators, casts = set(), set()
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        emitters = [line for line in function.decorator_list if _is_emitter(line)]
        decorators.update(line.lineno for line in emitters)
        names = _POINTERS
        if any(line.attr == "viper" for line in emitters):
            names += ("int",)
        for call in ast.walk(function):
            if (
                isinstance(call, ast.Call)
                and isinstance(call.func, ast.Name)
                and call.func.id in names
                and len(call.args) == 1
                and not call.keywords
            ):
                casts.add((call.lineno, call.col_offset))
    return decorators, casts


def convert(source):
    """Returns the bytecode edition of a module's source text."""
    decorators, casts = _places(ast.parse(source))
    # ast counts columns in bytes of UTF-8, tokenize in characters, so one is put in terms of
    # the other; only names are dropped, the parentheses of a cast stay.
    lines = source.splitlines(keepends=True)
    dropped = {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        row, column = token.start
        offset = len(lines[row - 1][:column].encode()) if row <= len(lines) else 0
        if token.type == tokenize.NAME and (row, offset) in casts:
            dropped.setdefault(row, []).append((column, token.end[1]))
    for row, spans in dropped.items():
        line = lines[row - 1]
        for start, end in reversed(spans):
            line = line[:start] + line[end:]
        lines[row - 1] = line
    for row in decorators:
        lines[row - 1] = "\n"
    return "".join(lines)


def ensure():
    """Brings build/bytecode up to date and returns it: the folder to put on the module path."""
    wanted = set()
    for path in sorted((ROOT / "smolmpy").rglob("*.py")):
        if left_out(path):
            continue
        target = BYTECODE / path.relative_to(ROOT)
        wanted.add(target)
        text = convert(path.read_text())
        if not target.exists() or target.read_text() != text:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
    for path in BYTECODE.rglob("*.py"):
        if path not in wanted:
            path.unlink()
    return BYTECODE


def _main():
    shutil.rmtree(BYTECODE, ignore_errors=True)
    print(ensure())


if __name__ == "__main__":
    main(_main)
