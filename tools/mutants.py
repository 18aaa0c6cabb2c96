"""Changes one thing at a time in the stack and lists the changes that no scenario notices.

    python3 -m tools.mutants [--sample N] [--seed N] [--least PERCENT] [--jobs N] [PATH...]

A sample of N changes (0: all) of the sources in PATH (by default core to tcp, and services,
without the editions in assembly), drawn from the seed: no statement has its second before each has
had its first. Each is tried with the scenarios of tests/conformance on CPython (mutants_run.py);
what may be changed, mutate.py says. What is on disk stays as it is.

Changes that mean the same as the source are listed with the reason in mutants_equivalent.txt, and
are not counted. Status 1 if fewer than PERCENT of the others were noticed.

mutmut and cosmic-ray were tried. mutmut leaves functions with decorators alone, and all that is
viper has one; cosmic-ray rewrites files in the tree and starts the tests anew for each change.
"""

import argparse
import ast
import collections
import functools
import random
import time

from tools import layout, mutants_run, mutate
from tools.common import ROOT, Missing, main, say

SHARED = tuple(f"smolmpy/{part}" for part in ("core", "link", "ip", "iface", "sockets", "tcp"))
PATHS = (*SHARED, "smolmpy/services")
EQUIVALENT = ROOT / "tools" / "mutants_equivalent.txt"


def read_equivalent(text):
    """{key of a change: why it means the same}.

    Blocks of lines, with an empty line between: the file and the function; "- " and the line
    before; "+ " and the line after, or several for one reason; the reason. "(number 2)" after the
    function: the second such line in it. Lines that begin with "#" say nothing.
    """
    found = {}
    for block in text.split("\n\n"):
        lines = [line for line in block.splitlines() if not line.startswith("#")]
        if not lines:
            continue
        try:
            (path, where, *number), before, *rest = lines[0].split(), *lines[1:]
            number = int(number[1].rstrip(")")) if number else 1
            after = [line[2:] for line in rest if line[:2] in ("+ ", "+")]
            reason = [line.strip() for line in rest[len(after) :]]
            assert before[:2] == "- " and after and reason
        except (ValueError, IndexError, AssertionError):
            raise Missing(f"This block is not as it should be:\n{block}") from None
        for line in after:
            key = path, where, before[2:], line, number
            if key in found:
                raise Missing(f"This is listed twice:\n{block}")
            found[key] = " ".join(reason)
    return found


def draw(mutants, sample, seed):
    """`sample` of the mutants, or all where that is 0: one of each statement first."""
    chance = random.Random(seed)
    mutants = list(mutants)
    chance.shuffle(mutants)
    turns = {}
    ordered = []
    for mutant in mutants:
        place = mutant.path, mutant.statement
        turns[place] = turn = turns.get(place, 0) + 1
        ordered.append((turn, len(ordered), mutant))
    return [mutant for _, _, mutant in sorted(ordered)[: sample or None]]


def held(texts, words=()):
    """Where constants are set that several files set, or `words` has: {(path, line, column)}.

    tests/test_layout.py finds in the text where the former disagree, and where the latter, which
    docs/layout.md describes, are not as that says; a scenario need not.
    """
    places = {}
    for path, text in texts.items():
        for node in ast.parse(text).body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                place = path, node.lineno, node.col_offset
                places.setdefault(node.targets[0].id, []).append(place)
    return {
        place
        for name, found in places.items()
        if len(found) > 1 or name in words
        for place in found
    }


class Reach:
    """Which tests a change may concern."""

    def __init__(self, scenarios):
        self.scenarios = scenarios
        self.shared = set()  # names that one module imports from another
        for _, text, _ in scenarios.sources.modules.values():
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.ImportFrom):
                    self.shared |= {alias.name for alias in node.names}
        self.files = {}  # tests by path
        for place, tests in scenarios.reached.items():
            self.files.setdefault(place[0], set()).update(tests)
        self.uses = functools.cache(self._uses)

    def _uses(self, path):
        """What the statements of a file name: [(place, names read, names set)], in its order."""
        found = []
        for statement in ast.walk(ast.parse(self.scenarios.sources.text(path))):
            if isinstance(statement, ast.stmt):
                names = [n for n in _own(statement) if isinstance(n, ast.Name)]
                read = {n.id for n in names if isinstance(n.ctx, ast.Load)}
                place = path, statement.lineno, statement.col_offset
                found.append((place, read, {n.id for n in names} - read))
        return sorted(found, key=lambda use: use[0])

    def tests(self, mutant):
        """Their names, the quick ones first."""
        place = mutant.path, *mutant.statement
        if mutant.local:
            return self.scenarios.order(self.scenarios.reached.get(place, ()))
        # A constant of a module: who comes by a statement that names it, or one made of it.
        uses = self.uses(mutant.path)
        wanted = next((set(made) for own, _, made in uses if own == place), set())
        found = set()
        for own, read, made in uses:
            if read & wanted:
                wanted |= made if own[2] == 0 else set()
                found |= set(self.scenarios.reached.get(own, ()))
        if not found or wanted & self.shared:
            found = self.files.get(mutant.path, ())
        return self.scenarios.order(found)


