"""What is killed is killed in the middle: operations that are held up there by a session, a lock or a stopped process. For test_kills*.py."""
import os
import signal
import socket
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor

import psycopg2

from cluster import apply, bgcluster, connect, get, kill, pod_pids, primary, sql, wait, wait_ready
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
TABLES = ("CREATE TABLE marks (run text)", "CREATE TABLE done AS SELECT 1 AS id",
          "CREATE TABLE held (id int PRIMARY KEY, t text)", "INSERT INTO held SELECT n, repeat('x', 100) FROM generate_series(1, 5000) n")


def each(f, things):
    """Of all at once: most of it is waiting."""
    with ThreadPoolExecutor(len(things)) as pool:
        return list(pool.map(f, things))


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
    """An operation of table TASKS on the primary of the BGCluster of that name. name: that of the BGDbOps, where there are several."""

    def __init__(self, op, ns, name=None, **spec):
        self.op, self.ns, self.name, self.cluster, self.task = op, ns, name or op, op, TASKS[op]
        self.spec, self.conn, self.stopped = {**(self.task.spec or {}), **spec}, None, None

    def status(self):
        return status(self.name, self.ns)

    def uid(self):
        return get("bgdo", self.name, self.ns)["metadata"]["uid"]

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
            kill_if_there(self.stopped, signal.SIGCONT)

    def wanted(self):
        if self.op == "sql":
            text = f"INSERT INTO marks VALUES ('{self.name}');\nSELECT pg_advisory_lock(1);\n"
            self.spec = {"script": script(self.name, self.ns, text)}
        return bgdbops(self.name, self.op, self.cluster, **({self.op: self.spec} if self.spec else {}))

    def backends(self):
        """Those of this run that are in its middle."""
        query = f"SELECT pid FROM pg_stat_activity WHERE application_name = 'bestgres/{self.uid()}' AND ({self.task.middle})"
        return {r[0] for r in sql(self.cluster, self.ns, query)}

    def middle(self):
        """Its backends, once it is there."""
        return wait(f"{self.name} to be in its middle", lambda: self.status()["phase"] == "Running" and self.backends())

    def over(self):
        return wait(f"{self.name} to be over", lambda: (lambda s: s if s["phase"] in ("Succeeded", "Failed") else None)(self.status()))

    def succeeds(self):
        s = self.over()
        assert s["phase"] == "Succeeded" and s.get("retries", 0) == 0 and s["attempt"] == 1, s

    def clean(self):
        """Nothing is left of it; a script was begun once."""
        released(self.name, self.ns)
        wait(f"nothing to be left of {self.op}", lambda: left(self.cluster, self.ns) == {})
        if self.op == "sql":
            assert sql(self.cluster, self.ns, f"SELECT count(*) FROM marks WHERE run = '{self.name}'") == [(1,)]


# --- Those that stop servers or move the leadership, under a client that writes.

class Stuck:
    """A session on a server that does not end when it is told to: the server's stop is in its middle until it is let go."""

    def __init__(self, ns, pod):
        self.ns, self.pod, self.cluster, self.ip = ns, pod, pod.rsplit("-", 1)[0], get("pod", pod, ns)["status"]["podIP"]
        self.conn = wait("a connection", self.connect)
        with socket.socket(fileno=os.dup(self.conn.fileno())) as s:
            port = s.getsockname()[1]
        self.pid = wait("its backend", lambda: [p for p, c in pod_pids(ns, pod).items() if f"({port})" in c])[0]
        kill(self.pid, signal.SIGSTOP)

    def connect(self):
        return connect(self.cluster, self.ns, host=self.ip)

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


class Held:
    """A disruptive operation or a reload of a BGCluster, held up in its middle. pod: who was told; replica: the last one, or the candidate.
    name: that of the BGDbOps, where there are several."""

    def __init__(self, ns, op, cluster="demo", name=None):
        self.ns, self.op, self.cluster, self.name = ns, op, cluster, name or op
        self.leader = wait("a primary", lambda: primary(cluster, ns))
        self.pods = {i["metadata"]["name"] for i in get("bgi", ns=ns) if i["spec"]["cluster"] == cluster}
        self.replica = max(self.pods - {self.leader})
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
        apply(bgdbops(self.name, op, cluster, **({op: spec[op]} if op in spec else {})), ns)

    def middle(self):
        """Once it is there."""
        wait(f"{self.name} to be in its middle", lambda: self.hold.is_held() and self.runs_on(self.pod), every=0.01 if self.op == "reinit" else 0.1)

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


def in_order(name, ns):
    """A replica may take over without losing a row."""
    wait_ready(name, ns)
    wait("a synchronous standby", lambda: ("sync",) in sql(name, ns, "SELECT sync_state FROM pg_stat_replication WHERE state = 'streaming'"))


def several(name, instances=2):
    return cluster(name, instances=instances, patroni={"synchronousMode": "on", "ttl": 30})
