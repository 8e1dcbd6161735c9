"""Mutation testing: which small faults in hierarchy/, layers/ and injection/ do the tests notice?

    pip install coverage
    python benchmarks/mutation.py cover                       # runs the tests once: which of them run which line
    python benchmarks/mutation.py try --lane 0 --lanes 2 &    # one process a core; goes on where it was stopped
    python benchmarks/mutation.py try --lane 1 --lanes 2
    python benchmarks/mutation.py report                      # counts, and every fault that no test noticed

A fault is one changed operator, comparison, constant, condition, call or return. For each, a process forks, gets the
fault, and runs the tests that cover the line, those of the module's own file first, for as many seconds of tests as
`--most` says: one that has collected all tests and changes a function in place, or, for what runs at import, one that
imports Strata anew. `--again survived --tried 8 --most 40` tries what survived 8 seconds of tests with the rest of 40.
A fault that survives may be none: the report names the line.
"""

from __future__ import annotations

import argparse
import ast
import gc
import importlib.machinery
import inspect
import json
import os
import random
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import _lru_cache_wrapper
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

ROOT = Path(__file__).parents[1]
PACKAGES = ("hierarchy", "layers", "injection")
BESIDE = ("tests/analysis", "tests/test_pictures.py", "tests/cli/test_lost.py")
TESTS = (*(f"tests/{package}" for package in PACKAGES), *BESIDE)
OUT = ROOT / "out" / "mutation"
OPTIONS = ("-q", "-m", "not slow", "-p", "no:cacheprovider", "-p", "no:xdist", "--hypothesis-seed=0", "--tb=no")

COMPARISONS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
OPERATORS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.Div: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr,
}  # fmt: skip
NAMES = {"max": "min", "any": "all", "floor": "ceil", "amax": "amin", "argmax": "argmin", "minimum": "maximum"}
NAMES |= {other: name for name, other in NAMES.items()}
HARMLESS = {"strict", "ensure_ascii", "frozen", "slots", "exist_ok", "stacklevel", "repr", "copy"}
"""Keywords that change nothing that a test could see."""

Edit = Callable[[Any], None] | ast.AST
"""Changes a node in place, or is what it is replaced by."""


