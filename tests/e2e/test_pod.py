"""Inside the pod: one writable primary, one postmaster a volume, no acknowledged row lost, whatever dies."""
import pathlib
import signal
import time

import pytest

from cluster import (STATE, Writer, ancestors, apply, bgcluster, cmdline, condition, connect, get, kill, kubectl, patch, pod_pids, pod_process, primary, sql,
                     superuser_sql, wait, wait_ready)


def three(ns, **more):
    apply(bgcluster(instances=3, patroni={"synchronousMode": "on", **more}), ns)
    wait_ready("demo", ns)


def pod_ip(ns, pod):
    return get("pod", pod, ns)["status"]["podIP"]


def writable(ns, pod):
    """Does this pod's server take writes right now?"""
    import psycopg2
    try:
        conn = connect("demo", ns, host=pod_ip(ns, pod))
        cur = conn.cursor()
        cur.execute("SELECT pg_is_in_recovery()")
        recovering = cur.fetchone()[0]
        conn.close()
        return not recovering
    except (psycopg2.Error, KeyError, TypeError):
        return False


def test_leader_pod_deleted_by_force(ns):
    three(ns)
    with Writer("demo", ns) as w:
        for _ in range(3):
            old = primary("demo", ns)
            uid = get("pod", old, ns)["metadata"]["uid"]
            kubectl("delete", "pod", old, "-n", ns, "--force", "--grace-period=0", "--wait=false", check=False)
            # another pod, mostly of another name: a quick successor of the same name may win as well
            wait("another primary", lambda: primary("demo", ns) and get("pod", primary("demo", ns), ns)["metadata"]["uid"] != uid, 60)
            w.wait_for_writes()
            wait_ready("demo", ns)
    assert w.lost() == []


def test_leader_pod_deleted_politely_hands_over(ns):
    three(ns)
    with Writer("demo", ns) as w:
        old = primary("demo", ns)
        uid = get("pod", old, ns)["metadata"]["uid"]
        kubectl("delete", "pod", old, "-n", ns, "--wait=false")
        wait("another primary", lambda: primary("demo", ns) not in (None, old), 60)
        w.wait_for_writes()
        wait("the old pod to be a new one", lambda: (lambda p: p and p["metadata"]["uid"] != uid)(get("pod", old, ns)), 60)
        wait_ready("demo", ns)
    assert w.lost() == []


@pytest.mark.alone
def test_leader_that_dies_while_it_hands_over_in_synchronous_mode(ns):
    """A replica that is not synchronous may be ahead of the one that is: it must not hold that one back (Patroni compares all members while a
    request to switch over without a candidate is left behind)."""
    three(ns)
    with Writer("demo", ns) as w:
        w.wait_for_writes()
        old = primary("demo", ns)
        sync = wait("a synchronous standby", lambda: superuser_sql("demo", ns, "select application_name from pg_stat_replication where sync_state = 'sync'"))
        # nobody makes another pod of that name before the others had to do without
        patch("bgc", "demo", ns, {"metadata": {"annotations": {"bestgres.io/paused": "true"}}})
        kubectl("delete", "statefulset", "demo", "-n", ns, "--cascade=orphan")
        receiver = next(p for p, c in pod_pids(ns, sync).items() if "walreceiver" in c)
        kill(receiver, signal.SIGSTOP)
        # not waited for by anybody, so the third has it and the synchronous one does not
        superuser_sql("demo", ns, "set synchronous_commit = local; select pg_logical_emit_message(true, 'ahead', 'x')")
        init = pod_process(ns, old, "init")
        kubectl("delete", "pod", old, "-n", ns, "--wait=false")
        wait("the request to switch over", lambda: (get("configmap", "demo-failover", ns) or {"metadata": {}})["metadata"].get("annotations", {}).get("leader") == old, 20, 0.05)
        kill(init)
        kill(receiver, signal.SIGTERM)  # so that it ends before it reads what the kernel has for it
        kill(receiver, signal.SIGCONT)
        wait(f"{sync} to lead", lambda: primary("demo", ns) == sync, 90)
        w.wait_for_writes()
        patch("bgc", "demo", ns, {"metadata": {"annotations": {"bestgres.io/paused": None}}})
        wait_ready("demo", ns)
    assert w.lost() == []


@pytest.mark.parametrize("victim", [pytest.param("patroni", marks=pytest.mark.alone), "postmaster", "agent", "pgctl"])
def test_kill_9_in_the_leaders_pod(ns, victim):
    three(ns)
    with Writer("demo", ns) as w:
        leader = primary("demo", ns)
        restarts = get("pod", leader, ns)["status"]["containerStatuses"][0]["restartCount"]
        kill(wait(f"the {victim}", lambda: pod_process(ns, leader, victim)))
        w.wait_for_writes()
        wait("the process to be back", lambda: pod_process(ns, leader, victim), 30)
        wait_ready("demo", ns)
        assert get("pod", leader, ns)["status"]["containerStatuses"][0]["restartCount"] == restarts, "mended inside the container"
    assert w.lost() == []
    if victim == "patroni":
        assert w.longest_gap() < 3, "a new Patroni adopts the running server: no outage"


