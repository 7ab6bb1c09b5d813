"""How long writes are gone when a leader changes, ours beside the hand-written StatefulSet of raw-patroni.yaml with the same Patroni, image and times,
at the same time; rows lost over random disruptions; requests per change. Both in synchronous mode. For bench.py.
"""
import base64
import collections
import concurrent.futures
import http.client
import json
import random
import statistics
import time

from cluster import Writer, apply, audit, audit_position, bgcluster, get, kill, kubectl, patch, pod_pids, pod_process, secret, wait, wait_ready, worker_pid

SWITCHOVERS, DEATHS, ROLLS, DISRUPTIONS = 20, 10, 20, 100


def scale(share):
    global SWITCHOVERS, DEATHS, ROLLS, DISRUPTIONS
    SWITCHOVERS, DEATHS, ROLLS, DISRUPTIONS = (max(1, round(n * share)) for n in (SWITCHOVERS, DEATHS, ROLLS, DISRUPTIONS))


class Side:
    """One of the two that are compared: three pods of a Patroni cluster in a namespace."""

    def __init__(self, name, ns, rest=None):
        self.name, self.ns, self.rest = name, ns, rest

    def patroni(self, pod, method, path, body=None):
        c = http.client.HTTPConnection(get("pod", pod, self.ns)["status"]["podIP"], 8008, timeout=60)
        headers = {"Content-Type": "application/json"}
        if self.rest:
            headers["Authorization"] = "Basic " + base64.b64encode(":".join(self.rest).encode()).decode()
        c.request(method, path, json.dumps(body) if body else None, headers)
        r = c.getresponse()
        return r.status, r.read().decode()

    def leader(self):
        pods = get("pods", ns=self.ns, selector=f"cluster-name={self.name},role=primary")
        return pods[0]["metadata"]["name"] if len(pods) == 1 else None

    def is_whole(self):
        leader = self.leader()
        pods = get("pods", ns=self.ns, selector=f"cluster-name={self.name}")
        if not leader or len(pods) != 3 or not all(s["ready"] for p in pods for s in p["status"].get("containerStatuses", [{"ready": False}])):
            return False
        if any("deletionTimestamp" in p["metadata"] for p in pods):
            return False
        members = json.loads(self.patroni(leader, "GET", "/cluster")[1])["members"]
        states = sorted((m["role"], m["state"]) for m in members)
        return states == [("leader", "running"), ("replica", "streaming"), ("sync_standby", "streaming")]

    def wait_whole(self):
        def whole():
            try:
                return self.is_whole()
            except (OSError, ValueError, KeyError):
                return False
        wait(f"{self.name} to have all three again", whole, 180, 0.5)

    def leads(self):
        """Who leads, as which container of which pod."""
        pod = get("pod", self.leader() or "-", self.ns) or {}
        return pod.get("metadata", {}).get("uid"), [s.get("containerID") for s in pod.get("status", {}).get("containerStatuses", [])]

    # --- What happens to a leader.

    def switchover(self):
        leader = self.leader()
        status, text = self.patroni(leader, "POST", "/switchover", {"leader": leader})
        if status != 200:
            raise RuntimeError(f"switchover of {leader}: HTTP {status} {text}")

    def delete(self):
        kubectl("-n", self.ns, "delete", "pod", self.leader(), "--wait=false")

    def delete_by_force(self):
        kubectl("-n", self.ns, "delete", "pod", self.leader(), "--wait=false", "--force", "--grace-period=0")

    def kill_pid_1(self):
        kill(min(pod_pids(self.ns, self.leader())))

    def refresh(self, pod):
        """A container that was killed once is restarted later each time: a new pod is not."""
        kubectl("-n", self.ns, "delete", "pod", pod, "--wait=true", timeout=90)
        self.wait_whole()


def outage(side, writer, happens):
    """Seconds without an acknowledged row, around what happens; after it all is whole again."""
    side.wait_whole()
    writer.wait_for_writes()
    led, begin, n = side.leads(), time.monotonic(), len(writer.acked)
    happens()
    wait(f"{side.name} to have another leader", lambda: None not in side.leads() and side.leads() != led, 90)
    writer.wait_for_writes(90)
    side.wait_whole()
    assert len(writer.acked) > n
    return max((seconds for at, seconds in writer.gaps if at > begin), default=0.05)


def raw_side(ns, manifest):
    kubectl("-n", ns, "apply", "-f", "-", input=manifest.read_text().replace("retry_timeout: 5,", "retry_timeout: 5, synchronous_mode: true,"))
    side = Side("raw", ns)
    side.wait_whole()
    login = {"username": "postgres", "password": "zz", "dbname": "postgres"}
    return side, Writer("raw", ns, login=login)


def our_side(ns):
    apply(bgcluster(instances=3, deletionPolicy="Delete", patroni={"synchronousMode": "on"}), ns)
    wait_ready("demo", ns)
    s = secret("demo-credentials", ns)
    side = Side("demo", ns, (s["restapi-username"], s["restapi-password"]))
    side.wait_whole()
    return side, Writer("demo", ns)


def measure(side, writer):
    """{what: [seconds, ...]}"""
    got = {}
    with writer as w:
        got["switchover"] = [outage(side, w, side.switchover) for _ in range(SWITCHOVERS)]
        for name, happens in (("deleted", side.delete), ("deleted by force", side.delete_by_force), ("kill -9 of PID 1", side.kill_pid_1)):
            got[name] = []
            for _ in range(DEATHS):
                side.wait_whole()
                leader = side.leader()
                got[name].append(outage(side, w, happens))
                if happens == side.kill_pid_1:
                    side.refresh(leader)
    return got


