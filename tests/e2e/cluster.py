"""What the end-to-end tests share: kubectl, a writing client that remembers what was acknowledged, processes on the node.

Everything here talks to the real test cluster (tests/cluster) with admin's rights, as a user would; nothing here knows how the
operator works inside.
"""
import base64
import io
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time

import psycopg2
import yaml

from api import Api, ApiError

ROOT = pathlib.Path(__file__).resolve().parents[2]
STATE = ROOT / "build/kube"
KUBECTL = str(STATE / "bin/kubectl")
# Of what makes a run a run: with other ones, several stand side by side on one test cluster, each with an operator and namespaces of its own.
SYSTEM = os.environ.get("E2E_SYSTEM", "bestgres-system")
OPERATOR_IMAGE = os.environ.get("E2E_OPERATOR_IMAGE", "localhost/bestgres:dev")
NAMESPACES = os.environ.get("E2E_NAMESPACES", ",".join(f"e2e-{n}" for n in range(8))).split(",")  # what the operator serves
IMAGE = os.environ.get("E2E_IMAGE", "localhost/postgres-patroni:17")  # or one of your own, to see whether it serves
ENV = {**os.environ, "KUBECONFIG": str(STATE / "kubeconfig")}
API = Api(str(STATE / "kubeconfig"))


class KubectlError(Exception):
    pass


def kubectl(*args, input=None, check=True, timeout=120):
    p = subprocess.run([KUBECTL, *args], input=input, env=ENV, capture_output=True, text=True, timeout=timeout)
    if check and p.returncode != 0:
        raise KubectlError(f"kubectl {' '.join(args)}: {p.stderr.strip()}")
    return p.stdout if check else p


def get(kind, name=None, ns=None, selector=None):
    """One object, or a list; None when it is not there. Kinds are named as for kubectl."""
    return API.get(kind, name, ns, selector)


def apply(obj, ns=None):
    objs = obj if isinstance(obj, list) else [obj]
    return kubectl("apply", *(["-n", ns] if ns else []), "-f", "-", input=yaml.safe_dump_all(objs))


def refused(obj, ns):
    """Applies what must be refused and returns the API server's message."""
    p = kubectl("apply", "-n", ns, "-f", "-", input=yaml.safe_dump(obj), check=False)
    assert p.returncode != 0, f"accepted, but should have been refused: {obj}"
    return p.stderr


def patch(kind, name, ns, body, type="merge", subresource=None):
    return kubectl("patch", kind, name, "-n", ns, "--type", type, "-p", json.dumps(body),
                   *(["--subresource", subresource] if subresource else []))


def delete(kind, name, ns, *more, wait=False):
    return kubectl("delete", kind, name, "-n", ns, f"--wait={'true' if wait else 'false'}", *more, check=False, timeout=180)


# What a condition may meet before it holds: no answer, or an object or a field of it that is not there yet.
NOT_YET = (KubectlError, ApiError, psycopg2.Error, json.JSONDecodeError, subprocess.TimeoutExpired, LookupError, TypeError, AttributeError)

# A limit is there to end a hang, not to measure: tests share the machine, and what takes a second alone may take a minute beside others.
# What must be quick is measured by tests/bench, or said by the test with `measured`.
LEAST = 120


def wait(what, condition, seconds=LEAST, every=0.2, measured=False):
    """Waits until condition() is truthy and returns it; the error says what was missing and what was seen last. Fewer than LEAST seconds
    are taken for LEAST, unless the time itself is what the test asserts (measured)."""
    if not measured:
        seconds = max(seconds, LEAST)
    end, seen = time.monotonic() + seconds, None
    while True:
        try:
            seen = condition()
            if seen:
                return seen
        except NOT_YET as e:
            seen = repr(e)
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds} s; seen last: {seen}")
        time.sleep(every)


def bgcluster(name="demo", **spec):
    """A small BGCluster that becomes Ready in seconds; spec's values replace, dicts are merged one level deep."""
    base = {
        "image": IMAGE, "runAsUser": 100, "runAsGroup": 102, "instances": 1,
        "storage": {"size": "1Gi"},
        "terminationGracePeriodSeconds": 30,
        "patroni": {"ttl": 20, "loopWait": 5, "retryTimeout": 5},
    }
    for k, v in spec.items():
        base[k] = {**base[k], **v} if isinstance(v, dict) and isinstance(base.get(k), dict) else v
    return {"apiVersion": "bestgres.io/v1", "kind": "BGCluster", "metadata": {"name": name}, "spec": base}


def condition(name, ns, type):
    obj = get("bgc", name, ns)
    for c in (obj or {}).get("status", {}).get("conditions", []):
        if c["type"] == type:
            return c
    return {}


def is_ready(name, ns):
    obj = get("bgc", name, ns)
    if not obj or obj.get("status", {}).get("observedGeneration") != obj["metadata"]["generation"]:
        return False
    return condition(name, ns, "Ready").get("status") == "True"