def test_kill_9_of_pid_1(ns):
    three(ns)
    with Writer("demo", ns) as w:
        leader = primary("demo", ns)
        kill(pod_process(ns, leader, "init"))
        w.wait_for_writes()
        wait_ready("demo", ns)
    assert w.lost() == []


@pytest.mark.alone
def test_frozen_patroni_on_the_leader_is_fenced(ns):
    """SIGSTOP, and SIGSTOP of every successor: the old server must not be writable when another one is."""
    three(ns)
    with Writer("demo", ns) as w:
        leader = primary("demo", ns)
        others = [f"demo-{n}" for n in range(3) if f"demo-{n}" != leader]
        end, both, frozen = time.monotonic() + 120, [], set()
        while time.monotonic() < end:
            pid = pod_process(ns, leader, "patroni")
            if pid and pid not in frozen:
                kill(pid, signal.SIGSTOP)
                frozen.add(pid)
            if any(writable(ns, p) for p in others):
                if writable(ns, leader) and any(writable(ns, p) for p in others):
                    both.append(time.monotonic())
                break
            time.sleep(0.1)
        else:
            pytest.fail("no other primary within 120 s")
        assert both == [], "two writable primaries"
        for _ in range(20):
            assert not (writable(ns, leader) and any(writable(ns, p) for p in others))
            time.sleep(0.1)
        w.wait_for_writes()
        wait_ready("demo", ns, 180)  # whichever was frozen last, while it started: its silence is noticed
    assert w.lost() == []


def shim(pid):
    """containerd's shim of the container with that PID 1: nothing of the container is signalled without it."""
    return next(p for p in ancestors(pid) if cmdline(p)[0].endswith(b"containerd-shim-runc-v2"))


@pytest.mark.alone
def test_two_pods_never_share_a_volume(ns):
    """Forced deletion while the old container goes on (it ignores SIGTERM, and the node's runtime hangs): the new pod waits for the lock."""
    apply(bgcluster(), ns)
    wait_ready("demo", ns)
    sql("demo", ns, "CREATE TABLE kept AS SELECT 42 AS n")
    old, old_postmaster, uid = pod_process(ns, "demo-0", "init"), pod_process(ns, "demo-0", "postmaster"), get("pod", "demo-0", ns)["metadata"]["uid"]
    kill(old, signal.SIGSTOP)
    kill(shim(old), signal.SIGSTOP)
    try:
        kubectl("delete", "pod", "demo-0", "-n", ns, "--force", "--grace-period=0", "--wait=false", check=False)
        wait("the new pod to wait for the lock", lambda: (lambda s: s.get("podUID") not in (None, uid) and s.get("state") == "WaitingForLock")(
            get("bgi", "demo-0", ns)["status"]), 60)
        for _ in range(25):
            assert pathlib.Path(f"/proc/{old_postmaster}").exists(), "the old server runs on: it has the volume"
            assert pod_process(ns, "demo-0", "postmaster") is None, "a second postmaster beside the old one"
            time.sleep(0.2)
        assert get("bgi", "demo-0", ns)["status"]["state"] == "WaitingForLock"
    finally:
        kill(shim(old), signal.SIGCONT)
    wait("the old container to end", lambda: not pathlib.Path(f"/proc/{old}").exists(), 60)
    wait_ready("demo", ns)
    assert sql("demo", ns, "SELECT n FROM kept") == [(42,)]


@pytest.mark.alone
def test_report_of_a_lost_pod_does_not_stay(ns):
    """The node's kubelet hangs and the pod is forced away: what it said last of itself is no longer true of anything."""
    apply(bgcluster(), ns)
    wait_ready("demo", ns)
    kubelet = int((STATE / "kubelet.pid").read_text())
    kill(kubelet, signal.SIGSTOP)
    try:
        kubectl("delete", "pod", "demo-0", "-n", ns, "--force", "--grace-period=0", "--wait=false", check=False)
        status = wait("the role to go", lambda: (lambda s: s if s.get("role") is None else None)(get("bgi", "demo-0", ns)["status"]), 30)
        assert [c["status"] for c in status["conditions"] if c["type"] == "Reachable"] == ["False"]
        c = condition("demo", ns, "Ready")
        assert c["status"] == "False", c
    finally:
        kill(kubelet, signal.SIGCONT)
    wait_ready("demo", ns)
    assert get("bgi", "demo-0", ns)["status"]["role"] == "Primary"
