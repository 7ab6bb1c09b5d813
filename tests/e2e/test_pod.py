"""Inside the pod: one writable primary, one postmaster a volume, no acknowledged row lost, whatever dies."""
import signal
import time

import pytest

from cluster import (Writer, apply, bgcluster, get, kill, kubectl, pod_pids, pod_process, primary, sql, wait, wait_ready, service_ip, secret, connect)

pytestmark = pytest.mark.alone


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


@pytest.mark.parametrize("victim", ["patroni", "postmaster", "agent", "pgctl"])
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


def test_frozen_patroni_on_the_leader_is_fenced(ns):
    """SIGSTOP, and SIGSTOP of every successor: the old server must not be writable when another one is."""
    three(ns)
    with Writer("demo", ns) as w:
        leader = primary("demo", ns)
        others = [f"demo-{n}" for n in range(3) if f"demo-{n}" != leader]
        end, both, frozen = time.monotonic() + 40, [], set()
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
            pytest.fail("no other primary within 40 s")
        assert both == [], "two writable primaries"
        for _ in range(20):
            assert not (writable(ns, leader) and any(writable(ns, p) for p in others))
            time.sleep(0.1)
        w.wait_for_writes()
        for pid in frozen:  # one frozen while it started has never answered, and is not taken for silent
            if "patroni" in pod_pids(ns, leader).get(pid, ""):
                kill(pid)
        wait_ready("demo", ns, 180)
    assert w.lost() == []


def test_two_pods_never_share_a_volume(ns):
    """Forced deletion while the old container ignores SIGTERM: the new pod waits for the lock."""
    apply(bgcluster(), ns)
    wait_ready("demo", ns)
    sql("demo", ns, "CREATE TABLE kept AS SELECT 42 AS n")
    old = pod_process(ns, "demo-0", "init")
    kill(old, signal.SIGSTOP)  # PID 1 can not react: kubelet waits for the grace period before it kills
    kubectl("delete", "pod", "demo-0", "-n", ns, "--force", "--grace-period=0", "--wait=false", check=False)
    seen_waiting = False
    for _ in range(100):
        state = (get("bgi", "demo-0", ns) or {}).get("status", {}).get("state")
        pid = pod_process(ns, "demo-0", "postmaster") if get("pod", "demo-0", ns) else None
        alive = __import__("os").path.exists(f"/proc/{old}")
        seen_waiting |= state == "WaitingForLock"
        assert not (alive and pid), "a second postmaster beside the old one"
        if not alive:
            break
        time.sleep(0.2)
        if seen_waiting:
            kill(old, signal.SIGKILL)
    assert seen_waiting
    wait_ready("demo", ns)
    assert sql("demo", ns, "SELECT n FROM kept") == [(42,)]
