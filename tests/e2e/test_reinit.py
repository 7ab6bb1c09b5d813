"""A replica that can not follow is cloned anew while another instance leads; data that is not this cluster's is kept aside."""
import signal
import time

import pytest

from cluster import STATE, Writer, apply, bgcluster, condition, delete, get, kill, kubectl, patch, pod_pids, pod_process, primary, sql, superuser_sql, wait, wait_ready, worker_pid

SMALL = {"wal_keep_size": "0", "max_slot_wal_keep_size": "1MB", "max_wal_size": "32MB", "min_wal_size": "32MB"}


def cluster(**spec):
    return bgcluster(instances=2, postgres={"parameters": SMALL}, **spec)


def instance(name, ns):
    return get("bgi", name, ns).get("status", {})


def fence(ns, *names):
    patch("bgc", "demo", ns, {"spec": {"fencedInstances": list(names)}})
    for name in names:
        wait(f"{name} to stop", lambda: instance(name, ns).get("state") == "Stopped", 120)


def in_pod(ns, pod, script, check=True):
    return kubectl("-n", ns, "exec", pod, "-c", "postgres", "--", "sh", "-ec", script, check=check, timeout=120)


def pgdata(ns, pod):
    """Which directory it is, as long as its inode is not given to another one."""
    return in_pod(ns, pod, "stat -c %i:%W /pgdata/data").strip()


def other(ns):
    leader = primary("demo", ns)
    return leader, "demo-1" if leader == "demo-0" else "demo-0"


def lose_wal(ns, leader, replica):
    """What the stopped replica needs next is removed from the leader."""
    slot = replica.replace("-", "_")

    def lost():
        superuser_sql("demo", ns, "CREATE TABLE IF NOT EXISTS waste (t text); INSERT INTO waste SELECT repeat('x', 1000) FROM generate_series(1, 2000);"
                      "SELECT pg_switch_wal(); CHECKPOINT", leader)
        return superuser_sql("demo", ns, f"SELECT coalesce(max(wal_status), 'none') FROM pg_replication_slots WHERE slot_name = '{slot}'", leader) in ("lost", "none")
    wait("the replica's WAL to go", lost, 120)
    superuser_sql("demo", ns, "SELECT pg_switch_wal(); CHECKPOINT; SELECT pg_switch_wal(); CHECKPOINT", leader)


def events(ns, reason):
    return [e for e in get("events", ns=ns) if e["reason"] == reason]


def reinits(name, ns):
    """The operation that it was told, and how far that is."""
    obj = get("bgi", name, ns)
    told, done = obj["spec"].get("operation", {}), obj.get("status", {}).get("operation", {})
    return done.get("phase") if told.get("kind") == "Reinit" and told.get("id") == done.get("id") else None


@pytest.mark.parametrize("volumes", [{}, {"walStorage": {"size": "1Gi"}}], ids=["one-volume", "two-volumes"])
def test_a_replica_whose_wal_is_gone_is_cloned_anew(ns, volumes):
    apply(cluster(**volumes), ns)
    wait_ready("demo", ns)
    leader, replica = other(ns)
    before = pgdata(ns, replica)
    uid = get("pod", replica, ns)["metadata"]["uid"]
    with Writer("demo", ns) as w:
        fence(ns, replica)
        lose_wal(ns, leader, replica)
        patch("bgc", "demo", ns, {"spec": {"fencedInstances": []}})
        wait("the replica to stream again", lambda: instance(replica, ns).get("state") == "Streaming", 180)
        w.wait_for_writes()
    wait_ready("demo", ns)
    assert pgdata(ns, replica) != before
    assert reinits(replica, ns) == "Succeeded"
    assert get("pod", replica, ns)["metadata"]["uid"] == uid, "in the same pod"
    assert w.lost() == []
    assert w.longest_gap() < 5, "the leader took writes all the time"
    rows = f"SELECT count(*) >= {len(w.acked)} FROM written"
    wait("all rows on the replica", lambda: superuser_sql("demo", ns, rows, replica) == "t", 60)
    wait("the old data to be removed", lambda: "unfit" not in in_pod(ns, replica, "ls -a /pgdata /pgwal 2>/dev/null || true"), 60)
    told = wait("an Event", lambda: events(ns, "CannotFollow"), 30)
    assert len(told) == 1 and told[0].get("count", 1) == 1 and replica in told[0]["message"]
    # "unreserved" for as long as the replica has not confirmed what it has: 1 MB is less than a segment
    wait("its slot to hold back WAL for it again",
         lambda: superuser_sql("demo", ns, "SELECT wal_status FROM pg_replication_slots", leader) in ("reserved", "extended"), 60)


