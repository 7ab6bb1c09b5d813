#!/usr/bin/env python3
"""bench.py [--share S] [NAME...]: measures every number that the README promises, beside its target and, where a machine's speed matters,
beside a floor measured in the same run. Names: size fuzz memory create idle kill signal scale changes outages disruptions. Prints a table at the end.
It never fails because a number is missed: it says so.
"""
import argparse
import calendar
import json
import os
import pathlib
import random
import re
import signal
import statistics
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))
sys.path.insert(0, str(ROOT / "tests/bench"))
import conftest  # noqa: E402
import outages  # noqa: E402
import yaml  # noqa: E402
from cluster import (STATE, SYSTEM, all_pids, apply, audit, audit_position, bgcluster, cmdline, connect, delete, get, kill, kubectl, parent, patch,  # noqa: E402
                     pod_pids, supervisor_pid, wait, wait_ready, worker_pid)

NS = conftest.NAMESPACES[0]
RAW = ROOT / "tests/bench/raw-patroni.yaml"
ROLES = ["broker", "watcher", "reconciler", "executor"]
rows = []


def row(what, value, target, floor="", met=None):
    rows.append((what, value, target, floor, {True: "met", False: "MISSED", None: ""}[met]))
    print(f"  {what}: {value} (must: {target}{'; floor: ' + floor if floor else ''}) {rows[-1][4]}", flush=True)


def pss_kb(pids):
    total = 0
    for pid in pids:
        total += int(re.search(r"^Pss:\s+(\d+)", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M).group(1))
    return total


def operator_pids():
    sup = supervisor_pid()
    return [sup] + [p for p in all_pids() if parent(p) == sup]


def p99(values):
    return sorted(values)[max(0, int(len(values) * 0.99 + 0.5) - 1)]


def install(namespaces):
    """The operator, freshly started, serving these namespaces; returns when all four workers are ready."""
    kubectl("apply", "-k", str(ROOT / "crds"))
    subprocess.run([str(ROOT / "tests/cluster/images.sh"), str(STATE), str(ROOT / "build/bestgres.tar")], check=True)
    objs = list(yaml.safe_load_all(conftest.render(ROOT / "deploy/operator")))
    for o in objs:
        if o["kind"] == "Deployment":
            c = o["spec"]["template"]["spec"]["containers"][0]
            c["env"] = [e for e in c["env"] if e["name"] != "BESTGRES_NAMESPACES"] + [{"name": "BESTGRES_NAMESPACES", "value": ",".join(namespaces)}]
            o["spec"]["template"]["metadata"].setdefault("annotations", {})["started"] = str(time.time())
    for ns in namespaces:
        objs += conftest.namespace_objects(ns)
    kubectl("apply", "-f", "-", input=yaml.safe_dump_all(objs))
    kubectl("-n", SYSTEM, "rollout", "status", "deployment/bestgres-operator", "--timeout=120s", timeout=130)
    wait("all workers", lambda: all(worker_pid(r) for r in ROLES), 30)
    for ns in namespaces:
        conftest.clean(ns)
    time.sleep(5)


def bench_size():
    size = (ROOT / "build/bestgres.tar").stat().st_size
    row("operator image", f"{size / 1e6:.2f} MB", "<= 5 MB", met=size <= 5e6)


def bench_memory():
    one = two = None
    install([NS])
    one = pss_kb(operator_pids())
    row("operator processes idle, one namespace, sum of PSS", f"{one / 1024:.2f} MB", "<= 5 MB", met=one <= 5 * 1024)
    install(conftest.NAMESPACES[:5])
    two = pss_kb(operator_pids())
    per = (two - one) / 4
    row("per further namespace", f"{per / 1024:.2f} MB", "<= 1 MB", met=per <= 1024)


