"""Volumes: they grow where their class lets them and never shrink, and a smaller cluster keeps or drops them."""
import random
import threading

import pytest

from cluster import (KubectlError, Writer, apply, bgcluster, condition, get, kill, kubectl, patch, primary, sql, wait, wait_ready, worker_pid)


@pytest.fixture(scope="module")
def growing():
    """A class that lets volumes grow, as far as the API server goes. Nothing on this node can resize one: tests play the resizer."""
    apply({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "e2e-growing"}, "provisioner": "bestgres.io/local",
           "volumeBindingMode": "WaitForFirstConsumer", "allowVolumeExpansion": True})
    yield "e2e-growing"
    kubectl("delete", "storageclass", "e2e-growing", "--wait=false", check=False)


def claims(ns):
    return {p["metadata"]["name"]: p for p in get("pvc", ns=ns, selector="bestgres.io/cluster=demo")}


def sizes(ns):
    return {name: p["spec"]["resources"]["requests"]["storage"] for name, p in claims(ns).items()}


def resize(ns):
    """As a storage driver's resizer and the kubelet would: the volume is as large as its claim asks."""
    for name, size in sizes(ns).items():
        patch("pvc", name, ns, {"status": {"capacity": {"storage": size}}}, subresource="status")


def template(ns):
    return get("statefulset", "demo", ns)["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"]


def pods(ns):
    return {p["metadata"]["name"]: p["metadata"]["uid"] for p in get("pods", ns=ns, selector="bestgres.io/cluster=demo")}


def storage_says(ns, reason, seconds=30):
    return wait(f"StorageHealthy with {reason}", lambda: (lambda c: c if c.get("reason") == reason else None)(condition("demo", ns, "StorageHealthy")), seconds)


def test_grow_while_the_database_runs(ns, growing):
    apply(bgcluster(instances=2, storage={"size": "1Gi", "storageClassName": growing}), ns)
    wait_ready("demo", ns)
    assert condition("demo", ns, "StorageHealthy")["status"] == "True"
    before, sts = pods(ns), get("statefulset", "demo", ns)["metadata"]["uid"]
    with Writer("demo", ns) as w:
        patch("bgc", "demo", ns, {"spec": {"storage": {"size": "2Gi"}}})
        wait("the claims to be told", lambda: set(sizes(ns).values()) == {"2Gi"}, 15)
        c = storage_says(ns, "Expanding")
        assert c["status"] == "False" and "from 1Gi to 2Gi" in c["message"], c
        wait("the StatefulSet to follow", lambda: template(ns) == "2Gi", 30)
        resize(ns)
        assert storage_says(ns, "AsWanted", 60)["status"] == "True"
        wait_ready("demo", ns)
    assert w.lost() == [] and w.longest_gap() < 1
    assert pods(ns) == before, "the pods are the same"
    assert get("statefulset", "demo", ns)["metadata"]["uid"] != sts, "its volume templates are immutable: it was made anew"
    kubectl("-n", ns, "scale", "bgc", "demo", "--replicas=3")
    wait("a third one", lambda: sizes(ns).get("pgdata-demo-2") == "2Gi", 60)
    wait_ready("demo", ns)


def test_refused_where_the_class_does_not_let_it_grow(ns):
    apply(bgcluster(instances=2), ns)
    wait_ready("demo", ns)
    sql("demo", ns, "CREATE TABLE kept AS SELECT 42 AS n")
    before = pods(ns)
    patch("bgc", "demo", ns, {"spec": {"storage": {"size": "2Gi"}}})
    c = storage_says(ns, "ExpansionRefused")
    assert c["status"] == "False" and "must support resize" in c["message"] and "docs/status.md" in c["message"], c
    wait("an Event", lambda: [e for e in get("events", ns=ns) if e["reason"] == "ExpansionRefused" and e["type"] == "Warning"], 10)
    wait("the StatefulSet to follow", lambda: template(ns) == "2Gi", 30)
    wait_ready("demo", ns)
    assert set(sizes(ns).values()) == {"1Gi"} and pods(ns) == before
    assert condition("demo", ns, "Progressing")["reason"] == "AsWanted"
    # what docs/status.md says to do: one replica after the other
    leader = primary("demo", ns)
    replica = next(p for p in before if p != leader)
    uid = claims(ns)[f"pgdata-{replica}"]["metadata"]["uid"]
    kubectl("-n", ns, "delete", "pvc", f"pgdata-{replica}", "--wait=false")
    kubectl("-n", ns, "delete", "pod", replica, "--wait=false")
    wait("a larger volume", lambda: sizes(ns).get(f"pgdata-{replica}") == "2Gi" and claims(ns)[f"pgdata-{replica}"]["metadata"]["uid"] != uid, 60)
    wait_ready("demo", ns)
    wait("the row on it", lambda: sql("demo", ns, "SELECT n FROM kept", service="ro") == [(42,)], 20)
    assert leader in storage_says(ns, "ExpansionRefused")["message"], "the other one still is as it was"


