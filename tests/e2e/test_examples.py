"""Each example of deploy/examples/dbops as it stands, byte by byte, on the BGCluster of deploy/examples/demo.yaml as it stands: the outcome
that its page in docs/dbops promises, and what there is to see of it in the database."""
import re
import subprocess
import time

import yaml

from cluster import ENV, KUBECTL, ROOT, apply, get, kubectl, primary, sql, superuser_sql, wait, wait_ready
from test_dbops import bgdbops, conditions, events, wait_phase

EXAMPLES = ROOT / "deploy/examples"
PODS = ("demo-0", "demo-1", "demo-2")


def example(op):
    return EXAMPLES / f"dbops/{op}.yaml"


def operations(op):
    """The names of its BGDbOps."""
    return [o["metadata"]["name"] for o in yaml.safe_load_all(example(op).read_text()) if o["kind"] == "BGDbOps"]


def succeeded(name, ns):
    s = wait_phase(name, ns, "Succeeded", seconds=240)
    assert conditions(name, ns) == {"Running": "False", "Completed": "True", "Failed": "False"}, s
    assert s["startedAt"] <= s["finishedAt"] and s["percent"] == 100, s
    print(kubectl("get", "bgdo", name, "-n", ns), s.get("results"), s.get("instances"), sep="\n")
    return s


def done(op, ns):
    """The status of the last one in the file."""
    kubectl("apply", "-n", ns, "-f", str(example(op)))
    return [succeeded(name, ns) for name in operations(op)][-1]


def one(ns, query):
    return sql("demo", ns, query)[0][0]


def each_pod(ns, query):
    return {pod: superuser_sql("demo", ns, query, pod=pod) for pod in PODS}


def run_sql(ns):
    done("sql", ns)
    assert one(ns, "SELECT count(*) FROM marks") == 1
    assert one(ns, "SELECT tableowner = current_user FROM pg_tables WHERE tablename = 'marks'")


def run_vacuum(ns):
    """The tables of all that comes after it are made here."""
    sql("demo", ns, "CREATE TABLE orders (id int PRIMARY KEY, note text)")
    sql("demo", ns, "INSERT INTO orders SELECT n, repeat('x', 200) FROM generate_series(1, 20000) n")
    sql("demo", ns, "DELETE FROM orders WHERE id % 2 = 0")
    s = done("vacuum", ns)
    assert s["instance"] == primary("demo", ns) and s["results"]["sizeBefore"] > 0, s
    assert one(ns, "SELECT last_vacuum IS NOT NULL AND last_analyze IS NOT NULL FROM pg_stat_user_tables WHERE relname = 'orders'")


def run_analyze(ns):
    """One of its two is of every night."""
    once, nightly = operations("analyze")
    before = one(ns, "SELECT last_analyze FROM pg_stat_user_tables WHERE relname = 'orders'")
    kubectl("apply", "-n", ns, "-f", str(example("analyze")))
    succeeded(once, ns)
    assert one(ns, "SELECT last_analyze FROM pg_stat_user_tables WHERE relname = 'orders'") > before
    s = wait_phase(nightly, ns, "Scheduled")
    now, then = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + s)) for s in (0, 25 * 3600))
    assert now < s["nextRun"] <= then, s
    assert s["nextRun"][11:] in ("00:30:00Z", "01:30:00Z", "01:00:00Z"), "half past two in Berlin, or the leap into summer"
    print(kubectl("get", "bgdo", nightly, "-n", ns, "-o", "wide"))


def run_checkpoint(ns):
    before = superuser_sql("demo", ns, "SELECT checkpoint_lsn FROM pg_control_checkpoint()")
    done("checkpoint", ns)
    assert superuser_sql("demo", ns, "SELECT checkpoint_lsn FROM pg_control_checkpoint()") != before