def bench_scale():
    """1,000 BGClusters with the controllers frozen: API server and operator only."""
    install([NS])
    before = pss_kb(operator_pids())
    frozen = [int((STATE / f"{n}.pid").read_text()) for n in ("kcm", "scheduler")]
    for pid in frozen:
        kill(pid, signal.SIGSTOP)
    try:
        begin = time.monotonic()
        for k in range(10):
            apply([bgcluster(f"many{k * 100 + n}x", instances=3) for n in range(100)], NS)
        wait("1,000 StatefulSets", lambda: len(json.loads(kubectl("get", "--raw", f"/apis/apps/v1/namespaces/{NS}/statefulsets?limit=2000"))["items"]) >= 1000, 900, 2)
        took = time.monotonic() - begin
        time.sleep(20)
        after = pss_kb(operator_pids())
        per = (after - before) * 1024 / 1000
        row("memory per BGCluster (1,000 of them, API server only)", f"{per:.0f} B", "<= 4096 B", f"all made in {took:.0f} s", per <= 4096)
    finally:  # the namespace ends before the controllers wake up, so that no pod is ever made
        kubectl("delete", "namespace", NS, "--wait=false")
        for pid in frozen:
            kill(pid, signal.SIGCONT)
        wait("the namespace to end", lambda: get("namespace", NS) is None, 600, 2)


def raw_ready():
    begin = time.monotonic()  # before kubectl starts, as in ours_ready
    kubectl("-n", NS, "apply", "-f", str(RAW))
    wait("the raw StatefulSet", lambda: (get("sts", "raw", NS).get("status") or {}).get("readyReplicas") == 3, 120, 0.05)
    took = time.monotonic() - begin
    remove_raw()
    return took


def remove_raw():
    kubectl("-n", NS, "delete", "-f", str(RAW), "--wait=false")
    kubectl("-n", NS, "delete", "pods", "-l", "cluster-name=raw", "--force", "--grace-period=0", "--wait=false", check=False)
    wait("the raw pods to go", lambda: not get("pods", ns=NS, selector="cluster-name=raw"), 60)
    for kind in ("pvc", "configmap"):
        kubectl("-n", NS, "delete", kind, "-l", "cluster-name=raw", "--wait=true")
    kubectl("-n", NS, "delete", "pvc", "--all", "--wait=true")


def ours_ready():
    start = audit_position()
    begin = time.monotonic()
    apply(bgcluster(instances=3, deletionPolicy="Delete"), NS)
    wait("the BGCluster", lambda: (get("bgc", "demo", NS).get("status") or {}).get("readyInstances") == 3 and
         any(c["type"] == "Ready" and c["status"] == "True" for c in get("bgc", "demo", NS)["status"]["conditions"]), 120, 0.05)
    took = time.monotonic() - begin
    time.sleep(8)
    records, _ = audit(start)
    return took, records


def remove_ours():
    delete("bgc", "demo", NS)
    wait("it to go", lambda: get("bgc", "demo", NS) is None and not get("pods", ns=NS, selector="cluster-name=demo"), 120)


def is_ours(r):
    return r.get("userAgent", "").startswith("bestgres-")


def is_write(r):
    return is_ours(r) and r["verb"] in ("create", "patch", "update", "delete") and "dryRun" not in r["requestURI"] \
        and r["objectRef"].get("subresource") != "token" and r["objectRef"].get("namespace") == NS


def bench_create():
    install([NS])
    raw, ours, counted = [], [], None
    for _ in range(5):
        raw.append(raw_ready())
        took, records = ours_ready()
        ours.append(took)
        counted = records
        remove_ours()
    floor, value = statistics.median(raw), statistics.median(ours)
    row("kubectl apply -> 3/3 Ready (median of 5)", f"{value:.2f} s = {value / floor:.2f} x", "<= 1.25 x", f"hand-written StatefulSet {floor:.2f} s", value / floor <= 1.25)
    writes = [r for r in counted if is_write(r)]
    events = [r for r in writes if r["objectRef"]["resource"] == "events"]
    objects = [r for r in writes if r["verb"] == "create" and r not in events]
    must = len(objects) + 2 * 3 + 10
    row("mutating requests to create one BGCluster", f"{len(writes) - len(events)} + {len(events)} Events", f"<= {must} (objects {len(objects)} + 6 + 10) + Events",
        met=len(writes) - len(events) <= must)
    for r in writes:
        print("     ", r["userAgent"].split("/")[0], r["verb"], r["objectRef"]["resource"], r["objectRef"].get("subresource", ""), r["objectRef"].get("name", ""), r["responseStatus"]["code"])