def _nodes(node: ast.AST) -> Iterator[ast.AST]:
    """What can hold a fault: no annotations, decorators, imports, messages."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "bases"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or isinstance(child, ast.Import | ast.ImportFrom | ast.JoinedStr):
                continue
            if isinstance(child, ast.keyword) and child.arg in HARMLESS:
                continue
            if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                continue
            if isinstance(child, ast.Subscript) and ast.unparse(child.value) in ("Literal", "Annotated", "ClassVar"):
                continue
            yield child
            yield from _nodes(child)


def _edits(node: Any) -> Iterator[tuple[str, Edit]]:
    """The faults of one node, by what they are called."""
    match node:
        case ast.Compare():
            for i, op in enumerate(node.ops):
                if new := COMPARISONS.get(type(op)):
                    yield f"{type(op).__name__} to {new.__name__}", lambda n, i=i, new=new: n.ops.__setitem__(i, new())
        case ast.BinOp() | ast.AugAssign() if new := OPERATORS.get(type(node.op)):
            yield f"{type(node.op).__name__} to {new.__name__}", lambda n: setattr(n, "op", new())
        case ast.BoolOp():
            other = ast.Or if isinstance(node.op, ast.And) else ast.And
            yield f"{type(node.op).__name__} to {other.__name__}", lambda n: setattr(n, "op", other())
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield f"without {type(node.op).__name__}", node.operand
        case ast.Constant(value=bool()):
            yield f"{node.value} to {not node.value}", lambda n: setattr(n, "value", not n.value)
        case ast.Constant(value=int() | float()):
            yield f"{node.value} to {node.value + 1}", lambda n: setattr(n, "value", n.value + 1)
        case ast.Name(ctx=ast.Load()) if node.id in NAMES:
            yield f"{node.id} to {NAMES[node.id]}", lambda n: setattr(n, "id", NAMES[n.id])
        case ast.Attribute(ctx=ast.Load()) if node.attr in NAMES:
            yield f"{node.attr} to {NAMES[node.attr]}", lambda n: setattr(n, "attr", NAMES[n.attr])
        case ast.If() | ast.While() | ast.IfExp() if not isinstance(node.test, ast.Compare | ast.UnaryOp):
            yield "if to if not", lambda n: setattr(n, "test", ast.UnaryOp(ast.Not(), n.test))
        case ast.comprehension() if node.ifs:
            yield "without if", lambda n: setattr(n, "ifs", [])
        case ast.Break():
            yield "break to continue", ast.Continue()
        case ast.Continue():
            yield "continue to break", ast.Break()
        case ast.Raise():
            yield "without raise", ast.Pass()
        case ast.Expr(value=ast.Call()):
            yield "without the call", ast.Pass()
        case ast.Return() if node.value is not None and not isinstance(node.value, ast.Constant):
            yield "return None", lambda n: setattr(n, "value", ast.Constant(None))


class _Replaced(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> Any:
        return self.new if node is self.old else super().visit(node)


def faults(source: str) -> Iterator[tuple[int, str, tuple[int, int]]]:
    """Line, name and key of every fault that a module can have."""
    line = 1
    for i, node in enumerate(_nodes(ast.parse(source))):
        line = getattr(node, "lineno", line)
        for j, (what, _) in enumerate(_edits(node)):
            yield line, what, (i, j)


def faulty(source: str, key: tuple[int, int]) -> ast.AST:
    """The module with one fault in it."""
    tree = ast.parse(source)
    node = list(_nodes(tree))[key[0]]
    edit = list(_edits(node))[key[1]][1]
    if isinstance(edit, ast.AST):
        tree = _Replaced(node, edit).visit(tree)
    else:
        edit(node)
    return ast.fix_missing_locations(tree)


class _Watch:
    """A pytest plugin: notes for every test how long it takes and which lines it runs."""

    def __init__(self) -> None:
        import coverage

        self.coverage = coverage.Coverage(str(OUT / "coverage"), source=[str(ROOT / p) for p in PACKAGES])
        self.seconds: Counter[str] = Counter()

    def pytest_sessionstart(self) -> None:
        self.coverage.start()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.coverage.switch_context(nodeid)

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.seconds[report.nodeid] += report.duration

    def pytest_sessionfinish(self) -> None:
        self.coverage.stop()
        self.coverage.save()
        (OUT / "seconds.json").write_text(json.dumps(self.seconds))


def cover(tests: list[str]) -> None:
    """Run the tests once."""
    import pytest

    OUT.mkdir(parents=True, exist_ok=True)
    raise SystemExit(pytest.main(["-q", "-m", "not slow", "-p", "no:xdist", *tests], plugins=[_Watch()]))


def plan(most: float, tried: float = 0) -> list[dict[str, Any]]:
    """Every fault with the tests that may notice it, in an order drawn once: any part of it is a fair sample.

    Args:
        most: seconds of tests a fault.
        tried: without the tests of so many seconds.
    """
    from coverage import CoverageData

    data = CoverageData(str(OUT / "coverage"))
    data.read()
    lines = {os.path.realpath(f): data.contexts_by_lineno(f) for f in data.measured_files()}
    seconds: dict[str, float] = json.loads((OUT / "seconds.json").read_text())
    found = []
    for path in sorted(p for package in PACKAGES for p in (ROOT / package).rglob("*.py")):
        name, covered = str(path.relative_to(ROOT)), lines.get(os.path.realpath(path), {})

        def order(test: str, name: str = name) -> tuple[int, float]:
            own = f"test_{Path(name).stem}.py" in test, f"tests/{name.split('/')[0]}/" in test
            return -2 * own[0] - own[1], seconds.get(test, 1)

        every = {test for tests in covered.values() for test in tests if test}
        for line, what, key in faults(path.read_text()):
            # What runs when the module is imported runs in no test: all that use the module may notice.
            able = sorted(set(filter(None, covered.get(line, ()))) or every, key=order)
            firsts = {
                test.split("[")[0]: test for test in reversed(able)
            }.values()  # one of each parametrized test first
            wanted = list(dict.fromkeys([*sorted(firsts, key=order), *able]))
            before = set(_within(wanted, seconds, tried)) if tried else set()
            chosen = [test for test in _within(wanted, seconds, most) if test not in before]
            total = sum(seconds.get(test, 1) for test in chosen)
            found.append({"file": name, "line": line, "what": what, "key": key, "tests": chosen, "seconds": total})
    random.Random(0).shuffle(found)
    return found


def _within(tests: list[str], seconds: dict[str, float], most: float) -> Iterator[str]:
    """As many of the tests, in this order, as take so long, and one in any case."""
    total = 0.0
    for n, test in enumerate(tests):
        if n == 0 or total + seconds.get(test, 1) <= most:
            total += seconds.get(test, 1)
            yield test


def _alone() -> None:
    """In a fork: what it starts is its own, and nothing is printed."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)