def test_foreign_data_is_kept_aside(ns):
    apply(cluster(), ns)
    wait_ready("demo", ns)
    leader, replica = other(ns)
    for pod in (leader, replica):
        in_pod(ns, pod, "mkdir /pgdata/space")
    superuser_sql("demo", ns, "CREATE TABLESPACE space LOCATION '/pgdata/space'", leader)
    superuser_sql("demo", ns, "CREATE TABLE mine TABLESPACE space AS SELECT 42 AS n", leader)
    fence(ns, replica)
    in_pod(ns, replica, "mv /pgdata/data /pgdata/was && $(ls -d /usr/lib/postgresql/*/bin | tail -1)/initdb -D /pgdata/data >/dev/null && touch /pgdata/data/somebodys"
                        " && ln -s /pgdata/space /pgdata/data/pg_tblspc/4711 && touch /pgdata/space/somebodys && rm -r /pgdata/was")
    patch("bgc", "demo", ns, {"spec": {"fencedInstances": []}})
    wait("the replica to stream again", lambda: instance(replica, ns).get("state") == "Streaming", 180)
    wait_ready("demo", ns)
    kept = in_pod(ns, replica, "ls -d /pgdata/data.kept-*").split()
    assert len(kept) == 1 and in_pod(ns, replica, f"ls {kept[0]}/somebodys {kept[0]}/PG_VERSION {kept[0]}/tablespaces/4711/somebodys")
    assert superuser_sql("demo", ns, "SELECT n FROM mine", replica) == "42"
    told = wait("an Event", lambda: events(ns, "ForeignData"), 30)
    assert len(told) == 1 and "data.kept-" in told[0]["message"]
    said = wait("it says what is kept, and how to be rid of it",
                lambda: (lambda s: s.get("reason") == "ForeignData" and s["message"])(instance(replica, ns)), 60)
    assert kept[0] in said and "rm -r" in said
    in_pod(ns, replica, f"rm -r {kept[0]} && ! test -e /pgdata/space/somebodys")


def clones(ns, pod):
    return {pid for pid, c in pod_pids(ns, pod).items() if "pg_basebackup" in c}


def cloning(ns, pod):
    return bool(clones(ns, pod))


def sends_backup(ns, pod):
    """The leader's process that sends the files; another one sends the WAL."""
    return next((pid for pid, c in pod_pids(ns, pod).items() if "walsender" in c and "backup" in c), None)


def test_a_clone_that_gets_nothing_is_said(ns):
    apply(bgcluster(), ns)
    wait_ready("demo", ns)
    superuser_sql("demo", ns, "CREATE TABLE big AS SELECT n, md5(n::text) AS t FROM generate_series(1, 3000000) n; CHECKPOINT")
    patch("bgc", "demo", ns, {"spec": {"instances": 2}})
    # with its second process the primary's checkpoint is over
    sender = wait("the backup to be sent", lambda: len(clones(ns, "demo-1")) == 2 and sends_backup(ns, "demo-0"), 180, every=0.01)
    kill(sender, signal.SIGSTOP)
    try:
        clone = clones(ns, "demo-1")
        assert len(clone) == 2
        said = wait("the instance to say so", lambda: (lambda s: s.get("reason") == "CloneStalled" and s)(instance("demo-1", ns)), 240)
        assert "network" in said["message"]
        wait("the cluster to say so", lambda: condition("demo", ns, "Ready").get("reason") == "CloneStalled", 30)
        assert len(wait("an Event", lambda: events(ns, "CloneStalled"), 30)) == 1
        assert clones(ns, "demo-1") == clone, "left alone"
    finally:
        kill(sender, signal.SIGCONT)
    wait_ready("demo", ns)
    assert "reason" not in instance("demo-1", ns), "it is over"
    assert superuser_sql("demo", ns, "SELECT count(*) FROM big", "demo-1") == "3000000"