def run_reindex(ns):
    """Only the index that is invalid is built anew."""
    superuser_sql("demo", ns, "CREATE INDEX bad ON orders (note); UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'bad'::regclass")
    files = "SELECT pg_relation_filenode('bad'), pg_relation_filenode('orders_pkey')"
    (before,) = sql("demo", ns, files)
    done("reindex", ns)
    (after,) = sql("demo", ns, files)
    assert after[0] != before[0] and after[1] == before[1]
    assert one(ns, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'bad'::regclass")


def run_repack(ns):
    """The rows that were deleted before lie in pages that only a new table gives back."""
    file = "SELECT pg_relation_filenode('orders')"
    before = one(ns, file)
    s = done("repack", ns)
    assert 0 < s["results"]["sizeAfter"] < s["results"]["sizeBefore"], s
    assert one(ns, file) != before and one(ns, "SELECT count(*) FROM orders") == 10000


def run_benchmark(ns):
    s = done("benchmark", ns)
    for figure in ("tps", "latencyAvg", "latencyStddev", "latencyP50", "latencyP95", "latencyP99"):
        assert float(s["results"][figure]) > 0, s
    assert one(ns, "SELECT count(*) FROM pg_database WHERE datname LIKE 'bestgres_benchmark%'") == 0


def run_reload(ns):
    before = each_pod(ns, "SELECT pg_conf_load_time()")
    s = done("reload", ns)
    assert {i["name"] for i in s["instances"]} == set(PODS), s
    wait("every server to have read its settings",
         lambda: all(t != before[pod] for pod, t in each_pod(ns, "SELECT pg_conf_load_time()").items()))


def run_restart(ns):
    leader, before = primary("demo", ns), each_pod(ns, "SELECT pg_postmaster_start_time()")
    s = done("restart", ns)
    assert [i["name"] for i in s["instances"]][-1] == leader and s["results"]["restarted"] == 3, s
    assert s["results"]["outageMs"] > 0, s
    assert all(t != before[pod] for pod, t in each_pod(ns, "SELECT pg_postmaster_start_time()").items())
    assert primary("demo", ns) == leader


def another_leads(ns, old):
    wait("another instance to lead", lambda: primary("demo", ns) not in (None, old))
    wait_ready("demo", ns)
    assert one(ns, "SELECT count(*) FROM marks") == 1, "with every row"


def run_switchover(ns):
    old = primary("demo", ns)
    s = done("switchover", ns)
    assert s["instance"] == old and s["results"]["outageMs"] > 0, s
    another_leads(ns, old)


def shell_of_page(op):
    """The commands that its page gives, as a user would paste them."""
    (commands,) = re.findall(r"^```sh\n(.*?)^```$", (ROOT / f"docs/dbops/{op}.md").read_text(), re.M | re.S)
    return commands


def run_failover(ns):
    """As it stands it is refused; with what the page says it works."""
    old = primary("demo", ns)
    kubectl("apply", "-n", ns, "-f", str(example("failover")))
    s = wait_phase("demo-failover", ns, "Failed")
    assert s["message"].startswith("spec.failover.systemIdentifier is not that of BGCluster demo: kubectl get bgi demo-0"), s
    kubectl("delete", "bgdo", "demo-failover", "-n", ns)
    here = f'kubectl() {{ "{KUBECTL}" -n {ns} "$@"; }}\n'
    p = subprocess.run(["bash", "-euo", "pipefail", "-c", here + shell_of_page("failover")], env=ENV, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert p.returncode == 0, p.stderr
    s = succeeded("demo-failover", ns)
    assert s["instance"] != old, s
    another_leads(ns, old)


def run_reinit(ns):
    """demo-2 must be a replica, as the page says."""
    if primary("demo", ns) == "demo-2":
        apply(bgdbops("hand-over", "switchover"), ns)
        wait_phase("hand-over", ns, "Succeeded")
        another_leads(ns, "demo-2")
    kubectl("-n", ns, "exec", "demo-2", "-c", "postgres", "--", "touch", "/pgdata/data/mark")
    done("reinit", ns)
    assert kubectl("-n", ns, "exec", "demo-2", "-c", "postgres", "--", "ls", "/pgdata/data/mark", check=False).returncode != 0, "the old data"
    wait_ready("demo", ns)
    assert superuser_sql("demo", ns, "SELECT count(*) FROM marks", pod="demo-2") == "1"


# What changes who leads comes last.
RUNS = (run_sql, run_vacuum, run_analyze, run_checkpoint, run_reindex, run_repack, run_benchmark, run_reload, run_restart, run_switchover,
        run_failover, run_reinit)


def test_every_example_as_it_stands(ns):
    crd = yaml.safe_load((ROOT / "crds/bgdbops.yaml").read_text())
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    ops = {r.__name__.removeprefix("run_") for r in RUNS}
    assert ops == set(spec["op"]["enum"]) == {p.stem for p in (EXAMPLES / "dbops").glob("*.yaml")}, "one for each operation"
    kubectl("apply", "-n", ns, "-f", str(EXAMPLES / "demo.yaml"))
    wait_ready("demo", ns)
    for run in RUNS:
        begin = time.monotonic()
        run(ns)
        print(f"{run.__name__}: {time.monotonic() - begin:.1f} s")
    for name in {name for op in ops for name in operations(op)} - {"demo-analyze-nightly", "demo-failover"}:
        wait(f"{name}'s Events", lambda: sorted(events(name, ns)) == ["Started", "Succeeded"])
        wait(f"{name}'s finalizer to go", lambda: not get("bgdo", name, ns)["metadata"].get("finalizers"))