def wait_ready(name, ns, seconds=240):
    try:
        return wait(f"{ns}/{name} to be Ready", lambda: is_ready(name, ns), seconds)
    except AssertionError as e:
        raise AssertionError(f"{e}; its status: {(get('bgc', name, ns) or {}).get('status')}") from None


def primary(name, ns):
    pods = get("pods", ns=ns, selector=f"bestgres.io/cluster={name},role=primary")
    return pods[0]["metadata"]["name"] if len(pods) == 1 else None


def secret(name, ns):
    return {k: base64.b64decode(v).decode() for k, v in get("secret", name, ns)["data"].items()}


def service_ip(name, ns):
    return get("service", name, ns)["spec"]["clusterIP"]


def connect(cluster, ns, service="rw", host=None, **more):
    """As the application's user, in its database."""
    s = secret(f"{cluster}-app", ns)
    conn = psycopg2.connect(host=host or service_ip(f"{cluster}-{service}", ns), user=s["username"], password=s["password"], dbname=s["dbname"],
                            connect_timeout=3, options="-c statement_timeout=15000", tcp_user_timeout=3000, **more)
    conn.autocommit = True
    return conn


def sql(cluster, ns, query, **more):
    """Waits for a connection: the Service's endpoints may not be known to the node yet."""
    conn = wait("a connection", lambda: connect(cluster, ns, **more), 5)
    try:
        cur = conn.cursor()
        cur.execute(query)
        return cur.fetchall() if cur.description else None
    finally:
        conn.close()


def superuser_sql(cluster, ns, query, pod=None):
    """In the application's database, over the pod's own socket: the superuser is not let in from elsewhere."""
    env = [f"PGPASSWORD={secret(f'{cluster}-credentials', ns)['superuser-password']}"]
    return kubectl("-n", ns, "exec", pod or wait("a primary", lambda: primary(cluster, ns)), "-c", "postgres", "--", "env", *env, "psql", "-h", "/run/postgresql", "-U", "postgres",
                   "-d", secret(f"{cluster}-app", ns)["dbname"], "-AtXc", query).strip()


class Writer:
    """Writes numbered rows through <cluster>-rw, reconnecting every 20 ms, and remembers every acknowledged one. follow: goes to another
    address when the Service was made anew. pause: seconds between two rows."""

    def __init__(self, cluster, ns, login=None, follow=False, pause=0.002):
        self.cluster, self.ns, self.acked, self.stopped = cluster, ns, [], threading.Event()
        self.follow, self.looked, self.pause = follow, time.monotonic(), pause
        self.host = service_ip(f"{cluster}-rw", ns)
        self.secret = login or secret(f"{cluster}-app", ns)
        self.gaps = []  # (when it ended, seconds)
        self.errors = 0
        c = wait("the node to know the Service's endpoints", self.connect, 5)
        c.cursor().execute("CREATE TABLE IF NOT EXISTS written (id bigint PRIMARY KEY)")
        cur = c.cursor()
        cur.execute("SELECT coalesce(max(id), 0) FROM written")
        self.n = cur.fetchone()[0]
        c.close()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def connect(self):
        s = self.secret
        c = psycopg2.connect(host=self.host, user=s["username"], password=s["password"], dbname=s["dbname"], connect_timeout=1,
                             tcp_user_timeout=1000, options="-c statement_timeout=3000")
        c.autocommit = True
        return c

    def run(self):
        conn, last = None, time.monotonic()
        while not self.stopped.is_set():
            self.n += 1
            try:
                conn = conn or self.connect()
                conn.cursor().execute("INSERT INTO written VALUES (%s)", (self.n,))
                now = time.monotonic()
                if now - last > 0.1:
                    self.gaps.append((now, now - last))
                last = now
                self.acked.append(self.n)
                time.sleep(self.pause)
            except psycopg2.Error:
                self.errors += 1
                conn = None
                self.look_again()
                time.sleep(0.02)

    def look_again(self):
        if not self.follow or time.monotonic() - self.looked < 2:
            return
        self.looked = time.monotonic()
        try:
            self.host = service_ip(f"{self.cluster}-rw", self.ns)
        except NOT_YET:
            pass  # there is none now

    def __enter__(self):
        self.thread.start()
        wait("the first acknowledged row", lambda: self.acked, 30)
        return self

    def __exit__(self, *exc):
        self.stopped.set()
        self.thread.join(30)

    def longest_gap(self):
        return max((g for _, g in self.gaps), default=0.0)

    def wait_for_writes(self, seconds=60):
        n = len(self.acked)
        wait("writes to be acknowledged again", lambda: len(self.acked) > n + 20, seconds)

    def lost(self):
        """Acknowledged rows that are not there; call when the cluster is Ready."""
        there = {r[0] for r in wait("the table", lambda: sql(self.cluster, self.ns, "SELECT id FROM written"), 30)}
        return sorted(set(self.acked) - there)


