"""What can be changed in a source, one thing at a time, so that a test ought to notice.

The changes are those that people make by mistake: a comparison, a constant by one, an operator, a
condition or a part of it, a statement that is missing. Each is an edit of the text, so what is
listed can be read, and done by hand. Texts, docstrings, annotations, decorators, imports and what
is said in a `raise` stay as they are, and so does the first assignment of a local variable:
without it nothing runs at all, which would flatter the tests.
"""

import ast
import re
from dataclasses import dataclass

_COMPARE = {
    ast.Lt: ("<", "<=", ">="),
    ast.LtE: ("<=", "<", ">"),
    ast.Gt: (">", ">=", "<="),
    ast.GtE: (">=", ">", "<"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
}
_BINARY = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "//"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "//"),
    ast.LShift: ("<<", ">>"),
    ast.RShift: (">>", "<<"),
    ast.BitAnd: ("&", "|"),
    ast.BitOr: ("|", "&"),
    ast.BitXor: ("^", "|"),
}
_CASTS = ("ptr", "ptr8", "ptr16", "ptr32", "uint", "int", "const", "bytes", "memoryview")
_REMOVED = (ast.Expr, ast.Assign, ast.AugAssign, ast.Return, ast.Raise, ast.Break, ast.Continue)


@dataclass(frozen=True)
class Mutant:
    """One change: `new` stands for the bytes [start:end] of the source.

    `statement`: line and column where the innermost statement begins that the change is in;
    `local`: that statement is in a function.
    `key`: the file, the function, and the changed line before and after; that stays when the
    lines around it change. `number` tells equal ones of one function apart.
    """

    path: str
    line: int
    statement: tuple
    local: bool
    start: int
    end: int
    new: str
    where: str
    before: str
    after: str
    number: int = 1

    @property
    def key(self):
        return self.path, self.where, self.before, self.after, self.number

    def apply(self, source):
        """The whole text with the change; None where that is no Python, as brackets are torn."""
        data = source.encode()
        edited = (data[: self.start] + self.new.encode() + data[self.end :]).decode()
        try:
            ast.parse(edited)
        except SyntaxError:
            return None
        return edited

    def __str__(self):
        which = f" (number {self.number})" if self.number > 1 else ""
        return f"{self.path}:{self.line} {self.where}{which}\n  - {self.before}\n  + {self.after}"


