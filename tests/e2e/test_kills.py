"""kill -9 of each process of the operator in the middle of each operation: what docs/dbops.md promises under "Exactly as often as promised".
Each operation is held up in its middle by a session, a lock or a stopped process, so that it is surely there when the process is killed."""
import os
import signal
import socket
from collections import namedtuple

import psycopg2
import pytest

from cluster import (SYSTEM, Writer, apply, bgcluster, connect, get, kill, kubectl, pod_pids, primary, sql, supervisor_pid, wait, wait_ready,
                     worker_pid)
from test_dbops import bgdbops, script, status

# REINDEX CONCURRENTLY and pg_repack end only when all older snapshots are gone, and need no lock of its holder to be cleaned up after.
SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1"
LOCK = "BEGIN; LOCK TABLE held IN SHARE UPDATE EXCLUSIVE MODE"
Task = namedtuple("Task", "spec hold middle")
# What is told; what another session does so that it does not end; what its own backends (of pg_stat_activity) show in its middle.
TASKS = {
    "checkpoint": Task({}, None, "query LIKE 'CHECKPOINT%'"),  # the checkpointer is stopped
    "vacuum": Task({"tables": ["done", "held"]}, LOCK, "query LIKE 'VACUUM%held%' AND wait_event_type = 'Lock'"),
    "analyze": Task({"databases": ["app"]}, LOCK, "query LIKE 'ANALYZE%held%' AND wait_event_type = 'Lock'"),
    "reindex": Task({"tables": ["held"]}, SNAPSHOT, "wait_event = 'virtualxid' AND EXISTS (SELECT FROM pg_index WHERE NOT indisvalid)"),
    "repack": Task({"databases": ["app"], "tables": ["held"]}, SNAPSHOT, "EXISTS (SELECT FROM pg_trigger WHERE tgname = 'repack_trigger') AND EXISTS "
                                                   "(SELECT FROM pg_class WHERE relname = 'table_' || 'held'::regclass::oid)"),
    "benchmark": Task({"duration": 600, "clients": 2}, None, "query LIKE 'UPDATE pgbench%' OR query IN ('BEGIN;', 'END;')"),
    "sql": Task(None, "SELECT pg_advisory_lock(1)", "wait_event = 'advisory'"),
}
LEFT = {
    "sessions": "SELECT pid, query FROM pg_stat_activity WHERE application_name LIKE 'bestgres/%'",
    "indexes": "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid",
    "of pg_repack": "SELECT relname FROM pg_class WHERE relnamespace = 'repack'::regnamespace AND relname ~ '_[0-9]+$' UNION ALL "
                    "SELECT tgname FROM pg_trigger WHERE tgname = 'repack_trigger'",
    "databases": "SELECT datname FROM pg_database WHERE datname LIKE 'bestgres_benchmark%'",
}
TABLES = ("CREATE TABLE marks (run int)", "CREATE TABLE done AS SELECT 1 AS id",
          "CREATE TABLE held (id int PRIMARY KEY, t text)", "INSERT INTO held SELECT n, repeat('x', 100) FROM generate_series(1, 5000) n")


def cluster(name, **spec):
    """A lock is held for so long that a new Patroni gets it on a busy machine too: else PostgreSQL is stopped, which is another test's."""
    return bgcluster(name, bootstrap={"postInitSQL": ["CREATE EXTENSION pg_repack", "GRANT pg_monitor TO app"]},
                     **{"patroni": {"ttl": 60, **spec.pop("patroni", {})}, **spec})


def fill(name, ns):
    wait_ready(name, ns)
    for statement in TABLES:
        sql(name, ns, statement)


def kill_if_there(pid, sig):
    """One that may have ended by itself."""
    try:
        kill(pid, sig)
    except ProcessLookupError:
        pass


def left(name, ns):
    """What a run has left on the primary, by kind."""
    found = {what: [r[-1] for r in sql(name, ns, query)] for what, query in LEFT.items()}
    return {what: rows for what, rows in found.items() if rows}


