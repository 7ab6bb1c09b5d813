"""The end of a container as `kubectl describe pod` shows it: SIGTERM is exit code 0 inside the grace period and a next start that recovers
nothing, whatever hangs; who ends unasked is started again, and what ends the container says why."""
import datetime
import json
import pathlib
import re
import signal
import struct
import threading
import time

import psycopg2

from cluster import Writer, ancestors, apply, bgcluster, condition, connect, get, kill, kubectl, patch, pod_pids, pod_process, primary, sql, superuser_sql, wait, wait_ready

FINALIZER = "e2e.bestgres.io/look"  # keeps a pod that has ended until its last words are read
SHUT_DOWN, SHUT_DOWN_IN_RECOVERY = 1, 2  # enum DBState, catalog/pg_control.h


def container(ns, pod):
    return next(c for c in get("pod", pod, ns)["status"]["containerStatuses"] if c["name"] == "postgres")


def stop(ns, pod, *how):
    """SIGTERM by the pod's deletion (how: kubectl's options). What the container ended with, when it had to end, and what PostgreSQL left written on the volume."""
    patch("pod", pod, ns, {"metadata": {"finalizers": [FINALIZER]}})
    kubectl("delete", "pod", pod, "-n", ns, "--wait=false", *how)
    limit = get("pod", pod, ns)["metadata"]["deletionTimestamp"]
    ended = wait(f"{pod}'s container to end", lambda: container(ns, pod)["state"].get("terminated"), 120)
    assert pod_pids(ns, pod) == {}, "nothing of ours survives"
    return ended, limit, control_state(ns, pod)


def control_state(ns, pod):
    """The database's state in pg_control, after an 8-byte identifier and two 4-byte versions."""
    claim = get("pvc", f"pgdata-{pod}", ns)
    source = get("pv", claim["spec"]["volumeName"])["spec"]
    path = (source.get("local") or source.get("hostPath"))["path"]
    files = list(pathlib.Path(path).glob("*/global/pg_control"))
    assert len(files) == 1, files
    return struct.unpack_from("=I", files[0].read_bytes(), 16)[0]


def time_of(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def let_go(ns, pod):
    """The stopped pod makes way for the next one; what that one logs once the cluster is Ready."""
    uid = get("pod", pod, ns)["metadata"]["uid"]
    patch("pod", pod, ns, {"metadata": {"finalizers": None}})
    wait(f"another {pod}", lambda: get("pod", pod, ns)["metadata"]["uid"] != uid)
    wait("it to report", lambda: get("bgi", pod, ns)["status"]["podUID"] == get("pod", pod, ns)["metadata"]["uid"])
    wait_ready("demo", ns)
    return kubectl("logs", pod, "-n", ns, "-c", "postgres", "--tail=-1")


def assert_clean(ended, limit, state, expected=SHUT_DOWN):
    assert ended["exitCode"] == 0, ended
    assert time_of(ended["finishedAt"]) <= time_of(limit), f"{ended}: the grace period ended at {limit}"
    assert state == expected, "PostgreSQL wrote its shutdown checkpoint"


def assert_no_recovery(log):
    assert "database system was shut down" in log
    assert "not properly shut down" not in log and "was interrupted" not in log


def test_hung_archiver(ns):
    """PostgreSQL waits for its archiver for ever; its data is safe by then, and the container ends in time."""
    apply(bgcluster(postgres={"parameters": {"archive_mode": "on", "archive_command": "sleep 1000"}}), ns)
    wait_ready("demo", ns)
    sql("demo", ns, "CREATE TABLE kept AS SELECT 42 AS n")
    superuser_sql("demo", ns, "SELECT pg_switch_wal()")
    wait("the archiver to hang", lambda: any("sleep 1000" in c for c in pod_pids(ns, "demo-0").values()))
    assert_clean(*stop(ns, "demo-0"))
    assert_no_recovery(let_go(ns, "demo-0"))
    assert sql("demo", ns, "SELECT n FROM kept") == [(42,)]


def test_other_grace_period_than_the_specs(ns):
    """The deletion gives less time than the spec: the archiver hangs, and the end is in order still; in next to no time it says why not."""
    apply(bgcluster(postgres={"parameters": {"archive_mode": "on", "archive_command": "sleep 1000"}}), ns)
    wait_ready("demo", ns)
    sql("demo", ns, "CREATE TABLE kept AS SELECT 42 AS n")
    superuser_sql("demo", ns, "SELECT pg_switch_wal()")
    wait("the archiver to hang", lambda: any("sleep 1000" in c for c in pod_pids(ns, "demo-0").values()))
    assert_clean(*stop(ns, "demo-0", "--grace-period=10"))
    assert_no_recovery(let_go(ns, "demo-0"))
    ended, _, state = stop(ns, "demo-0", "--grace-period=1")
    assert (ended["exitCode"], state) == (0, SHUT_DOWN) or (ended["exitCode"] != 0 and "grace period of 2 s" in ended["message"]), ended
    let_go(ns, "demo-0")
    assert sql("demo", ns, "SELECT n FROM kept") == [(42,)]


def set_pause(ns, on):
    """As patronictl pause and resume do, in the ConfigMap."""
    config = json.loads(get("configmap", "demo-config", ns)["metadata"]["annotations"]["config"])
    config.pop("pause", None)
    if on:
        config["pause"] = True
    patch("configmap", "demo-config", ns, {"metadata": {"annotations": {"config": json.dumps(config)}}})


def test_paused_patroni(ns):
    """A paused Patroni leaves PostgreSQL running when it ends; PID 1 does not."""
    apply(bgcluster(), ns)
    wait_ready("demo", ns)
    sql("demo", ns, "CREATE TABLE kept AS SELECT 42 AS n")
    set_pause(ns, True)
    wait("Patroni to know", lambda: json.loads(get("pod", "demo-0", ns)["metadata"]["annotations"]["status"]).get("pause"))
    assert_clean(*stop(ns, "demo-0"))
    set_pause(ns, False)
    assert_no_recovery(let_go(ns, "demo-0"))
    assert sql("demo", ns, "SELECT n FROM kept") == [(42,)]


def hog(ns, query):
    """A client that waits for a long answer; its thread ends with its connection."""
    conn = connect("demo", ns)
    conn.cursor().execute("SET statement_timeout = 0")

    def run():
        try:
            conn.cursor().execute(query)
        except psycopg2.Error:
            pass
    threading.Thread(target=run, daemon=True).start()


def test_busy_clients(ns):
    apply(bgcluster(instances=2), ns)
    wait_ready("demo", ns)
    sql("demo", ns, "CREATE TABLE kept (n int)")
    leader = primary("demo", ns)
    replica = "demo-1" if leader == "demo-0" else "demo-0"
    with Writer("demo", ns) as w:
        for _ in range(3):
            hog(ns, "SELECT count(*) FROM generate_series(1, 100000000000)")
            hog(ns, "SELECT pg_sleep(1000)")
        half = connect("demo", ns)
        half.autocommit = False
        half.cursor().execute("INSERT INTO kept SELECT generate_series(1, 100000)")
        assert_clean(*stop(ns, replica), SHUT_DOWN_IN_RECOVERY)
        let_go(ns, replica)
        assert_clean(*stop(ns, leader))
        let_go(ns, leader)
        w.wait_for_writes()
    assert w.lost() == []
    assert sql("demo", ns, "SELECT count(*) FROM kept") == [(0,)], "what was never committed is not there"


def test_postgresql_and_patroni_that_end_by_themselves_are_started_again(ns):
    apply(bgcluster(), ns)
    wait_ready("demo", ns)
    sql("demo", ns, "CREATE TABLE kept AS SELECT 42 AS n")
    before = container(ns, "demo-0")["restartCount"]
    for sig in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):  # stopped by hand, at once, by the kernel
        old = pod_process(ns, "demo-0", "postmaster")
        kill(old, sig)
        wait(f"another postmaster after {sig.name}", lambda: pod_process(ns, "demo-0", "postmaster") not in (None, old))
        wait_ready("demo", ns)
        assert sql("demo", ns, "SELECT n FROM kept") == [(42,)]
    for _ in range(4):
        old = wait("Patroni", lambda: pod_process(ns, "demo-0", "patroni"))
        kill(old)
        wait("another Patroni", lambda: pod_process(ns, "demo-0", "patroni") not in (None, old), every=0.02)
    pauses = [int(ms) for ms in re.findall(r"starting it again in (\d+) ms", kubectl("logs", "demo-0", "-n", ns, "-c", "postgres", "--tail=-1"))]
    assert pauses[-4:] == sorted(pauses[-4:]) and pauses[-4] < pauses[-1], f"later and later: {pauses}"
    wait_ready("demo", ns)
    assert sql("demo", ns, "SELECT n FROM kept") == [(42,)]
    assert container(ns, "demo-0")["restartCount"] == before, "mended inside the container"