def roll(side, writer):
    """The longest outage of each rolling change."""
    got = []
    with writer as w:
        for k in range(ROLLS):
            def change():
                before = {p["metadata"]["uid"] for p in get("pods", ns=side.ns, selector="cluster-name=demo")}
                patch("bgc", "demo", side.ns, {"spec": {"inheritedMetadata": {"annotations": {"roll": str(k)}}}})
                wait("three other pods", lambda: not before & {p["metadata"]["uid"] for p in get("pods", ns=side.ns, selector="cluster-name=demo")}, 300, 0.5)
            got.append(outage(side, w, change))
    return got


def bench_outages(row, ns, install, manifest, remove_raw, remove_ours):
    install([ns])
    sides = raw_side(ns, manifest), our_side(ns)
    with concurrent.futures.ThreadPoolExecutor() as pool:  # what else the machine does, both suffer
        raw, ours = pool.map(lambda s: measure(*s), sides)
    side, writer = sides[1]
    more = Writer("demo", ns)
    rolled = roll(side, more)
    lost = writer.lost() + more.lost()
    remove_ours()
    remove_raw()
    for what, values in [*ours.items(), ("switchover of a rolling change", rolled)]:
        floor = max(raw[what.split(" of a rolling")[0]])
        row(f"writes gone, {what} (longest of {len(values)}, median {statistics.median(values):.2f} s)", f"{max(values):.2f} s", "<= floor + 0.5 s", f"raw Patroni {floor:.2f} s",
            max(values) <= floor + 0.5)
    row("rows acknowledged and lost meanwhile", str(len(lost)), "0", met=not lost)


def disrupt(side, rng):
    """One of many things that go wrong."""
    pod = f"demo-{rng.randrange(3)}"

    def operator():
        pid = worker_pid(rng.choice(["broker", "watcher", "reconciler", "executor"]))
        if pid:
            kill(pid)

    def process(match):
        pid = pod_process(side.ns, pod, match)
        if pid:
            kill(pid)
    what = rng.choice([
        ("switchover", side.switchover), ("leader deleted", side.delete), ("leader deleted by force", side.delete_by_force), ("worker killed", operator),
        (f"{pod} deleted", lambda: kubectl("-n", side.ns, "delete", "pod", pod, "--wait=false")),
        (f"{pod}: Patroni killed", lambda: process("patroni")), (f"{pod}: postmaster killed", lambda: process("postmaster")),
        (f"{pod}: agent killed", lambda: process("agent")), (f"{pod}: PID 1 killed", lambda: process("init"))])
    try:
        what[1]()
    except Exception as e:  # there may be no leader, or no such pod, just now
        return f"{what[0]}: not possible just now ({str(e)[:60]})"
    return what[0]


def bench_disruptions(row, ns, install, remove_ours):
    install([ns])
    side, writer = our_side(ns)
    rng, done = random.Random(6), 0
    with writer as w:
        while done < DISRUPTIONS:
            what = disrupt(side, rng)
            done += "not possible" not in what
            print(f"    {done}: {what}", flush=True)
            time.sleep(rng.uniform(0.5, 5))
            w.wait_for_writes(120)
        side.wait_whole()
    wait_ready("demo", ns, 180)
    lost = writer.lost()
    row(f"rows acknowledged ({len(writer.acked)}) and lost over {DISRUPTIONS} random disruptions, synchronousMode on", str(len(lost)), "0", met=not lost)
    remove_ours()


def describe(r):
    """Who did what to which object."""
    ref = r["objectRef"]
    return (r["userAgent"].split("/")[0], r["verb"], ref["resource"] + ("/" + ref["subresource"] if "subresource" in ref else ""), ref.get("name", ""))


def bench_changes(row, ns, install, is_write, remove_ours):
    """Requests that change anything, for one changed field; Patroni's own and Events not counted."""
    install([ns])
    side, _ = our_side(ns)
    for what, spec, objects, pods in (
            ("a Service's annotation", {"services": {"readWrite": {"annotations": {"x": "y"}}}}, 1, 0),
            ("a parameter, reloaded", {"postgres": {"parameters": {"work_mem": "5MB"}}}, 1, 0),
            ("a parameter, restarted", {"postgres": {"parameters": {"work_mem": "5MB", "max_connections": "120"}}}, 1, 0),
            ("resources, pods replaced", {"resources": {"requests": {"memory": "130Mi"}}}, 1, 3)):
        time.sleep(10)
        start = audit_position()
        before = {p["metadata"]["uid"] for p in get("pods", ns=ns, selector="cluster-name=demo")}
        patch("bgc", "demo", ns, {"spec": spec})
        if pods:
            wait("three other pods", lambda: not before & {p["metadata"]["uid"] for p in get("pods", ns=ns, selector="cluster-name=demo")}, 300, 0.5)
        time.sleep(5)
        side.wait_whole()
        wait_ready("demo", ns, 180)
        time.sleep(25)
        writes = [r for r in audit(start)[0] if is_write(r)]
        must = objects + pods + 2 * 3 + 6
        row(f"mutating requests to change {what}", str(len(writes)), f"<= {must}", met=len(writes) <= must)
        for (agent, verb, resource, name), n in sorted(collections.Counter(map(describe, writes)).items()):
            print(f"      {n} {agent} {verb} {resource} {name}", flush=True)
    remove_ours()
