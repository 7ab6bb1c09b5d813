"""Fixtures: the operator installed once, a namespace of its own for each test that wants one, evidence when a test fails."""
import os
import pathlib
import re
import time

import pytest
import yaml

from clean import clean, delete_clusters, evidence_or_why_not, mend_namespace, namespace_objects, render
from cluster import NAMESPACES, ROOT, STATE, SYSTEM, again, kubectl

EVIDENCE = ROOT / "build/log/evidence"


# In a group that runs in parallel what is short comes last, so that no process is left alone with something long.
SHORT = ("test_create", "test_heal", "test_mistakes", "test_security", "test_schema")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: SHORT.index(item.path.stem) if item.path.stem in SHORT else -1)


def pytest_configure(config):
    config.addinivalue_line("markers", "alone: disturbs the operator or needs the machine for itself; not run beside other tests")
    config.addinivalue_line("markers", "long: takes many minutes and most of the machine; run by make test-long")
    if not hasattr(config, "workerinput") and not config.option.collectonly:  # once, before the parallel workers start
        install()


def install():
    crds = list(yaml.safe_load_all(render(ROOT / "crds")))
    kubectl("apply", "-k", str(ROOT / "crds"))
    kubectl("wait", "--for=condition=Established", "--timeout=100s", *(f"crd/{c['metadata']['name']}" for c in crds))
    again([str(ROOT / "tests/cluster/images.sh"), str(STATE), str(ROOT / "build/bestgres.tar")])
    objs = list(yaml.safe_load_all(render(ROOT / "deploy/operator")))
    for o in objs:
        if o["kind"] == "Deployment":
            c = o["spec"]["template"]["spec"]["containers"][0]
            c["env"] = [e for e in c["env"] if e["name"] != "BESTGRES_NAMESPACES"] + [
                {"name": "BESTGRES_NAMESPACES", "value": ",".join(NAMESPACES)}]
            o["spec"]["template"]["metadata"].setdefault("annotations", {})["started"] = str(time.time())
    for ns in NAMESPACES:
        objs += namespace_objects(ns)
    kubectl("apply", "-f", "-", input=yaml.safe_dump_all(objs))
    kubectl("-n", SYSTEM, "rollout", "status", "deployment/bestgres-operator", "--timeout=300s", timeout=310)


@pytest.fixture(scope="session")
def ns_shared():
    """For tests that store nothing that the operator should act on: a namespace it does not serve."""
    name = NAMESPACES[0] + "-schema-" + os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    kubectl("apply", "-f", "-", input=yaml.safe_dump_all(namespace_objects(name)))
    yield name
    kubectl("delete", "namespace", name, "--wait=false", check=False)


_next = iter(range(10 ** 6))
_taken = None  # the namespace of the test that runs: evidence is of it
_used = {}  # namespace: None, or the test that failed in it last
_forced = []  # what clusters had to be ended by force, though their test had passed


def next_namespace():
    """The next free one. Parallel workers take different ones: worker k of n every n-th."""
    global _taken
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    mine = NAMESPACES[worker::int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))]
    _taken = mine[next(_next) % len(mine)]
    return _taken


def empty(name):
    """Waits until a namespace is empty. What a failed test left that had to be ended by force is that test's error, and was said there."""
    try:
        clean(name)
    except AssertionError as e:
        if not str(e).startswith("ended by force"):
            raise
        if _used.get(name) is None:
            _forced.append(str(e))
    _used.pop(name, None)


def served_namespace():
    """Of the last test in a namespace, the clusters go while other tests run in other namespaces; before the next test in it, all is gone."""
    name = next_namespace()
    mend_namespace(name)
    empty(name)
    _used[name] = None
    yield name
    delete_clusters(name)


@pytest.fixture(scope="session", autouse=True)
def emptied():
    """Clusters that do not go when they are deleted fail the run, whichever test made them."""
    yield
    for name in list(_used):
        empty(name)
    assert not _forced, "\n".join(_forced)


@pytest.fixture
def ns():
    """A data namespace without clusters in it."""
    yield from served_namespace()


@pytest.fixture(scope="module")
def ns_module():
    """A data namespace for all tests of a module."""
    yield from served_namespace()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Before anything is cleaned up; it goes with the report, from a parallel worker as well."""
    outcome = yield
    report = outcome.get_result()
    if report.failed and _taken and call.excinfo.type is not KeyboardInterrupt:
        _used[_taken] = item.nodeid
        report.user_properties.append(("evidence", evidence_or_why_not(_taken)))


def failed_reports(terminalreporter):
    return terminalreporter.stats.get("failed", []) + terminalreporter.stats.get("error", [])


def first_error(report):
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash else str(report.longrepr)
    return " ".join(text.split("\n", 1)[0].split())[:300]


def pytest_terminal_summary(terminalreporter):
    """Evidence at the end, where it survives in a log that is cut, and in a file of its own; for run.sh, what failed, a line each."""
    for report in failed_reports(terminalreporter):
        for text in [v for k, v in report.user_properties if k == "evidence"][-1:]:
            terminalreporter.section(f"evidence: {report.nodeid} ({report.when})")
            terminalreporter.write_line(text)
            EVIDENCE.mkdir(parents=True, exist_ok=True)
            (EVIDENCE / (re.sub(r"[^\w.-]+", "_", report.nodeid.split("/")[-1]) + f".{report.when}.log")).write_text(text)
    if "E2E_FAILED" in os.environ:
        lines = {report.nodeid: first_error(report) for report in reversed(failed_reports(terminalreporter))}
        pathlib.Path(os.environ["E2E_FAILED"]).write_text("".join(f"{name}\t{error}\n" for name, error in sorted(lines.items())))