def test_a_server_that_can_not_start(ns):
    """What postgres -C takes and a start does not: it is said, as no bootstrap, and the correction is applied to a server that does not run."""
    apply(bgcluster(), ns)
    wait_ready("demo", ns)
    sql("demo", ns, "CREATE TABLE kept AS SELECT 42 AS n")
    patch("bgc", "demo", ns, {"spec": {"postgres": {"parameters": {"shared_preload_libraries": "/no/such/library"}}}})
    said = set()

    def failed():
        c = condition("demo", ns, "Ready")
        said.add(c["reason"])
        return c["reason"] == "StartFailed" and c
    told = wait("the cluster to say so", failed, 60, every=0.2)
    assert "kubectl logs demo-0" in told["message"] and "Bootstrapping" not in said, (told, said)
    assert get("bgi", "demo-0", ns)["status"]["state"] == "Failed"
    wait("an Event", lambda: any(e["reason"] == "StartFailed" for e in get("events", ns=ns)), 10)
    patch("bgc", "demo", ns, {"spec": {"postgres": {"parameters": {"shared_preload_libraries": None}}}})
    wait_ready("demo", ns)
    assert sql("demo", ns, "SELECT n FROM kept") == [(42,)]
    assert container(ns, "demo-0")["restartCount"] == 0


def test_fenced_container_says_why(ns):
    """Every Patroni is frozen at once: nobody renews the lock, so PostgreSQL is stopped and the container ends, with a word for the reader."""
    apply(bgcluster(), ns)
    wait_ready("demo", ns)
    sql("demo", ns, "CREATE TABLE kept AS SELECT 42 AS n")
    before, init, frozen = container(ns, "demo-0")["restartCount"], pod_process(ns, "demo-0", "init"), set()
    end = time.monotonic() + 120
    while pathlib.Path(f"/proc/{init}").exists():
        assert time.monotonic() < end, "not fenced"
        pid = pod_process(ns, "demo-0", "patroni")
        if pid and pid not in frozen and init in ancestors(pid):
            kill(pid, signal.SIGSTOP)
            frozen.add(pid)
        time.sleep(0.05)
    wait("another container", lambda: container(ns, "demo-0")["restartCount"] > before)
    last = container(ns, "demo-0")["lastState"]["terminated"]
    assert last["exitCode"] != 0 and "did not renew its lock in time" in last["message"], last
    assert last["message"] in kubectl("describe", "pod", "demo-0", "-n", ns)
    wait_ready("demo", ns)
    assert sql("demo", ns, "SELECT n FROM kept") == [(42,)]
