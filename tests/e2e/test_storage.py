"""Volumes: they grow where their class lets them and never shrink, a smaller cluster keeps or drops them, and one that is almost full says so."""
import os
import pathlib
import random
import subprocess
import time

import pytest

from cluster import (IMAGE, STATE, KubectlError, Writer, apply, bgcluster, condition, get, kill, kubectl, patch, primary, sql, wait, wait_ready, worker_pid)


WORKER = os.environ.get("PYTEST_XDIST_WORKER", "gw0")  # of the tests that run side by side each has classes of its own


@pytest.fixture(scope="module")
def growing():
    """A class that lets volumes grow, as far as the API server goes. Nothing on this node can resize one: tests play the resizer."""
    apply({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": f"e2e-growing-{WORKER}"}, "provisioner": "bestgres.io/local",
           "volumeBindingMode": "WaitForFirstConsumer", "allowVolumeExpansion": True})
    yield f"e2e-growing-{WORKER}"
    kubectl("delete", "storageclass", f"e2e-growing-{WORKER}", "--wait=false", check=False)


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
    return sorted(name for name, p in claims(ns).items() if "deletionTimestamp" not in p["metadata"])


def test_scale_down_keeps_volumes(ns):
    assert scale_down(ns, "Retain") == ["pgdata-demo-0", "pgdata-demo-1", "pgdata-demo-2"]


def test_scale_down_drops_volumes(ns):
    assert scale_down(ns, "Delete") == ["pgdata-demo-0"]
    wait("Kubernetes to let go of the others", lambda: list(claims(ns)) == ["pgdata-demo-0"])
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


SMALL = f"e2e-small-{WORKER}"