def bench_idle():
    install([NS])
    ours_ready()
    time.sleep(20)
    start = audit_position()
    time.sleep(60)
    records, _ = audit(start)
    mine = [r for r in records if is_ours(r) and r["objectRef"].get("subresource") != "token"]
    writes = [r for r in mine if r["verb"] in ("create", "patch", "update", "delete") and "dryRun" not in r["requestURI"]]
    reads = [r for r in mine if r not in writes]
    row("requests that change anything, 60 idle seconds", str(len(writes)), "0", met=not writes)
    row("reads, 60 idle seconds", f"{len(reads) / 60:.2f} per second", "<= 1 per second", met=len(reads) <= 60)
    bench_pod_now()
    remove_ours()


def bench_pod_now():
    value = []
    for n in range(3):
        pids = [p for p, c in pod_pids(NS, f"demo-{n}").items() if "instance" in c.split()[0]]
        value.append((pss_kb(pids), pids))
    worst, pids = max(value)
    row("instance processes of a pod, sum of PSS", f"{worst / 1024:.2f} MB", "<= 3 MB", met=worst <= 3 * 1024)

    def ticks():
        return sum(sum(int(x) for x in pathlib.Path(f"/proc/{p}/stat").read_text().rsplit(")", 1)[1].split()[11:13]) for p in pids)
    a, begin = ticks(), time.monotonic()
    time.sleep(30)
    share = (ticks() - a) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - begin) * 100
    row("instance processes of a pod, idle CPU", f"{share:.2f} %", "<= 0.2 %", met=share <= 0.2)


class Seen:
    """When each value of Service demo-rw's annotation n came, by a watch of our own."""

    def __init__(self):
        self.at = {}
        self.watch = subprocess.Popen([str(STATE / "bin/kubectl"), "get", "service", "demo-rw", "-n", NS, "--watch", "-o",
                                       "jsonpath={.metadata.annotations.n}{'\\n'}"], stdout=subprocess.PIPE, text=True,
                                      env={**os.environ, "KUBECONFIG": str(STATE / "kubeconfig")})
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.watch.stdout:
            self.at.setdefault(line.strip(), time.monotonic())

    def close(self):
        self.watch.kill()
        self.watch.wait()


def bench_kill():
    """kill -9 -> the role's next READY (by the supervisor's stamps), and -> the first correct write for a change made while it was stopped."""
    install([NS])
    apply(bgcluster(instances=1, deletionPolicy="Delete"), NS)
    wait_ready("demo", NS)
    ready, write = [], []
    rng, seen = random.Random(1), Seen()
    for n in range(200):
        role = ROLES[n % 4]
        pid = wait(role, lambda: worker_pid(role), 10, 0.01)
        kill(pid, signal.SIGSTOP)
        patch("bgc", "demo", NS, {"spec": {"services": {"readWrite": {"annotations": {"n": str(n)}}}}})
        time.sleep(0.1)
        begin = time.monotonic()
        kill(pid)
        wait(f"n = {n}, after {role} was killed", lambda: str(n) in seen.at, 30, 0.005)
        if seen.at[str(n)] > begin:  # else it was not needed for that: the broker, with a socket to spare
            write.append((seen.at[str(n)] - begin) * 1000)
        time.sleep(rng.uniform(0.05, 0.3))
    seen.close()
    log = kubectl("-n", SYSTEM, "logs", "deployment/bestgres-operator", "--tail=-1")
    died = {}
    for line in log.splitlines():
        m = re.match(r"ts=(\S+) proc=(\w+) life=(\d+) .*event=(died|ready)", line)
        if not m:
            continue
        at = stamp(m.group(1))
        if m.group(4) == "died":
            died[m.group(2)] = at
        elif m.group(2) in died:
            ready.append((at - died.pop(m.group(2))) * 1000)
    row("kill -9 of a worker -> READY again, p99", f"{p99(ready):.0f} ms (median {statistics.median(ready):.0f}, {len(ready)} kills)", "<= 50 ms", met=p99(ready) <= 50)
    row("kill -9 of a worker -> first correct write, p99", f"{p99(write):.0f} ms (median {statistics.median(write):.0f}, {len(write)} kills)", "<= 200 ms", met=p99(write) <= 200)
    remove_ours()


