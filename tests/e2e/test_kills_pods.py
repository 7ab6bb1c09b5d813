"""kill -9 of each process in a pod, of the pod, and the leadership moving, in the middle of each operation: what docs/dbops.md promises
under "Exactly as often as promised". One BGCluster for each operation, all of them at once."""
import contextlib
import pathlib

import pytest

from cluster import Writer, apply, cmdline, get, kill, kubectl, pod_pids, pod_process, primary, wait
from kills import TASKS, Held, Run, cluster, each, fill, in_order, several
from test_dbops import bgdbops

pytestmark = pytest.mark.long
ONCE = ("benchmark", "sql")
# Begins of a task that was interrupted once: what it has left is removed by a begin of its own.
ATTEMPTS = {"reindex": 3, "repack": 3, "benchmark": 2, "sql": 1}


def reason(s):
    return [c["reason"] for c in s["conditions"] if c["type"] == "Failed" and c["status"] == "True"]


def kill_each(pods, who):
    """pods: {pod: namespace}; each has another one then."""
    old = {pod: wait(f"{who} of {pod}", lambda: pod_process(ns, pod, who)) for pod, ns in pods.items()}
    for pid in old.values():
        kill(pid)
    for pod, ns in pods.items():
        wait(f"another {who} of {pod}", lambda: pod_process(ns, pod, who) not in (None, old[pod]))


# --- Tasks.

def proc(pid, name):
    """Nothing of one that has ended."""
    try:
        return pathlib.Path(f"/proc/{pid}/{name}").read_text()
    except OSError:
        return ""


def client(r, pod=None):
    """The program of the task: psql, pgbench or pg_repack."""
    uid = r.uid()
    for pid, command in pod_pids(r.ns, pod or r.pod()).items():
        if not command.startswith("postgres") and f"PGAPPNAME=bestgres/{uid}" in proc(pid, "environ").split("\0"):
            return pid
    return None


def backend(r):
    """As the node numbers it."""
    inner = {str(pid) for pid in r.middle()}
    for pid in pod_pids(r.ns, r.pod()):
        if inner & {line.split()[-1] for line in proc(pid, "status").splitlines() if line.startswith("NSpid:")}:
            return pid
    return None


def kill_all(runs, find):
    pids = [wait("whom to kill", lambda: find(r)) for r in runs]
    for pid in pids:
        kill(pid)
    wait("them to be gone", lambda: not any(b"".join(cmdline(pid)) for pid in pids), every=0.01)


def process(who):
    return lambda r: pod_process(r.ns, r.pod(), who)


def move_leaders(runs):
    """A switchover would wait for what is done once."""
    def failover(r):
        leader = r.pod()
        spec = {"candidate": f"{r.cluster}-{1 - int(leader[-1])}", "systemIdentifier": get("bgi", leader, r.ns)["status"]["systemIdentifier"]}
        return bgdbops(f"{r.name}-on", "failover", r.cluster, failover=spec)
    apply([failover(r) for r in runs], runs[0].ns)


def delete_pods(ns, pods, *how):
    kubectl("delete", "pod", "-n", ns, "--wait=false", *how, *pods)


FORCE = ("--grace-period=0", "--force")


def interrupted(r):
    """It is known; what may be repeated waits, or is at it again."""
    s = wait(f"{r.name} to be interrupted", lambda: (lambda s: s if s["phase"] == "Failed" or s.get("retries") else None)(r.status()))
    assert s["phase"] not in ("Pending", "Failed") or s["message"].startswith("interrupted"), s


def is_repeated(r, most=1):
    """Not at all if it is done once; otherwise so often at most."""
    s = r.over()
    if r.op in ONCE:
        assert s["phase"] == "Failed" and reason(s) == ["Interrupted"] and s["message"].startswith("interrupted") and s.get("retries", 0) == 0, s
    else:
        assert s["phase"] == "Succeeded" and 1 <= s["retries"] <= most, s
    return s


def in_the_middle(ns, what, ops=TASKS):
    runs = [Run(op, ns, f"{op}-{what}") for op in ops]
    for r in runs:
        r.hold()
    apply([r.wanted() for r in runs], ns)
    for r in runs:
        r.seen = r.middle()
    return runs


def test_processes_under_tasks(ns):
    """What is repeated is repeated once, the rest is not begun again. Of agent and Patroni nobody takes notice."""
    apply([cluster(op) for op in TASKS], ns)
    for op in TASKS:
        fill(op, ns)
    for what, find in {"pgctl": process("pgctl"), "client": client, "backend": backend, "postmaster": process("postmaster")}.items():
        runs = in_the_middle(ns, what)
        if what == "pgctl":
            for who in ("agent", "patroni"):
                kill_each({r.pod(): ns for r in runs}, who)
            for r in runs:
                s = r.status()
                assert s["phase"] == "Running" and s["attempt"] == 1 and (r.op == "benchmark" or r.backends() >= r.seen), s
        kill_all(runs, find)
        for r in runs:
            if what in ("backend", "postmaster"):  # with it went who held it up
                if r.op == "checkpoint":  # a checkpointer that goes on does it, and says so if there still is somebody to hear it
                    wait("its client to end", lambda: client(r, f"{r.cluster}-0") is None)
                r.release()
        for r in runs:
            interrupted(r)
            r.release()
        for r in runs:
            s = is_repeated(r)
            assert s["attempt"] == ATTEMPTS.get(r.op, 2), s
            r.clean()