@pytest.fixture
def small_volume():
    """A file system of 512 MiB on this node, as a local volume of a class of its own; its path."""
    image, path = STATE / f"{SMALL}.img", STATE / SMALL
    path.mkdir(exist_ok=True)
    subprocess.run(["truncate", "-s", "512M", str(image)], check=True)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(path)], check=True)
    apply([{"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": SMALL},
            "provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer"},
           {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": SMALL}, "spec": {
               "capacity": {"storage": "512Mi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": SMALL,
               "persistentVolumeReclaimPolicy": "Retain", "local": {"path": str(path.resolve())},
               "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                   {"key": "kubernetes.io/hostname", "operator": "In", "values": ["node1"]}]}]}}}}])
    yield path
    kubectl("delete", f"pv/{SMALL}", f"storageclass/{SMALL}", "--wait=false", check=False)
    wait("the volume to go", lambda: not get("pv", SMALL), 60)
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
    apply(bgcluster(storage={"size": "500Mi", "storageClassName": SMALL}), ns)
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


# --- spec.walStorage: the WAL has a volume of its own.

@pytest.fixture
def wal_cluster():
    """A cluster of n instances whose WAL has volumes of its own."""
    return lambda n=1, wal=None, **spec: bgcluster(instances=n, walStorage={"size": "1Gi", **(wal or {})}, **spec)


def in_pod(ns, pod, *command):
    return kubectl("-n", ns, "exec", pod, "-c", "postgres", "--", *command).strip()


def wal_is_on_its_volume(ns, pod):
    """PGDATA's pg_wal is a link to the volume, and PostgreSQL writes there."""
    segments = in_pod(ns, pod, "ls", "/pgwal/pg_wal").split()
    return in_pod(ns, pod, "readlink", "/pgdata/data/pg_wal") == "/pgwal/pg_wal" and any(len(s) == 24 for s in segments)


def pairs(n):
    return {f"{volume}-demo-{i}" for volume in ("pgdata", "pgwal") for i in range(n)}


def uids(ns):
    return {name: p["metadata"]["uid"] for name, p in claims(ns).items()}


def first_status(ns, seconds=20):
    return wait("a first word of it", lambda: condition("demo", ns, "Ready"), seconds)


def ready_says(ns, reason, *words, seconds=120):
    return wait(f"Ready with {reason} and {words}", lambda: (lambda c: c if c.get("reason") == reason and all(w in c["message"] for w in words) else None)(
        condition("demo", ns, "Ready")), seconds)


def drop(ns, pod, *volumes):
    """The pod and its claims: what a user does to have an instance made anew."""
    for v in volumes:
        kubectl("-n", ns, "delete", "pvc", f"{v}-{pod}", "--wait=false")
    kubectl("-n", ns, "delete", "pod", pod, "--wait=false")


def test_wal_on_a_volume_of_its_own(ns, growing, wal_cluster):
    apply(wal_cluster(2, {"storageClassName": growing}), ns)
    first_status(ns)
    wait_ready("demo", ns)
    assert set(claims(ns)) == pairs(2)
    assert {p["spec"]["storageClassName"] for n, p in claims(ns).items() if n.startswith("pgwal")} == {growing}
    assert wal_is_on_its_volume(ns, "demo-0") and wal_is_on_its_volume(ns, "demo-1")
    sql("demo", ns, "CREATE TABLE kept AS SELECT 42 AS n")
    # the leadership goes to the other one, and comes back to a server that follows
    old = primary("demo", ns)
    kubectl("-n", ns, "delete", "pod", old, "--wait=false")
    wait("the other one to lead", lambda: primary("demo", ns) not in (None, old), 60)
    wait_ready("demo", ns)
    # a replica whose volumes are lost is cloned anew, its WAL on a new volume
    before = uids(ns)
    drop(ns, old, "pgdata", "pgwal")
    wait("new volumes", lambda: set(claims(ns)) == pairs(2) and all(uids(ns)[f"{v}-{old}"] != before[f"{v}-{old}"] for v in ("pgdata", "pgwal")), 120)
    wait_ready("demo", ns)
    assert wal_is_on_its_volume(ns, old)
    wait("the row on it", lambda: sql("demo", ns, "SELECT n FROM kept", service="ro") == [(42,)], 60)


def test_wal_volume_grows(ns, growing, wal_cluster):
    apply(wal_cluster(1, {"storageClassName": growing}), ns)
    wait_ready("demo", ns)
    running = pods(ns)
    assert sql("demo", ns, "SHOW max_slot_wal_keep_size") == [("512MB",)], "half of it"
    for change, words in (({"walStorage": None}, "can only be given when"), ({"walStorage": {"size": "512Mi"}}, "can not shrink"),
                          ({"walStorage": {"size": "0"}}, "walStorage.size")):
        with pytest.raises(KubectlError, match=words):
            patch("bgc", "demo", ns, {"spec": change})
    patch("bgc", "demo", ns, {"spec": {"walStorage": {"size": "2Gi"}}})
    wait("its claim to be told", lambda: sizes(ns) == {"pgdata-demo-0": "1Gi", "pgwal-demo-0": "2Gi"}, 60)
    assert "its WAL's volume grows from 1Gi to 2Gi" in storage_says(ns, "Expanding", 60)["message"]
    wait("the StatefulSet to follow", lambda: [t["spec"]["resources"]["requests"]["storage"] for t in (get("statefulset", "demo", ns) or {}).get(
        "spec", {}).get("volumeClaimTemplates", [])] == ["1Gi", "2Gi"], 60)
    resize(ns)
    storage_says(ns, "AsWanted", 90)
    wait_ready("demo", ns)
    assert pods(ns) == running
    wait("slots to keep more", lambda: sql("demo", ns, "SHOW max_slot_wal_keep_size") == [("1GB",)], 60)
    # what may not grow is named
    patch("bgc", "demo", ns, {"spec": {"storage": {"size": "2Gi"}, "walStorage": {"size": "3Gi"}}})
    assert "must support resize" in storage_says(ns, "ExpansionRefused", 60)["message"]
    wait("the other one to grow all the same", lambda: sizes(ns) == {"pgdata-demo-0": "1Gi", "pgwal-demo-0": "3Gi"}, 60)


def test_wal_volumes_are_kept_and_destroyed_with_the_data(ns, wal_cluster):
    apply(wal_cluster(2), ns)
    wait_ready("demo", ns)
    sql("demo", ns, "CREATE TABLE kept AS SELECT 42 AS n")
    before = uids(ns)
    patch("bgc", "demo", ns, {"spec": {"storage": {"onScaleDown": "Delete"}}})
    wait("it to lead", lambda: primary("demo", ns), 60)
    kubectl("-n", ns, "scale", "bgc", "demo", "--replicas=1")
    wait("the volumes of the one that goes to go", lambda: set(claims(ns)) == pairs(1) and len(get("bgi", ns=ns)) == 1, 120)
    wait_ready("demo", ns)
    kubectl("delete", "bgc", "demo", "-n", ns, timeout=180)
    assert uids(ns) == {n: u for n, u in before.items() if n.endswith("-0")}, "Retain keeps both"
    apply(wal_cluster(1, deletionPolicy="Delete"), ns)
    first_status(ns)
    wait_ready("demo", ns)
    assert uids(ns) == {n: u for n, u in before.items() if n.endswith("-0")} and wal_is_on_its_volume(ns, "demo-0")
    assert sql("demo", ns, "SELECT n FROM kept") == [(42,)]
    kubectl("delete", "bgc", "demo", "-n", ns, timeout=180)
    wait("both to go", lambda: not claims(ns), 60)


def test_wal_and_data_that_are_apart_are_told_of_and_left_alone(ns, wal_cluster):
    apply(wal_cluster(2), ns)
    wait_ready("demo", ns)
    sql("demo", ns, "CREATE TABLE kept AS SELECT 42 AS n")
    leader = primary("demo", ns)
    replica = next(p for p in pods(ns) if p != leader)
    for lost, other, words in (("pgwal", "pgdata", "The WAL of PGDATA is not in volume pgwal"), ("pgdata", "pgwal", "PGDATA is empty")):
        before = uids(ns)
        drop(ns, replica, lost)
        ready_says(ns, "WALApart", replica, words)
        assert uids(ns)[f"{other}-{replica}"] == before[f"{other}-{replica}"], "what is left stays"
        left = in_pod(ns, replica, "ls", "/pgdata/data" if other == "pgdata" else "/pgwal/pg_wal").split()
        assert ("PG_VERSION" if other == "pgdata" else next(f for f in left if len(f) == 24)) in left
        assert sql("demo", ns, "SELECT n FROM kept") == [(42,)], "the primary goes on"
        drop(ns, replica, "pgdata", "pgwal")  # what the message says
        wait_ready("demo", ns, 180)
        assert wal_is_on_its_volume(ns, replica)


def test_kept_data_and_another_walStorage(ns, wal_cluster):
    apply(bgcluster(), ns)
    wait_ready("demo", ns)
    sql("demo", ns, "CREATE TABLE kept AS SELECT 42 AS n")
    with pytest.raises(KubectlError, match="can only be given when"):
        patch("bgc", "demo", ns, {"spec": {"walStorage": {"size": "1Gi"}}})
    kubectl("delete", "bgc", "demo", "-n", ns, timeout=180)
    apply(wal_cluster(1), ns)  # its WAL is in PGDATA: that works, and is told of
    wait_ready("demo", ns)
    assert "demo-0" in storage_says(ns, "WALInPGDATA", 60)["message"] and sql("demo", ns, "SELECT n FROM kept") == [(42,)]
    # a new replica has it on its volume; then the first one is made anew
    kubectl("-n", ns, "scale", "bgc", "demo", "--replicas=2")
    wait("the second one", lambda: len(get("bgi", ns=ns)) == 2, 60)
    wait_ready("demo", ns)
    assert wal_is_on_its_volume(ns, "demo-1")
    drop(ns, "demo-0", "pgdata", "pgwal")
    wait("the other one to lead", lambda: primary("demo", ns) == "demo-1", 60)
    wait_ready("demo", ns, 180)
    assert wal_is_on_its_volume(ns, "demo-0") and storage_says(ns, "AsWanted", 60)
    before = uids(ns)
    kubectl("delete", "bgc", "demo", "-n", ns, timeout=180)
    apply(bgcluster(instances=2), ns)  # without the volumes that its WAL is on
    ready_says(ns, "WALApart", "there is no spec.walStorage")
    kubectl("delete", "bgc", "demo", "-n", ns, timeout=180)
    assert uids(ns) == before
    apply(wal_cluster(2), ns)
    wait_ready("demo", ns, 180)
    assert uids(ns) == before and sql("demo", ns, "SELECT n FROM kept") == [(42,)]


def test_class_of_the_wal_that_is_not_there(ns, growing, wal_cluster):
    apply(wal_cluster(1, {"storageClassName": "no-such-class"}), ns)
    first_status(ns)
    ready_says(ns, "VolumePending", "pgwal-demo-0")
    patch("bgc", "demo", ns, {"spec": {"walStorage": {"storageClassName": growing}}})
    wait_ready("demo", ns)
    assert wal_is_on_its_volume(ns, "demo-0")


def test_volume_of_the_wal_that_is_almost_full(small_volume, ns, wal_cluster):
    apply(wal_cluster(1, {"size": "500Mi", "storageClassName": SMALL}), ns)
    wait_ready("demo", ns)
    leave_free(small_volume, 3)
    c = storage_says(ns, "DiskAlmostFull", 60)
    assert "5 %" in c["message"] and "pgwal-demo-0" in c["message"] and "spec.walStorage.size" in c["message"], c
    assert get("bgi", "demo-0", ns)["status"]["disk"] == "WALFull"
    leave_free(small_volume, 50)
    storage_says(ns, "AsWanted", 60)


def on_the_node(ns, claim):
    """Where the volume of a claim is: the node is this machine."""
    pv = wait(f"{claim} to be bound", lambda: claims(ns).get(claim, {}).get("spec", {}).get("volumeName"), 60)
    spec = get("pv", pv)["spec"]
    return pathlib.Path((spec.get("local") or spec.get("hostPath"))["path"])


def test_first_start_that_was_cut_short_begins_anew(ns, wal_cluster):
    """What an initdb that was killed leaves on both volumes: with the same mark on both it goes, else not."""
    apply(wal_cluster(1, image="localhost/no-such-image:1", imagePullPolicy="Never"), ns)
    data, wal = on_the_node(ns, "pgdata-demo-0"), on_the_node(ns, "pgwal-demo-0")
    (data / "data").mkdir()
    (data / "data/PG_VERSION").write_text("17\n")
    (data / "data/pg_wal").symlink_to("/pgwal/pg_wal")
    (wal / "pg_wal").mkdir()
    (wal / "pg_wal/000000010000000000000001").write_text("half of one")
    for mount, mark in ((data, "0123456789abcdef"), (wal, "fedcba9876543210")):
        (mount / ".bestgres.fresh").write_text(mark)
        for p in mount.rglob("*"):
            os.chown(p, 100, 102, follow_symlinks=False)
    patch("bgc", "demo", ns, {"spec": {"image": IMAGE, "imagePullPolicy": "IfNotPresent"}})
    ready_says(ns, "WALApart", "PGDATA is empty")
    assert (wal / "pg_wal/000000010000000000000001").read_text() == "half of one", "another pair's WAL stays"
    (wal / ".bestgres.fresh").write_text((data / ".bestgres.fresh").read_text())
    kubectl("-n", ns, "delete", "pod", "demo-0", "--wait=false")
    wait_ready("demo", ns)
    assert wal_is_on_its_volume(ns, "demo-0") and not (wal / ".bestgres.fresh").exists() and not (data / ".bestgres.fresh").exists()


@pytest.mark.parametrize("left", ["pgdata", "pgwal"])
def test_status_says_at_once_what_it_waits_for(ns, wal_cluster, left):
    """A claim of an earlier cluster that takes its time to go."""
    apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {
        "name": f"{left}-demo-0", "labels": {"bestgres.io/cluster": "demo"}, "finalizers": ["e2e.bestgres.io/hold"]},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}, ns)
    try:
        kubectl("-n", ns, "delete", "pvc", f"{left}-demo-0", "--wait=false")
        apply(wal_cluster(1), ns)
        first_status(ns)
        c = ready_says(ns, "WaitingForDestruction", seconds=20)
        assert "still being deleted" in c["message"], c
    finally:
        patch("pvc", f"{left}-demo-0", ns, {"metadata": {"finalizers": None}})
    wait_ready("demo", ns)
    assert set(claims(ns)) == pairs(1)


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