def _fresh(fault: dict[str, Any]) -> bool:
    """Whether the tests notice a fault in a module that is yet to be imported."""
    path = os.path.realpath(ROOT / fault["file"])
    tree = faulty(Path(path).read_text(), tuple(fault["key"]))
    stock = importlib.machinery.SourceFileLoader.get_code

    def get_code(self: Any, fullname: str) -> Any:
        return compile(tree, self.path, "exec") if os.path.realpath(self.path) == path else stock(self, fullname)

    importlib.machinery.SourceFileLoader.get_code = get_code  # type: ignore[method-assign]
    sys.dont_write_bytecode = True
    import pytest

    return pytest.main([*fault["tests"], *OPTIONS, "-x"]) != 0


class _Collected:
    """A pytest plugin: tries faults within functions on tests that are collected once, functions changed in place."""

    def __init__(self, faults: list[dict[str, Any]], note: Callable[[dict[str, Any], str], None]) -> None:
        self.faults, self.note = faults, note

    def pytest_runtestloop(self, session: Any) -> bool:
        items = {item.nodeid: item for item in session.items}
        functions: dict[str, list[FunctionType]] = defaultdict(list)
        for thing in gc.get_objects():
            if isinstance(thing, _lru_cache_wrapper) and str(thing.__module__).startswith("strata."):
                thing.cache_clear()  # what was kept while tests were collected
            if isinstance(thing, FunctionType) and thing.__code__.co_filename.startswith(str(ROOT)):
                functions[os.path.realpath(thing.__code__.co_filename)].append(thing)
        gc.freeze()
        for fault in self.faults:
            changed = _changed(fault, functions[os.path.realpath(ROOT / fault["file"])])
            if changed is not None:
                tests = [items[test] for test in fault["tests"] if test in items]
                self.note(fault, outcome(fault, lambda changed=changed, tests=tests: _in_place(changed, tests)))
        return True


def _changed(fault: dict[str, Any], functions: list[FunctionType]) -> list[tuple[FunctionType, CodeType]] | None:
    """Functions and what a fault makes of them; None where it is in what runs at import, or in none of them."""
    source = (ROOT / fault["file"]).read_text()
    old = {_key(code): code for code in _codes(compile(ast.parse(source), "", "exec"))}
    new = {_key(code): code for code in _codes(compile(faulty(source, tuple(fault["key"])), "", "exec"))}
    others = {key for key, code in new.items() if key not in old or _own(code) != _own(old[key])}
    if not others or not all(new[key].co_flags & inspect.CO_OPTIMIZED for key in others):
        return None  # a module's or a class's body
    differ = {key for key in old.keys() & new.keys() if old[key] != new[key]}
    found = [(function, new[_key(function.__code__)]) for function in functions if _key(function.__code__) in differ]
    return found if all(f.__code__.co_freevars == code.co_freevars for f, code in found) and found else None


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _codes(inner)


def _key(code: CodeType) -> tuple[Any, ...]:
    return code.co_qualname, code.co_firstlineno, next(code.co_positions(), None), code.co_varnames


def _own(code: CodeType) -> tuple[Any, ...]:
    constants = [(type(x), x) for x in code.co_consts if not isinstance(x, CodeType)]
    return code.co_code, constants, code.co_names, code.co_freevars


def _in_place(changed: list[tuple[FunctionType, CodeType]], items: list[Any]) -> bool:
    """Whether the tests notice functions that are changed."""
    from _pytest.runner import runtestprotocol

    for function, code in changed:
        function.__code__ = code
    return any(
        report.failed
        for item, following in zip(items, [*items[1:], None], strict=True)
        for report in runtestprotocol(item, log=False, nextitem=following)
    )