def volume(ns, pod):
    """Where the node has it."""
    return STATE / "pv" / get("pvc", f"pgdata-{pod}", ns)["spec"]["volumeName"]


@pytest.mark.parametrize("victim", ["pod", "init", "agent", "patroni", pytest.param("operator", marks=pytest.mark.alone), "init-at-once"])
def test_killed_in_the_middle_of_the_clone(ns, victim):
    apply(cluster(), ns)
    wait_ready("demo", ns)
    leader, replica = other(ns)
    superuser_sql("demo", ns, "CREATE TABLE big AS SELECT n, md5(n::text) AS t FROM generate_series(1, 3000000) n; CHECKPOINT")
    fence(ns, replica)
    lose_wal(ns, leader, replica)
    patch("bgc", "demo", ns, {"spec": {"fencedInstances": []}})
    if victim == "init-at-once":
        init, path = pod_process(ns, replica, "init"), volume(ns, replica)
        wait("the data directory to give way", lambda: (path / "data.unfit").exists() or not (path / "data").exists(), 180, every=0.001)
        kill(init)
    else:
        wait("the clone to begin", lambda: cloning(ns, replica), 180, every=0.02)
    if victim == "pod":
        kubectl("-n", ns, "delete", "pod", replica, "--grace-period=0", "--force", "--wait=false")
    elif victim == "operator":
        for role in ("reconciler", "executor", "watcher"):
            kill(wait(role, lambda: worker_pid(role)))
    elif victim != "init-at-once":
        kill(pod_process(ns, replica, victim))
    wait("the replica to stream again", lambda: instance(replica, ns).get("state") == "Streaming", 180)
    wait_ready("demo", ns)
    assert superuser_sql("demo", ns, "SELECT count(*), min(t), max(t) FROM big", replica) == \
        superuser_sql("demo", ns, "SELECT count(*), min(t), max(t) FROM big", leader)
    wait("its end to be said, by another agent too", lambda: reinits(replica, ns) in ("Succeeded", None), 90)  # None: another pod was not told
    wait("the old data to be removed", lambda: "unfit" not in in_pod(ns, replica, "ls -a /pgdata"), 60)


def test_never_without_a_leader(ns):
    """The leader is gone without a word, and who can not follow it may be the last one with data."""
    apply(cluster(), ns)
    wait_ready("demo", ns)
    leader, replica = other(ns)
    before = pgdata(ns, replica)
    fence(ns, replica)
    lose_wal(ns, leader, replica)
    gone = list(pod_pids(ns, leader))
    try:
        for pid in gone:
            kill(pid, signal.SIGSTOP)
        patch("bgc", "demo", ns, {"spec": {"fencedInstances": []}})
        wait("PostgreSQL to run", lambda: pod_process(ns, replica, "postmaster"))
        uid = get("pod", replica, ns)["metadata"]["uid"]
        told = "6d2b2b5e-0000-4000-8000-000000000001"
        patch("bgi", replica, ns, {"spec": {"operation": {"id": told, "kind": "Reinit", "podUID": uid}}})
        done = wait("it to be refused", lambda: (lambda o: o if o.get("id") == told and o["phase"] == "Failed" else None)(
            instance(replica, ns).get("operation", {})))
        assert "lead" in done["message"]
        assert pgdata(ns, replica) == before, "what may be the last data is not touched"
    finally:
        for pid in gone:
            kill(pid, signal.SIGCONT)
    wait_ready("demo", ns, 240)
    assert primary("demo", ns) == leader


def test_a_leader_is_not_reinitialised(ns):
    apply(cluster(), ns)
    wait_ready("demo", ns)
    leader, _ = other(ns)
    before, uid = pgdata(ns, leader), get("pod", leader, ns)["metadata"]["uid"]
    told = "6d2b2b5e-0000-4000-8000-000000000002"
    patch("bgi", leader, ns, {"spec": {"operation": {"id": told, "kind": "Reinit", "podUID": uid}}})
    done = wait("it to be refused", lambda: (lambda o: o if o.get("id") == told and o["phase"] == "Failed" else None)(
        instance(leader, ns).get("operation", {})), 60)
    assert "leads" in done["message"]
    time.sleep(2)
    assert pgdata(ns, leader) == before and primary("demo", ns) == leader