def bench_signal():
    """BGDbOps applied (the API server's stamp of its POST) -> its script runs in the pod (PostgreSQL's clock), on one machine with one clock."""
    install([NS])
    apply(bgcluster(instances=1, deletionPolicy="Delete"), NS)
    wait_ready("demo", NS)
    # The Service may need a moment more than Ready to lead there.
    with wait("Service demo-rw", lambda: connect("demo", NS), 30) as c, c.cursor() as cur:
        cur.execute("create table signal (name text, at double precision)")
    script = "insert into signal values (current_setting('application_name'), extract(epoch from clock_timestamp()));"
    apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "signal"}, "data": {"script": script}}, NS)
    start = audit_position()
    for n in range(100):
        apply({"apiVersion": "bestgres.io/v1", "kind": "BGDbOps", "metadata": {"name": f"signal-{n}"},
               "spec": {"cluster": "demo", "op": "sql", "sql": {"script": {"configMap": "signal", "key": "script"}}}}, NS)
        wait(f"signal-{n}", lambda: get("bgdo", f"signal-{n}", NS).get("status", {}).get("phase") == "Succeeded", 30, 0.1)
    uid = {o["metadata"]["name"]: o["metadata"]["uid"] for o in get("bgdo", ns=NS)}
    applied = {r["objectRef"]["name"]: stamp(r["requestReceivedTimestamp"]) for r in audit(start)[0]
               if r["verb"] == "create" and r.get("objectRef", {}).get("resource") == "bgdbops" and "name" in r["objectRef"]}
    with connect("demo", NS) as c, c.cursor() as cur:
        cur.execute("select name, at from signal")
        ran = dict(cur.fetchall())
    took = sorted((ran["bestgres/" + uid[name]] - at) * 1000 for name, at in applied.items())
    row("BGDbOps applied -> its command runs in the pod, p99", f"{p99(took):.0f} ms (median {statistics.median(took):.0f}, {len(took)} of them)", "<= 300 ms", met=len(took) == 100 and p99(took) <= 300)
    kubectl("-n", NS, "delete", "bgdo", "--all")
    remove_ours()


def stamp(text):
    whole, fraction = text.rstrip("Z").split(".")
    return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + float("0." + fraction)


def bench_fuzz():
    out = subprocess.run([str(ROOT / "build/fuzz/fuzz_kube_json"), "-max_total_time=20", "-max_len=4096", "-print_final_stats=1", str(ROOT / "fuzz/corpus/kube_json")],
                         capture_output=True, text=True, cwd="/tmp").stderr
    rate = int(re.search(r"stat::average_exec_per_sec:\s+(\d+)", out).group(1))
    row("JSON fuzz target, inputs up to 4096 bytes (libFuzzer's default)", f"{rate} exec/s", ">= 50,000 exec/s", met=rate >= 50000)


BENCHES = {"size": bench_size, "fuzz": bench_fuzz, "memory": bench_memory, "create": bench_create, "idle": bench_idle, "kill": bench_kill,
           "signal": bench_signal, "scale": bench_scale,
           "changes": lambda: outages.bench_changes(row, NS, install, lambda r: is_write(r) and r["objectRef"]["resource"] != "events", remove_ours),
           "outages": lambda: outages.bench_outages(row, NS, install, RAW, remove_raw, remove_ours),
           "disruptions": lambda: outages.bench_disruptions(row, NS, install, remove_ours)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="*", choices=[[], *BENCHES], help="default: all")
    parser.add_argument("--share", type=float, default=1, help="of the runs of outages and disruptions, which take an hour and more: 0.25 gives a first idea")
    args = parser.parse_args()
    names = args.name or list(BENCHES)
    outages.scale(args.share)
    for n in names:
        print(f"{n}:", flush=True)
        try:
            BENCHES[n]()
        except Exception as e:  # the other numbers are worth having
            row(n, f"not measured: {e}", "a number", met=False)
    widths = [max(len(r[i]) for r in rows + [("what", "measured", "must", "floor, same run", "")]) for i in range(5)]
    print()
    for r in [("what", "measured", "must", "floor, same run", "")] + rows:
        print("  ".join(c.ljust(w) for c, w in zip(r, widths)).rstrip())


if __name__ == "__main__":
    main()