def make_image(name, files):
    """An image of these small files, {path: text}, loaded into the test cluster."""
    with tempfile.TemporaryDirectory() as tmp:
        with tarfile.open(f"{tmp}/layer.tar", "w") as tar:
            for path, text in files.items():
                info = tarfile.TarInfo(path)
                info.size, info.mode = len(text), 0o644
                tar.addfile(info, io.BytesIO(text.encode()))
        subprocess.run([sys.executable, str(ROOT / "tests/cluster/archive.py"), name, f"{tmp}/layer.tar", f"{tmp}/image.tar", "[]", "100"], check=True)
        again(["ctr", "-a", str(STATE / "containerd.sock"), "-n", "k8s.io", "image", "import", f"{tmp}/image.tar"])


def again(command, times=3):
    """A step of the test's own making, which a loaded machine may fail: tried a few times; the last word counts."""
    for n in range(times):
        p = subprocess.run(command, capture_output=True, text=True)
        if p.returncode == 0:
            return
        time.sleep(2 * (n + 1))
    raise RuntimeError(f"{' '.join(command)}: exit code {p.returncode}: {(p.stdout + p.stderr)[-2000:]}")


# --- processes on the node: the test cluster's node is this machine
def cmdline(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def parent(pid):
    try:
        return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    except (OSError, IndexError):
        return 0


def ancestors(pid):
    while pid := parent(pid):
        yield pid


def all_pids():
    return [int(p.name) for p in pathlib.Path("/proc").iterdir() if p.name.isdigit()]


def worker_pid(role):
    """The operator's worker of that role: its parent is our /supervisor."""
    for pid in all_pids():
        c = cmdline(pid)
        if c and c[0].decode(errors="replace") == role and is_supervisor(parent(pid)):
            return pid
    return None


def supervisor_pid():
    return next((pid for pid in all_pids() if is_supervisor(pid)), None)


def is_supervisor(pid):
    """Of the operator that serves our namespaces."""
    if cmdline(pid)[:1] != [b"/supervisor"]:
        return False
    try:
        env = dict(e.split("=", 1) for e in pathlib.Path(f"/proc/{pid}/environ").read_text().split("\0") if "=" in e)
    except OSError:
        return False
    return NAMESPACES[0] in env.get("BESTGRES_NAMESPACES", "").split(",")


def kill(pid, sig=signal.SIGKILL):
    os.kill(pid, sig)


class Nemesis:
    """Kills one of the operator's processes, chosen at random, after random pauses, until it is left; `killed` says which. The supervisor
    once at most: the kubelet lets a container that ends often wait for minutes."""

    ROLES = ("broker", "watcher", "reconciler", "executor")

    def __init__(self, seed, least=2.0, most=15.0, supervisor=True):
        self.rng, self.pauses, self.killed, self.stop = random.Random(seed), (least, most), [], threading.Event()
        self.roles = list(self.ROLES) + ["supervisor"] * supervisor
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        while not self.stop.wait(self.rng.uniform(*self.pauses)):
            role = self.rng.choice(self.roles)
            pid = supervisor_pid() if role == "supervisor" else worker_pid(role)
            try:
                if pid:
                    kill(pid)
                    self.killed.append(role)
            except ProcessLookupError:
                continue
            if role == "supervisor":
                self.roles.remove(role)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.stop.set()
        self.thread.join(60)
        print("killed:", *self.killed)


def pod_pids(ns, pod):
    """{pid: cmdline} of the processes of a pod, found by the pod's uid in their cgroup."""
    uid = get("pod", pod, ns)["metadata"]["uid"]
    out = {}
    for pid in all_pids():
        try:
            cgroup = pathlib.Path(f"/proc/{pid}/cgroup").read_text()
        except OSError:
            continue
        if uid in cgroup or uid.replace("-", "_") in cgroup:
            c = b" ".join(cmdline(pid)).decode(errors="replace").strip()
            if c and not c.startswith("/pause"):
                out[pid] = c
    return out


def pod_process(ns, pod, match):
    """The one process of a pod whose command line matches: 'init', 'agent', 'pgctl', 'patroni', 'postmaster'."""
    tests = {
        "init": lambda c: c.split()[0].endswith("/instance") and c.split()[1:2] == ["init"],
        "agent": lambda c: c.split()[1:2] == ["agent"] and "instance" in c.split()[0] or c.split()[0] == "agent",
        "pgctl": lambda c: c.split()[1:2] == ["pgctl"] and "instance" in c.split()[0] or c.split()[0] == "pgctl",
        "patroni": lambda c: "/patroni" in c and "patroni.yml" in c,
        "postmaster": lambda c: "/bin/postgres -D" in c,
    }
    found = [p for p, c in pod_pids(ns, pod).items() if tests[match](c)]
    return min(found) if found else None


def operator_log(lines=400):
    return kubectl("-n", SYSTEM, "logs", "deployment/bestgres-operator", f"--tail={lines}")


def audit(since=0):
    """The API server's audit records from byte `since` on, and the new end."""
    path = STATE / "log/audit.log"
    with open(path, "rb") as f:
        f.seek(since)
        data = f.read()
    end = since + data.rfind(b"\n") + 1
    return [json.loads(line) for line in data[:data.rfind(b"\n") + 1].splitlines()], end


def audit_position():
    return (STATE / "log/audit.log").stat().st_size