def _own(statement):
    """The nodes of a statement without those of the statements in it."""
    for child in ast.iter_child_nodes(statement):
        if not isinstance(child, (ast.stmt, ast.ExceptHandler)):
            yield child
            yield from _own(child)


def _sources(paths):
    """The files in the paths that are changed: {path: text}."""
    found = {}
    for name in paths:
        place = ROOT / name
        if not place.exists():
            raise Missing(f"There is no {name}.")
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            if not path.stem.endswith(("_thumb", "_rv32")):
                found[str(path.resolve().relative_to(ROOT))] = path.read_text()
    return found


def conformance(jobs=None, only="test_*.py"):
    """The scenarios of this project, and what they import; `only` is a pattern of their files."""
    folders = ["tests/conformance", "tests/cpython", "examples"]
    sources = mutants_run.Sources(ROOT, ["smolmpy"], folders)
    modules = sorted(path.stem for path in (ROOT / folders[0]).glob(only))
    return mutants_run.Scenarios(sources, modules, jobs)


def hunt(scenarios, paths, sample, seed, progress=lambda text: None):
    """Yields (mutant, the test that noticed it, or None) for a sample of the changes of `paths`.

    Where no scenario comes by, None as well.
    """
    texts = {path: scenarios.sources.text(path) for path in paths}
    everything = [m for path, text in texts.items() for m in mutate.mutants(path, text)]
    known = scenarios.sources.modules.values()
    of_stack = {path: text for path, text, _ in known if path.startswith(SHARED)}
    shared = held(of_stack, layout.known_words())
    everything = [m for m in everything if (m.path, *m.statement) not in shared]
    chosen = []
    for mutant in draw(everything, 0, seed):
        text = mutant.apply(texts[mutant.path])
        if text is not None:
            chosen.append((mutant, text))
        if len(chosen) == sample:
            break
    progress(f"{len(everything)} changes, {len(chosen)} of them tried; first without any.")
    scenarios.look(texts)
    reach = Reach(scenarios)
    # What has noticed most in a file is asked first.
    noticed = {path: collections.Counter() for path in texts}

    def changes():
        for mutant, text in chosen:
            tests = reach.tests(mutant)
            tests.sort(key=lambda test: -noticed[mutant.path][test])
            yield mutant.path, text, tests

    for index, test in scenarios.judge(changes()):
        noticed[chosen[index][0].path][test] += 1
        yield chosen[index][0], test


def _main():
    parser = argparse.ArgumentParser(prog="make mutants")
    parser.add_argument("paths", nargs="*", default=PATHS, metavar="PATH")
    parser.add_argument("--sample", type=int, default=200, help="how many; 0: all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--least", type=float, default=0, help="percent that have to be noticed")
    parser.add_argument("--jobs", type=int, help="how many at once; all processors")
    parser.add_argument("--verbose", action="store_true", help="list those that were noticed")
    chosen = parser.parse_args()
    equivalent = read_equivalent(EQUIVALENT.read_text())
    paths = _sources(chosen.paths)
    start = time.monotonic()
    killed, same, survivors = 0, 0, []
    for mutant, test in hunt(conformance(chosen.jobs), paths, chosen.sample, chosen.seed, say):
        if chosen.verbose and test:
            say(f"{mutant}\n  {test}")
        if test and mutant.key in equivalent:
            say(f"Listed as equivalent, but {test} fails:\n{mutant}")
        if test:
            killed += 1
        elif mutant.key in equivalent:
            same += 1
        else:
            survivors.append(mutant)
            say(f"survives: {mutant}")
    tried = killed + len(survivors)
    rate = 100 * killed / max(tried, 1)
    say(
        f"{tried} changes, {killed} noticed: {rate:.1f} %; {len(survivors)} survive; "
        f"{same} more mean the same. {time.monotonic() - start:.0f} s, seed {chosen.seed}."
    )
    return 0 if rate >= chosen.least else 1


if __name__ == "__main__":
    main(_main)
