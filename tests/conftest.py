"""Settings for all tests."""

import os
import signal

import pytest
from hypothesis import is_hypothesis_test, settings

from tests.examples import examples
from tests.shows import BEGIN, DOC, MARKED, claimed, of_items, table, written

settings.register_profile("strata", examples(100))
settings.load_profile("strata")

# Where several tests run at a time, each has one core. This is read when torch is imported, here and in subprocesses.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Shells start what they put in the background with Ctrl-C ignored, and programs hand that on to those they start.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The command that writes the table of docs/models.md; see `tests/shows.py`."""
    parser.addoption("--write-models", action="store_true", help="write docs/models.md from what passes, with -m shows")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Before any test is left out, note what all show; mark those that draw examples; skip what needs a GPU."""
    config.stash[MARKED] = of_items(items)
    for item in items:
        if is_hypothesis_test(getattr(item, "obj", None)):
            item.add_marker("property")
    on_gpu = [item for item in items if item.get_closest_marker("gpu")]
    if not on_gpu:
        return
    import torch

    if not torch.cuda.is_available() and "STRATA_GPU_DRY" not in os.environ:
        for item in on_gpu:
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write the table, of the tests that passed; cells whose tests did not run stay as they are."""
    if not session.config.getoption("--write-models"):
        return
    reporter = session.config.pluginmanager.getplugin("terminalreporter")
    assert reporter is not None
    passed = {report.nodeid for report in reporter.stats.get("passed", ()) if report.when == "call"}
    ran = passed | {report.nodeid for kind in ("failed", "error") for report in reporter.stats.get(kind, ())}
    marked, text = session.config.stash[MARKED], DOC.read_text(encoding="utf-8")
    collected = {test.partition("::")[0] for tests in marked.values() for test in tests}
    cells = {cell: [test for test in tests if test in passed] for cell, tests in marked.items()}
    for cell, (test,) in claimed(text).items():
        if test not in ran and (test in marked.get(cell, ()) or test.partition("::")[0] not in collected):
            cells.setdefault(cell, []).append(test)
    made = table({cell: tests for cell, tests in cells.items() if tests})
    DOC.write_text(text.replace(BEGIN + written(text), BEGIN + made), encoding="utf-8")