def released(name, ns):
    """Its status, when nothing has to be waited for any more."""
    return wait(f"{name}'s finalizer to go", lambda: (lambda o: o["status"] if not o["metadata"].get("finalizers") else None)(get("bgdo", name, ns)))


class Run:
    """An operation of table TASKS on the primary of a BGCluster; both have its name."""

    def __init__(self, op, ns, **spec):
        self.op, self.ns, self.name, self.cluster, self.task = op, ns, op, op, TASKS[op]
        self.spec, self.conn, self.stopped = {**(self.task.spec or {}), **spec}, None, None

    def status(self):
        return status(self.name, self.ns)

    def pod(self):
        return wait("a primary", lambda: primary(self.cluster, self.ns))

    def hold(self):
        self.conn = wait("a connection", lambda: connect(self.cluster, self.ns), every=0.05)
        if self.task.hold:
            self.conn.cursor().execute(self.task.hold)
        if self.op == "checkpoint":
            self.stopped = wait("the checkpointer", lambda: [p for p, c in pod_pids(self.ns, self.pod()).items() if "checkpointer" in c])[0]
            kill(self.stopped, signal.SIGSTOP)

    def release(self):
        if self.conn:
            self.conn.close()
        if self.stopped:
            kill(self.stopped, signal.SIGCONT)

    def begin(self):
        if self.op == "sql":
            text = "INSERT INTO marks VALUES (1);\nSELECT pg_advisory_lock(1);\n"
            self.spec = {"script": script(self.name, self.ns, text)}
        apply(bgdbops(self.name, self.op, self.cluster, **({self.op: self.spec} if self.spec else {})), self.ns)

    def backends(self):
        """Those of this run that are in its middle."""
        uid = get("bgdo", self.name, self.ns)["metadata"]["uid"]
        query = f"SELECT pid FROM pg_stat_activity WHERE application_name = 'bestgres/{uid}' AND ({self.task.middle})"
        return {r[0] for r in sql(self.cluster, self.ns, query)}

    def middle(self):
        """Its backends, once it is there."""
        return wait(f"{self.name} to be in its middle", lambda: self.status()["phase"] == "Running" and self.backends())

    def succeeds(self):
        s = wait(f"{self.name} to be over", lambda: (lambda s: s if s["phase"] in ("Succeeded", "Failed") else None)(self.status()))
        assert s["phase"] == "Succeeded" and s.get("retries", 0) == 0 and s["attempt"] == 1, s

    def clean(self):
        """Nothing is left of it; a script was begun once."""
        released(self.name, self.ns)
        wait(f"nothing to be left of {self.op}", lambda: left(self.cluster, self.ns) == {})
        if self.op == "sql":
            assert sql(self.cluster, self.ns, "SELECT run FROM marks") == [(1,)]


# --- Those that stop servers or move the leadership, under a client that writes.

class Stuck:
    """A session on a server that does not end when it is told to: the server's stop is in its middle until it is let go."""

    def __init__(self, ns, pod):
        self.ns, self.ip = ns, get("pod", pod, ns)["status"]["podIP"]
        self.conn = wait("a connection", self.connect)
        with socket.socket(fileno=os.dup(self.conn.fileno())) as s:
            port = s.getsockname()[1]
        self.pid = wait("its backend", lambda: [p for p, c in pod_pids(ns, pod).items() if f"({port})" in c])[0]
        kill(self.pid, signal.SIGSTOP)

    def connect(self):
        return connect("demo", self.ns, host=self.ip)

    def is_held(self):
        try:
            self.connect().close()
            return False
        except psycopg2.OperationalError as e:
            return "shutting down" in str(e)

    def release(self):
        kill_if_there(self.pid, signal.SIGCONT)
        self.conn.close()