def outcome(fault: dict[str, Any], notices: Callable[[], bool]) -> str:
    """What the tests make of a fault: noticed (killed, or they never end), survived, or no test runs the line."""
    if not fault["tests"]:
        return "uncovered"
    child = os.fork()
    if child == 0:
        try:
            _alone()
            os._exit(notices())
        finally:
            os._exit(3)
    found, end = "endless", time.monotonic() + 10 + 3 * fault["seconds"]
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            found = "killed" if os.waitstatus_to_exitcode(status) else "survived"
            break
        time.sleep(0.005)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # and whatever it started
    if found == "endless":
        os.waitpid(child, 0)
    return found


def attempt(lane: int, lanes: int, most: float, again: str | None, tried: float) -> None:
    """Try every fault of a lane that has no outcome yet; `again`: also those that had this one, but for what is new."""
    import diffusers
    import matplotlib.pyplot  # noqa: F401
    import peft  # noqa: F401
    import skimage  # noqa: F401
    import transformers
    from hypothesis.internal.conjecture.engine import ConjectureRunner

    ConjectureRunner.shrink_interesting_test_cases = lambda self: None  # type: ignore[method-assign]  # it fails: enough
    _ = diffusers.FluxPipeline, diffusers.ChromaPipeline, transformers.T5EncoderModel, transformers.CLIPTextModel
    mine = [fault for n, fault in enumerate(plan(most, tried)) if n % lanes == lane]
    begun = time.time()

    def left() -> list[dict[str, Any]]:
        done = [row for row in _rows() if row["outcome"] != again or row.get("at", 0) > begun]
        known = {(row["file"], *row["key"]) for row in done}
        open_ = [fault for fault in mine if (fault["file"], *fault["key"]) not in known]
        return [fault for fault in open_ if fault["tests"] or not again]

    with (OUT / f"outcomes-{lane}.jsonl").open("a") as file:

        def note(fault: dict[str, Any], found: str) -> None:
            row = {name: fault[name] for name in ("file", "line", "what", "key")}
            row |= {"outcome": found, "at": time.time()}
            file.write(json.dumps(row) + "\n")
            file.flush()

        child = os.fork()  # all within functions first, in a process that imports Strata and collects tests once
        if child == 0:
            import pytest

            pytest.main([*TESTS, *OPTIONS, "-s"], plugins=[_Collected(left(), note)])
            os._exit(0)
        os.waitpid(child, 0)
        for fault in left():
            note(fault, outcome(fault, lambda fault=fault: _fresh(fault)))


def _rows() -> list[dict[str, Any]]:
    """The last outcome of every fault that was tried."""
    lines = [line for path in sorted(OUT.glob("outcomes-*.jsonl")) for line in path.read_text().splitlines()]
    return list({(row["file"], *row["key"]): row for row in map(json.loads, lines)}.values())


def report() -> None:
    """Print counts by package, and what survived."""
    rows = _rows()
    for package in PACKAGES:
        count = Counter(row["outcome"] for row in rows if row["file"].startswith(package))
        print(f"{package:10}", ", ".join(f"{number} {name}" for name, number in count.most_common()))
    for row in sorted(rows, key=lambda row: (row["file"], row["line"])):
        if row["outcome"] in ("survived", "uncovered"):
            line = (ROOT / row["file"]).read_text().splitlines()[row["line"] - 1].strip()
            print(f"{row['file']}:{row['line']}: {row['outcome']}: {row['what']}: {line[:100]}")


def main() -> None:
    """Read the arguments, do as they say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("cover", "try", "report"))
    parser.add_argument("tests", nargs="*", default=TESTS, help="that cover runs")
    parser.add_argument("--lane", type=int, default=0)
    parser.add_argument("--lanes", type=int, default=1)
    parser.add_argument("--most", type=float, default=40, help="seconds of tests a fault")
    parser.add_argument("--tried", type=float, default=0, help="leave out the tests of so many seconds a fault")
    parser.add_argument("--again", choices=("survived", "uncovered", "endless"), help="try those anew")
    args = parser.parse_args()
    os.chdir(ROOT)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("STRATA_THOROUGH", "1")
    if args.what == "cover":
        cover(args.tests)
    elif args.what == "try":
        attempt(args.lane, args.lanes, args.most, args.again, args.tried)
    else:
        report()


if __name__ == "__main__":
    main()
