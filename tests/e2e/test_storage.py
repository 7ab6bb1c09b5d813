"""Volumes: they grow where their class lets them and never shrink, a smaller cluster keeps or drops them, and one that is almost full says so."""
import os
import random
import subprocess
import time

import pytest

from cluster import (STATE, KubectlError, Writer, apply, bgcluster, condition, get, kill, kubectl, patch, primary, sql, wait, wait_ready, worker_pid)


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
    """Of the StatefulSet's claims; empty while it is being made anew."""
    sts = get("statefulset", "demo", ns)
    return sts["spec"]["volumeClaimTemplates"][0]["spec"] if sts else {"resources": {"requests": {"storage": ""}}}


def template_size(ns):
    return template(ns)["resources"]["requests"]["storage"]


def pods(ns):
    return {p["metadata"]["name"]: p["metadata"]["uid"] for p in get("pods", ns=ns, selector="bestgres.io/cluster=demo")}


def storage_says(ns, reason, seconds=30):
    return wait(f"StorageHealthy with {reason}", lambda: (lambda c: c if c.get("reason") == reason else None)(condition("demo", ns, "StorageHealthy")), seconds)


def test_grow_while_the_database_runs(ns, growing):
    apply(bgcluster(instances=2, storage={"size": "1Gi", "storageClassName": growing}), ns)
    wait_ready("demo", ns)
    assert condition("demo", ns, "StorageHealthy")["status"] == "True"
    before, sts = pods(ns), get("statefulset", "demo", ns)["metadata"]["uid"]
    started = sql("demo", ns, "SELECT pg_postmaster_start_time()")
    with Writer("demo", ns) as w:
        patch("bgc", "demo", ns, {"spec": {"storage": {"size": "2Gi"}}})
        wait("the claims to be told", lambda: set(sizes(ns).values()) == {"2Gi"}, 15)
        c = storage_says(ns, "Expanding")
        assert c["status"] == "False" and "from 1Gi to 2Gi" in c["message"], c
        wait("the StatefulSet to follow", lambda: template_size(ns) == "2Gi", 30)
        resize(ns)
        assert storage_says(ns, "AsWanted", 60)["status"] == "True"
        wait_ready("demo", ns)
    assert w.lost() == [] and sql("demo", ns, "SELECT pg_postmaster_start_time()") == started, "the same server on the same primary"
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
    wait("the StatefulSet to follow", lambda: template_size(ns) == "2Gi", 30)
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
    wait("the other one to be named, which still is as it was", lambda: leader in storage_says(ns, "ExpansionRefused")["message"], 15)


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
    wait("the StatefulSet to follow", lambda: template(ns).get("storageClassName") == "no-such-class", 30)
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


@pytest.fixture
def small_volume():
    """A file system of 512 MiB on this node, as a local volume of a class of its own; its path."""
    image, path = STATE / "small-volume.img", STATE / "small-volume"
    path.mkdir(exist_ok=True)
    subprocess.run(["truncate", "-s", "512M", str(image)], check=True)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(path)], check=True)
    apply([{"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "e2e-small"},
            "provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer"},
           {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "e2e-small"}, "spec": {
               "capacity": {"storage": "512Mi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "e2e-small",
               "persistentVolumeReclaimPolicy": "Retain", "local": {"path": str(path.resolve())},
               "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                   {"key": "kubernetes.io/hostname", "operator": "In", "values": ["node1"]}]}]}}}}])
    yield path
    kubectl("delete", "pv/e2e-small", "storageclass/e2e-small", "--wait=false", check=False)
    subprocess.run(["umount", "-l", str(path)], check=True)
    image.unlink()
    path.rmdir()


def leave_free(path, percent):
    """A file beside PGDATA takes all but so much of what can be used."""
    ballast, s = path / "ballast", os.statvfs(path)
    have = ballast.stat().st_size if ballast.exists() else 0
    free, used = s.f_bavail * s.f_frsize, (s.f_blocks - s.f_bfree) * s.f_frsize
    size = max(0, int(have + free - (free + used) * percent / 100))
    with open(ballast, "ab") as f:
        if size > have:
            os.posix_fallocate(f.fileno(), 0, size)
        else:
            f.truncate(size)


def test_almost_full_is_said_before_postgresql_stops(small_volume, ns):
    apply(bgcluster(storage={"size": "500Mi", "storageClassName": "e2e-small"}), ns)
    wait_ready("demo", ns)
    disk = lambda: get("bgi", "demo-0", ns)["status"].get("disk", "")
    events = lambda: [e for e in get("events", ns=ns) if e["reason"] == "DiskAlmostFull" and e["type"] == "Warning"]
    assert condition("demo", ns, "StorageHealthy")["status"] == "True" and disk() == ""
    leave_free(small_volume, 10)
    c = storage_says(ns, "DiskAlmostFull")
    assert c["status"] == "False" and "15 %" in c["message"] and "demo-0" in c["message"] and disk() == "Low", c
    wait("an Event", events, 10)
    wait_ready("demo", ns)
    leave_free(small_volume, 16.5)
    time.sleep(20)
    assert disk() == "Low", "it is left a little later than it begins"
    leave_free(small_volume, 3)
    wait("worse", lambda: "5 %" in condition("demo", ns, "StorageHealthy")["message"] and disk() == "Full", 30)
    assert sql("demo", ns, "SELECT 1") == [(1,)], "PostgreSQL runs"
    leave_free(small_volume, 50)
    storage_says(ns, "AsWanted", 40)
    assert disk() == "" and len(events()) == 1
    wait_ready("demo", ns)


@pytest.mark.alone
def test_operator_killed_again_and_again_while_volumes_grow(ns, growing):
    apply(bgcluster(instances=2, storage={"size": "1Gi", "storageClassName": growing}), ns)
    wait_ready("demo", ns)
    before, rng = pods(ns), random.Random(4)

    def nemesis(seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(rng.uniform(0.02, 0.3))
            pid = worker_pid(rng.choice(["watcher", "reconciler", "executor"]))
            if pid:
                try:
                    kill(pid)
                except ProcessLookupError:
                    pass
    for n in (2, 3, 4):
        patch("bgc", "demo", ns, {"spec": {"storage": {"size": f"{n}Gi"}}})
        nemesis(rng.uniform(2, 15))  # no worker lives for a second meanwhile: where it ends, the next life goes on
        wait("claims and StatefulSet", lambda: set(sizes(ns).values()) == {f"{n}Gi"} and template_size(ns) == f"{n}Gi", 120)
    storage_says(ns, "Expanding", 60)
    resize(ns)
    wait_ready("demo", ns)
    storage_says(ns, "AsWanted", 90)
    assert pods(ns) == before
