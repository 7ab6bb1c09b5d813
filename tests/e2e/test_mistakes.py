"""Specs that are impossible in ways a schema can not see: the real reason is said, and taking the mistake back heals."""
import datetime

import pytest

from cluster import IMAGE, SYSTEM, apply, bgcluster, condition, delete, get, is_ready, kubectl, make_image, patch, primary, sql, wait, wait_ready


def ready_reason(ns, *reasons, seconds=60):
    return wait(f"Ready=False with {reasons}", lambda: (lambda c: c if c.get("status") == "False" and c.get("reason") in reasons else None)(
        condition("demo", ns, "Ready")), seconds)


def warnings(ns, reason):
    uid = get("bgc", "demo", ns)["metadata"]["uid"]
    return [e for e in get("events", ns=ns) if e["reason"] == reason and e["type"] == "Warning" and e["involvedObject"]["uid"] == uid]


@pytest.fixture(scope="module")
def image_without_patroni():
    make_image("localhost/no-patroni:1", {"etc/passwd": "postgres:x:100:102::/:/bin/sh\n"})


MISTAKES = [
    ("image", {"image": "localhost/no-such-image:1", "imagePullPolicy": "IfNotPresent"}, "ImagePullFailed", "no-such-image", {"image": IMAGE}),
    ("image-name", {"image": "localhost/UPPER"}, "ImagePullFailed", "UPPER", {"image": IMAGE}),
    ("storage-class", {"storage": {"size": "1Gi", "storageClassName": "no-such-class"}}, "VolumePending", "no-such-class", {"storage": {"storageClassName": None}}),
    ("uid", {"runAsUser": 12345, "runAsGroup": 12345}, "UidUnknown", "12345", {"runAsUser": 100, "runAsGroup": 102}),
    ("no-patroni", {"image": "localhost/no-patroni:1"}, "PatroniMissing", "patroni", {"image": IMAGE}),
    ("cpu", {"resources": {"requests": {"cpu": "1000"}}}, "Unschedulable", "cpu", {"resources": {"requests": {"cpu": "10m"}}}),
    ("node", {"scheduling": {"nodeSelector": {"no": "such-node"}}}, "Unschedulable", "", {"scheduling": {"nodeSelector": None}}),
    ("parameter", {"postgres": {"parameters": {"work_mem": "much"}}}, "ParameterRefused", "work_mem", {"postgres": {"parameters": {"work_mem": "8MB"}}}),
    ("version", {"postgres": {"version": 14}}, "PostgresMissing", "14", {"postgres": {"version": 17}}),
]


@pytest.mark.parametrize("spec, reason, says, back", [pytest.param(*m[1:], id=m[0]) for m in MISTAKES])
def test_mistake_is_named_and_taken_back(ns, image_without_patroni, spec, reason, says, back):
    apply(bgcluster(**spec), ns)
    c = ready_reason(ns, reason)
    assert says in c["message"], c
    assert len(c["message"]) > 20, c
    wait("an Event", lambda: warnings(ns, reason), 10)
    patch("bgc", "demo", ns, {"spec": back})
    wait_ready("demo", ns)
    assert len(warnings(ns, reason)) == 1, "one Event, not one a retry"


def test_mistake_in_a_running_cluster_does_not_stop_it(ns):
    apply(bgcluster(instances=2), ns)
    wait_ready("demo", ns)
    leader = primary("demo", ns)
    uid = get("pod", leader, ns)["metadata"]["uid"]
    patch("bgc", "demo", ns, {"spec": {"image": "localhost/no-such-image:2"}})
    ready_reason(ns, "ImagePullFailed")
    assert (primary("demo", ns), get("pod", leader, ns)["metadata"]["uid"]) == (leader, uid)
    assert sql("demo", ns, "SELECT 1") == [(1,)]
    patch("bgc", "demo", ns, {"spec": {"image": IMAGE}})
    wait_ready("demo", ns)
    wait("nothing is to be done", lambda: condition("demo", ns, "Progressing").get("status") == "False", 30)
    assert get("pod", leader, ns)["metadata"]["uid"] == uid


def test_name_taken_by_a_foreign_object(ns):
    kubectl("create", "service", "clusterip", "demo-rw", "--tcp=5432", "-n", ns)
    apply(bgcluster(), ns)
    c = ready_reason(ns, "NameTaken")
    assert "demo-rw" in c["message"]
    assert get("service", "demo-rw", ns)["spec"]["selector"] == {"app": "demo-rw"}, "a foreign object is not touched"
    kubectl("delete", "service", "demo-rw", "-n", ns)
    wait_ready("demo", ns)


def first_word_s(ns):
    """Seconds from the making of the cluster to the first word about it."""
    obj = wait("a first word", lambda: (lambda o: o if (o or {}).get("status", {}).get("conditions") else None)(get("bgc", "demo", ns)), 30)
    times = [obj["metadata"]["creationTimestamp"], min(c["lastTransitionTime"] for c in obj["status"]["conditions"])]
    created, said = (datetime.datetime.fromisoformat(t.replace("Z", "+00:00")) for t in times)
    return (said - created).total_seconds()


def test_first_word_comes_at_once_whatever_is_in_the_way(ns):
    kubectl("create", "service", "clusterip", "demo-rw", "--tcp=5432", "-n", ns)
    apply(bgcluster(), ns)
    assert first_word_s(ns) <= 5, "a foreign Service"  # it is 2 on a machine that is not shared
    delete("bgc", "demo", ns, wait=True)
    kubectl("label", "service", "demo-rw", "bestgres.io/cluster=demo", "-n", ns)
    patch("service", "demo-rw", ns, {"metadata": {"finalizers": ["example.com/later"]}})
    delete("service", "demo-rw", ns)
    apply(bgcluster(), ns)
    assert first_word_s(ns) <= 5, "one that ends, but not yet"
    patch("service", "demo-rw", ns, {"metadata": {"finalizers": None}})
    wait_ready("demo", ns, 180)


def test_rights_missing_in_the_namespace(ns):
    role = get("role", "bestgres-executor", ns)
    kubectl("delete", "role", "bestgres-executor", "-n", ns)
    apply(bgcluster(), ns)
    try:
        wait("the log says so", lambda: "RightsMissing" in kubectl("-n", SYSTEM, "logs", "deployment/bestgres-operator", "--tail=200") or
             "denied" in kubectl("-n", SYSTEM, "logs", "deployment/bestgres-operator", "--tail=200"), 60)
        assert not is_ready("demo", ns)
    finally:
        for k in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
            role["metadata"].pop(k, None)
        apply(role, ns)
    wait_ready("demo", ns)