def test_smaller_is_refused_and_nothing_happens(ns):
    apply(bgcluster(), ns)
    wait_ready("demo", ns)
    generation = get("bgc", "demo", ns)["metadata"]["generation"]
    for size in ("512Mi", "0", "-1Gi", "big"):
        with pytest.raises(KubectlError, match="spec.storage.size"):
            patch("bgc", "demo", ns, {"spec": {"storage": {"size": size}}})
    assert get("bgc", "demo", ns)["metadata"]["generation"] == generation
    patch("bgc", "demo", ns, {"spec": {"storage": {"size": "1024Mi"}}})
    wait_ready("demo", ns)
    assert sizes(ns) == {"pgdata-demo-0": "1Gi"} and condition("demo", ns, "StorageHealthy")["status"] == "True"


def test_unknown_class_in_a_running_cluster_is_for_new_volumes(ns):
    apply(bgcluster(), ns)
    wait_ready("demo", ns)
    before = pods(ns)
    patch("bgc", "demo", ns, {"spec": {"storage": {"storageClassName": "no-such-class"}}})
    wait("the StatefulSet to follow", lambda: get("statefulset", "demo", ns)["spec"]["volumeClaimTemplates"][0]["spec"].get("storageClassName") == "no-such-class", 30)
    wait_ready("demo", ns)
    assert pods(ns) == before and condition("demo", ns, "StorageHealthy")["status"] == "True"


def test_kept_claim_grows_when_its_instance_comes_back(ns, growing):
    apply(bgcluster(instances=2, storage={"size": "1Gi", "storageClassName": growing}), ns)
    wait_ready("demo", ns)
    kubectl("-n", ns, "scale", "bgc", "demo", "--replicas=1")
    wait("its BGInstance to go", lambda: len(get("bgi", ns=ns)) == 1, 60)
    patch("bgc", "demo", ns, {"spec": {"storage": {"size": "2Gi"}}})
    wait("the member's claim to be told", lambda: sizes(ns) == {"pgdata-demo-0": "2Gi", "pgdata-demo-1": "1Gi"}, 30)
    kubectl("-n", ns, "scale", "bgc", "demo", "--replicas=2")
    wait("the kept one too", lambda: sizes(ns)["pgdata-demo-1"] == "2Gi", 90)
    resize(ns)
    wait_ready("demo", ns)
    storage_says(ns, "AsWanted", 90)


def scale_down(ns, policy):
    """From three to one; the names of the claims that are left, once all has come to rest."""
    apply(bgcluster(instances=3, storage={"size": "1Gi", "onScaleDown": policy}), ns)
    wait_ready("demo", ns)
    sql("demo", ns, "CREATE TABLE kept AS SELECT 42 AS n")
    kubectl("-n", ns, "scale", "bgc", "demo", "--replicas=1")
    wait("the BGInstances to go", lambda: len(get("bgi", ns=ns)) == 1, 90)
    wait_ready("demo", ns)
    return sorted(claims(ns))


def test_scale_down_keeps_volumes(ns):
    assert scale_down(ns, "Retain") == ["pgdata-demo-0", "pgdata-demo-1", "pgdata-demo-2"]


def test_scale_down_drops_volumes(ns):
    assert scale_down(ns, "Delete") == ["pgdata-demo-0"]
    assert sql("demo", ns, "SELECT n FROM kept") == [(42,)]
    kubectl("-n", ns, "scale", "bgc", "demo", "--replicas=2")
    wait_ready("demo", ns)
    wait("the row on a new replica", lambda: sql("demo", ns, "SELECT n FROM kept", service="ro") == [(42,)], 20)
    patch("bgc", "demo", ns, {"spec": {"storage": {"onScaleDown": "Retain"}}})
    kubectl("-n", ns, "scale", "bgc", "demo", "--replicas=1")
    wait("the BGInstance to go", lambda: len(get("bgi", ns=ns)) == 1, 90)
    assert sorted(claims(ns)) == ["pgdata-demo-0", "pgdata-demo-1"], "Retain, said before: it stays"
    uid = claims(ns)["pgdata-demo-0"]["metadata"]["uid"]
    patch("bgc", "demo", ns, {"spec": {"storage": {"onScaleDown": "Delete"}}})
    kubectl("delete", "bgc", "demo", "-n", ns)
    assert claims(ns)["pgdata-demo-0"]["metadata"]["uid"] == uid, "deletionPolicy alone decides what goes with the cluster"


@pytest.mark.alone
def test_operator_killed_again_and_again_while_volumes_grow(ns, growing):
    apply(bgcluster(instances=2, storage={"size": "1Gi", "storageClassName": growing}), ns)
    wait_ready("demo", ns)
    before, stop, rng = pods(ns), threading.Event(), random.Random(4)

    def nemesis():
        while not stop.wait(rng.uniform(0.02, 0.3)):
            pid = worker_pid(rng.choice(["watcher", "reconciler", "executor"]))
            if pid:
                try:
                    kill(pid)
                except ProcessLookupError:
                    pass
    thread = threading.Thread(target=nemesis)
    thread.start()
    try:
        for n in (2, 3, 4):
            patch("bgc", "demo", ns, {"spec": {"storage": {"size": f"{n}Gi"}}})
            wait("claims and StatefulSet", lambda: set(sizes(ns).values()) == {f"{n}Gi"} and template(ns) == f"{n}Gi", 120)
    finally:
        stop.set()
        thread.join()
    storage_says(ns, "Expanding", 60)
    resize(ns)
    wait_ready("demo", ns)
    storage_says(ns, "AsWanted", 90)
    assert pods(ns) == before