@contextlib.contextmanager
def writing(names, ns):
    """A client writes into each BGCluster; afterwards no acknowledged row is missing."""
    with contextlib.ExitStack() as stack:
        writers = [stack.enter_context(Writer(name, ns, pause=0.05)) for name in names]
        yield
        for w in writers:
            w.wait_for_writes()
    for name, w in zip(names, writers):
        assert w.lost() == [], name


def test_pods_and_leaders_under_tasks(ns):
    """PID 1 dies, the pod goes, the leadership moves: the same, on whoever leads then."""
    apply([several(op) for op in TASKS], ns)
    for op in TASKS:
        fill(op, ns)
        in_order(op, ns)
    with writing(TASKS, ns):
        for what in ("init", "moved", "deleted", "lost"):
            # A server whose checkpointer is stopped hands nothing over.
            runs = in_the_middle(ns, what, [op for op in TASKS if (op, what) != ("checkpoint", "moved")])
            if what == "init":
                kill_all(runs, process("init"))
            elif what == "moved":
                move_leaders(runs)
            else:
                delete_pods(ns, [r.pod() for r in runs], *(FORCE if what == "lost" else ("--grace-period=10",)))
            for r in runs:
                interrupted(r)
                r.release()
            for r in runs:
                is_repeated(r, 2)  # the next one may have begun on a primary that was about to go
                r.clean()
                in_order(r.cluster, ns)


# --- Those that stop servers or move the leadership, and reload.

DISRUPTIVE = ("reload", "reinit", "restart", "failover", "switchover")


def held_up(ns, what, ops):
    """Each in its middle."""
    def hold(op):
        in_order(op, ns)
        h = Held(ns, op, op, f"{op}-{what}")
        h.middle()
        return h
    return each(hold, ops)


def ends(h, *reasons):
    """It succeeds, or fails for one of these reasons."""
    s = h.over()
    if s["phase"] == "Succeeded":
        assert h.op not in ("switchover", "failover") or wait("the candidate to lead", lambda: primary(h.cluster, h.ns) == h.replica), s
        assert h.op not in ("restart", "reload") or {i["name"] for i in s["instances"]} == h.pods, s
    else:
        assert reason(s) and reason(s)[0] in reasons and s["message"].startswith("interrupted"), s
    return s["phase"]


def server(h):
    """The one that is held up: its postmaster, or who clones it."""
    if h.op == "reinit":
        return min(p for p, c in pod_pids(h.ns, h.pod).items() if "pg_basebackup" in c)
    return pod_process(h.ns, h.hold.pod, "postmaster")


def told(who):
    return lambda h: wait(who, lambda: pod_process(h.ns, h.pod, who))


def test_processes_under_disruptive_operations(ns):
    """Each goes on, or is done by whoever comes after. Where Patroni's answer is lost, who leads then tells whether it was handed over."""
    apply([several(op) for op in DISRUPTIVE], ns)
    for op in DISRUPTIVE:
        fill(op, ns)
    done = set()
    with writing(DISRUPTIVE, ns):
        for what, find in {"agent": None, "patroni": told("patroni"), "server": server, "init": told("init")}.items():
            held = held_up(ns, what, DISRUPTIVE)
            for who in ("agent", "pgctl") if what == "agent" else ():
                kill_each({h.pod: ns for h in held}, who)
            servers = {h: pod_process(ns, h.pod, "postmaster") for h in held}
            for h in held if find else ():
                kill(find(h))
            for h in held:
                if (h.op, what) == ("failover", "init"):  # else nobody could take over, and that is waited for
                    wait("the candidate to be back", lambda: pod_process(ns, h.pod, "postmaster") not in (None, servers[h]))
                h.hold.release()
            for h in held:
                done.add((h.op, ends(h, *(("Interrupted",) if find and h.op in ("switchover", "failover") else ())), bool(find)))
    assert {(op, "Succeeded", True) for op in DISRUPTIVE} <= done, "what may be interrupted is not so whoever dies"
    for op in DISRUPTIVE:
        in_order(op, ns)


def test_pods_under_disruptive_operations(ns):
    """Of who is told nobody waits for an answer that does not come; where the leader is lost, another one leads on."""
    instances = {op: 3 if op in ("reload", "reinit", "restart") else 2 for op in DISRUPTIVE}
    apply([several(op, n) for op, n in instances.items()], ns)
    for op in DISRUPTIVE:
        fill(op, ns)
    with writing(DISRUPTIVE, ns):
        for what, pod in {"deleted": "pod", "lost": "pod", "leader": "leader"}.items():
            held = held_up(ns, what, [op for op in DISRUPTIVE if pod == "pod" or instances[op] > 2])
            delete_pods(ns, [getattr(h, pod) for h in held], *(() if what == "deleted" else FORCE))
            for h in held:
                h.hold.release()
            for h in held:
                ends(h, *(("Interrupted",) if pod == "pod" and h.op not in ("restart", "reload") else ()))
    for op in DISRUPTIVE:
        in_order(op, ns)