class Stopped:
    """Processes of a pod that are stopped as soon as they are there."""

    def __init__(self, ns, pod, match):
        self.ns, self.pod, self.match, self.pids = ns, pod, match, set()

    def is_held(self):
        found = {p for p, c in pod_pids(self.ns, self.pod).items() if self.match in c}
        for pid in found - self.pids:
            kill_if_there(pid, signal.SIGSTOP)
        self.pids = found
        return found

    def release(self):
        for pid in self.pids:
            kill_if_there(pid, signal.SIGCONT)


def other(pod):
    return "demo-1" if pod == "demo-0" else "demo-0"


class Held:
    """A disruptive operation or a reload on the two instances of demo, held up in its middle. pod: who was told."""

    def __init__(self, ns, op):
        self.ns, self.name, self.leader = ns, op, wait("a primary", lambda: primary("demo", ns))
        self.replica = other(self.leader)
        self.told = {pod: self.told_to(pod) for pod in (self.leader, self.replica)}
        self.pod = self.leader if op == "switchover" else self.replica
        if op == "reinit":
            self.hold = Stopped(ns, self.replica, "pg_basebackup")
        elif op == "reload":
            self.hold = Stopped(ns, self.replica, "/patroni")
            self.hold.is_held()
        else:
            self.hold = Stuck(ns, self.leader if op in ("switchover", "failover") else self.replica)
        spec = {"switchover": {"candidate": self.replica}, "reinit": {"instance": self.replica}}
        spec["failover"] = {"candidate": self.replica, "systemIdentifier": get("bgi", self.leader, ns)["status"]["systemIdentifier"]}
        apply(bgdbops(self.name, op, **({op: spec[op]} if op in spec else {})), ns)
        wait(f"{self.name} to be in its middle", lambda: self.hold.is_held() and self.runs_on(self.pod), every=0.01)

    def status(self):
        return status(self.name, self.ns)

    def told_to(self, pod):
        return get("bgi", pod, self.ns)["spec"].get("operation", {}).get("id")

    def runs_on(self, pod):
        """That pod was told."""
        s = self.status()
        return s["phase"] == "Running" and s["instance"] == pod and self.told_to(pod) != self.told[pod]

    def over(self):
        self.hold.release()
        s = wait(f"{self.name} to be over", lambda: (lambda s: s if s["phase"] in ("Succeeded", "Failed") else None)(self.status()), 240)
        assert s["attempt"] == 1 and s.get("retries", 0) == 0, s
        return released(self.name, self.ns)

    def succeeds(self):
        s = self.over()
        assert s["phase"] == "Succeeded", s
        return s


def in_order(ns):
    """The replica may take over without losing a row."""
    wait_ready("demo", ns)
    wait("a synchronous standby", lambda: sql("demo", ns, "SELECT sync_state FROM pg_stat_replication WHERE state = 'streaming'") == [("sync",)])


def two_of_demo():
    return cluster("demo", instances=2, patroni={"synchronousMode": "on", "ttl": 30})


# --- The operator.

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
    apply([two_of_demo(), *(cluster(r.cluster) for r in runs)], ns)
    for name in ("demo", *TASKS):
        fill(name, ns)
    in_order(ns)
    with Writer("demo", ns) as w:
        for r in runs:
            r.hold()
            r.begin()
        backends = {r.op: r.middle() for r in runs}
        restart = Held(ns, "restart")
        kill_workers()
        kill_supervisor()
        assert restart.hold.is_held() and restart.status()["phase"] == "Running"
        for r in runs:
            if r.op != "benchmark":
                assert r.status()["phase"] == "Running" and r.backends() >= backends[r.op], (r.op, r.status())
            r.release()
        restart.succeeds()
        for op in ("reload", "switchover", "failover", "reinit"):
            in_order(ns)
            held = Held(ns, op)
            kill_workers()
            assert held.hold.is_held() and held.status()["phase"] == "Running"
            held.succeeds()
            assert op in ("reload", "reinit") or wait("the candidate to lead", lambda: primary("demo", ns) == held.replica)
        in_order(ns)
        w.wait_for_writes()
    assert w.lost() == []
    for r in runs:
        r.succeeds()
        r.clean()
