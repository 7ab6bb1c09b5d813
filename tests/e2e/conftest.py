"""Fixtures: the operator installed once, a namespace of its own for each test that wants one, evidence when a test fails."""
import os
import subprocess
import time

import pytest
import yaml

from cluster import ENV, KUBECTL, ROOT, STATE, SYSTEM, delete, get, kubectl, wait

NAMESPACES = [f"e2e-{n}" for n in range(8)]  # what the operator serves; each test takes the next free one


def render(path):
    return subprocess.run([KUBECTL, "kustomize", str(path)], env=ENV, capture_output=True, text=True, check=True).stdout


def namespace_objects(ns):
    """A data namespace with the tenant's Roles, PSA restricted."""
    objs = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ns, "labels": {
        "pod-security.kubernetes.io/enforce": "restricted"}}}]
    for o in yaml.safe_load_all(render(ROOT / "deploy/tenant")):
        if o["kind"] in ("Role", "RoleBinding"):
            o["metadata"]["namespace"] = ns
            objs.append(o)
    return objs


def pytest_configure(config):
    config.addinivalue_line("markers", "alone: disturbs the operator or needs the machine for itself; not run beside other tests")
    if not hasattr(config, "workerinput") and not config.option.collectonly:  # once, before the parallel workers start
        install()


def install():
    kubectl("apply", "-k", str(ROOT / "crds"))
    kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd/bgclusters.bestgres.io", "crd/bginstances.bestgres.io", "crd/bgdbops.bestgres.io")
    subprocess.run([str(ROOT / "tests/cluster/images.sh"), str(STATE), str(ROOT / "build/bestgres.tar")], check=True)
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
    kubectl("-n", SYSTEM, "rollout", "status", "deployment/bestgres-operator", "--timeout=120s", timeout=130)


def clean(ns):
    for o in get("bgc", ns=ns) or []:
        delete("bgc", o["metadata"]["name"], ns)
    wait(f"the BGClusters of {ns} to go", lambda: not get("bgc", ns=ns), 120)
    for kind in ("pod", "pvc", "configmap", "secret", "service"):
        kubectl("delete", kind, "-n", ns, "--all", "--wait=false", "--grace-period=1", check=False)
    wait(f"the pods of {ns} to go", lambda: not get("pods", ns=ns), 120)


@pytest.fixture(scope="session")
def ns_shared():
    """For tests that store nothing that the operator should act on: a namespace it does not serve."""
    name = "e2e-schema-" + os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    kubectl("apply", "-f", "-", input=yaml.safe_dump_all(namespace_objects(name)))
    yield name
    kubectl("delete", "namespace", name, "--wait=false", check=False)


_next = iter(range(10 ** 6))


def next_namespace():
    """Parallel workers take different ones: worker k of n every n-th."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    mine = NAMESPACES[worker::int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))]
    return mine[next(_next) % len(mine)]


@pytest.fixture
def ns(request):
    """A data namespace without clusters in it."""
    name = next_namespace()
    clean(name)
    yield name
    report = getattr(request.node, "report_call", None)
    if report is not None and report.failed:
        evidence(name)
    clean(name)


@pytest.fixture(scope="module")
def ns_module():
    """A data namespace for all tests of a module."""
    name = next_namespace()
    clean(name)
    yield name
    clean(name)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    setattr(item, f"report_{call.when}", outcome.get_result())


def evidence(ns):
    """What a person would look at first."""
    for args in (["-n", ns, "get", "bgc,bgi,sts,pods,pvc,svc", "-o", "wide"], ["-n", ns, "get", "bgc,bgi", "-o", "yaml"],
                 ["-n", ns, "get", "events", "--sort-by=.lastTimestamp"],
                 ["-n", SYSTEM, "logs", "deployment/bestgres-operator", "--tail=80"]):
        print("$ kubectl", " ".join(args))
        print(kubectl(*args, check=False).stdout[-6000:])
    for pod in get("pods", ns=ns) or []:
        name = pod["metadata"]["name"]
        print("$ kubectl logs", name)
        print(kubectl("-n", ns, "logs", name, "--tail=40", check=False).stdout[-4000:])
