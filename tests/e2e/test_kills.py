"""kill -9 of each process of the operator in the middle of each operation: what docs/dbops.md promises under "Exactly as often as promised"."""
import pytest

from cluster import SYSTEM, Writer, apply, kill, kubectl, primary, supervisor_pid, wait, worker_pid
from kills import TASKS, Held, Run, cluster, fill, in_order, several


def kill_workers():
    for role in ("broker", "watcher", "reconciler", "executor"):
        pid = wait(role, lambda: worker_pid(role))
        kill(pid)
        wait(f"another {role}", lambda: worker_pid(role) not in (None, pid))


def kill_supervisor():
    """In another pod it is back at once: the kubelet lets a container that has ended before wait."""
    kill(supervisor_pid())
    kubectl("delete", "pod", "-n", SYSTEM, "--all", "--grace-period=0", "--force", "--wait=false")
    wait("the operator to be back", lambda: worker_pid("executor"))


@pytest.mark.alone
def test_the_operator(ns):
    """Each of its processes dies in the middle of each operation, which goes on as if nothing had been."""
    runs = [Run(op, ns, **({"duration": 30} if op == "benchmark" else {})) for op in TASKS]
    apply([several("demo"), *(cluster(r.cluster) for r in runs)], ns)
    for name in ("demo", *TASKS):
        fill(name, ns)
    in_order("demo", ns)
    with Writer("demo", ns) as w:
        for r in runs:
            r.hold()
        apply([r.wanted() for r in runs], ns)
        backends = {r.op: r.middle() for r in runs}
        restart = Held(ns, "restart")
        restart.middle()
        kill_workers()
        kill_supervisor()
        assert restart.hold.is_held() and restart.status()["phase"] == "Running"
        for r in runs:
            if r.op != "benchmark":
                assert r.status()["phase"] == "Running" and r.backends() >= backends[r.op], (r.op, r.status())
            r.release()
        restart.succeeds()
        for op in ("reload", "switchover", "failover", "reinit"):
            in_order("demo", ns)
            held = Held(ns, op)
            held.middle()
            kill_workers()
            assert held.hold.is_held() and held.status()["phase"] == "Running"
            held.succeeds()
            assert op in ("reload", "reinit") or wait("the candidate to lead", lambda: primary("demo", ns) == held.replica)
        in_order("demo", ns)
        w.wait_for_writes()
    assert w.lost() == []
    for r in runs:
        r.succeeds()
        r.clean()