class _Changes(ast.NodeVisitor):
    def __init__(self, path, source):
        self.path = path
        self.data = source.encode()
        self.lines = [0]
        for line in self.data.split(b"\n"):
            self.lines.append(self.lines[-1] + len(line) + 1)
        self.where = []
        self.statement = None
        self.local = False
        self.bound = set()
        self.alone = set()
        self.clamping = set()
        self.last = None
        self.found = {}

    # Places in the text.

    def begin(self, node):
        return self.lines[node.lineno - 1] + node.col_offset

    def stop(self, node):
        return self.lines[node.end_lineno - 1] + node.end_col_offset

    def text(self, node):
        return self.data[self.begin(node) : self.stop(node)].decode()

    def change(self, start, end, new):
        """Notes a change of the text, by its first and last line."""
        first = self.data.rfind(b"\n", 0, start) + 1
        last = self.data.find(b"\n", end)
        before = " ".join(self.data[first:last].decode().split())
        after = self.data[first:start].decode() + new + self.data[end:last].decode()
        after = " ".join(after.split())
        line = self.data.count(b"\n", 0, start) + 1
        at = self.statement.lineno, self.statement.col_offset
        where = ".".join(self.where) or "(module)"
        self.found[start, end, new] = line, at, self.local, start, end, new, where, before, after

    def between(self, left, right, old, new):
        """Changes the operator between two operands, which may stand in brackets."""
        start, end = self.stop(left), self.begin(right)
        pattern = old.replace(" ", r"\s+") if old[0].isalpha() else re.escape(old)
        place = re.search(pattern.encode(), self.data[start:end])
        if place:
            self.change(start + place.start(), start + place.end(), new)

    # Statements.

    def visit(self, node):
        # What is assigned, returned, handed over or chosen: a 0 or 1 there is false or true.
        for field in ("value", "args", "body", "orelse"):
            found = getattr(node, field, ())
            if not isinstance(node, (ast.Subscript, ast.AugAssign)):
                self.alone |= {*found} if isinstance(found, list) else {found}
        if not isinstance(node, ast.stmt):
            return super().visit(node)
        outer, self.statement = self.statement, node
        if self.removable(node):
            self.change(self.begin(node), self.stop(node), "pass")
        super().visit(node)
        self.statement = outer

    def removable(self, node):
        if not isinstance(node, _REMOVED) or not self.local:
            return False
        if isinstance(node, ast.Expr):
            return not isinstance(node.value, ast.Constant)
        if isinstance(node, ast.Return):
            # At its end a function returns None, which is as false as what stands there.
            return node is not self.last or getattr(node.value, "value", True)
        if isinstance(node, ast.Assign):
            names = {n.id for target in node.targets for n in ast.walk(target) if _stored(n)}
            if names and not names <= self.bound:
                self.bound |= names
                return False
            return not self.cast(node)
        return True

    def cast(self, node):
        """`x = ptr8(x)`: on CPython that changes nothing."""
        call = node.value
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            return False
        same = [self.text(node.targets[0])] == [self.text(arg) for arg in call.args]
        return same and call.func.id in _CASTS

    def function(self, node):
        for default in (*node.args.defaults, *node.args.kw_defaults):
            if default:
                self.visit(default)
        outer, self.bound = self.bound, {arg.arg for arg in ast.walk(node.args) if _argument(arg)}
        for inner in ast.walk(node):
            if isinstance(inner, (ast.For, ast.comprehension)):
                self.bound |= {n.id for n in ast.walk(inner.target) if _stored(n)}
            elif isinstance(inner, ast.Global):
                self.bound |= set(inner.names)
        local, self.local = self.local, True
        last, self.last = self.last, node.body[-1]
        self.where.append(node.name)
        for statement in node.body:
            self.visit(statement)
        self.where.pop()
        self.last = last
        self.local = local
        self.bound = outer

    visit_FunctionDef = visit_AsyncFunctionDef = function

    def visit_ClassDef(self, node):
        self.where.append(node.name)
        for statement in node.body:
            self.visit(statement)
        self.where.pop()

    def visit_AnnAssign(self, node):
        if node.value:
            self.visit(node.value)

    def visit_Import(self, node):
        pass

    visit_ImportFrom = visit_Import

    def visit_Raise(self, node):
        pass

    def visit_AugAssign(self, node):
        old, new = _BINARY.get(type(node.op), (None, None))
        if old:
            self.between(node.target, node.value, old + "=", new + "=")
        self.generic_visit(node)

    def visit_If(self, node):
        for new in ("True", "False"):
            self.change(self.begin(node.test), self.stop(node.test), new)
        if self.clamps(node):
            self.clamping.add(node.test)
        self.generic_visit(node)

    visit_IfExp = visit_If

    def clamps(self, node):
        """`if x > y: x = y`, `x if x < y else y`: where they are equal either way is the same."""
        test = node.test
        if not isinstance(test, ast.Compare) or len(test.ops) != 1:
            return False
        pair = {self.text(test.left), self.text(test.comparators[0])}
        if isinstance(node, ast.IfExp):
            return {self.text(node.body), self.text(node.orelse)} == pair
        only = node.body[0]
        if node.orelse or len(node.body) > 1 or not isinstance(only, ast.Assign):
            return False
        return {self.text(only.targets[0]), self.text(only.value)} == pair

    def visit_While(self, node):
        if not isinstance(node.test, ast.Constant):
            self.change(self.begin(node.test), self.stop(node.test), "False")
        self.generic_visit(node)

    # Expressions.

    def visit_Compare(self, node):
        left = node.left
        for op, right in zip(node.ops, node.comparators, strict=True):
            old, *others = _COMPARE[type(op)]
            for new in others:
                if node not in self.clamping or new[0] != old[0]:
                    self.between(left, right, old, new)
            left = right
        self.generic_visit(node)

    def visit_BoolOp(self, node):
        old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        values = node.values
        for left, right in zip(values, values[1:], strict=False):
            self.between(left, right, old, new)
            self.change(self.stop(left), self.stop(right), "")
        self.change(self.begin(values[0]), self.begin(values[1]), "")
        self.generic_visit(node)

    def visit_UnaryOp(self, node):
        self.change(self.begin(node), self.begin(node.operand), "")
        if isinstance(node.operand, ast.Constant) and node.operand.value == 1:
            self.change(self.begin(node), self.stop(node), "0")  # as "none", -2 is as good as -1
        else:
            self.generic_visit(node)

    def visit_BinOp(self, node):
        old, new = _BINARY.get(type(node.op), (None, None))
        nothing = isinstance(node.right, ast.Constant) and node.right.value == 0
        if old and not (nothing and old in "+-|^"):
            self.between(node.left, node.right, old, new)
        if old in ("+", "-") and not nothing:
            self.change(self.stop(node.left), self.stop(node.right), "")
        self.generic_visit(node)

    def visit_Constant(self, node):
        value = node.value
        if value is True or value is False:
            self.change(self.begin(node), self.stop(node), str(not value))
        elif isinstance(value, int):
            style = hex if self.text(node)[:2].lower() == "0x" else str
            alone = value < 2 and node in self.alone
            for new in [1 - value] if alone else [value + 1, value - 1]:
                if new >= 0:
                    self.change(self.begin(node), self.stop(node), style(new))

    def visit_JoinedStr(self, node):
        pass


def _stored(node):
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)


def _argument(node):
    return isinstance(node, ast.arg)


def mutants(path, source):
    """Every change of a source, in the order of the text."""
    changes = _Changes(path, source)
    changes.visit(ast.parse(source))
    seen = {}
    found = []
    for _, fields in sorted(changes.found.items()):
        mutant = Mutant(path, *fields)
        seen[mutant.key] = number = seen.get(mutant.key, 0) + 1
        found.append(Mutant(path, *fields, number))
    return found
