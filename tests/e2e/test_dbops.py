"""BGDbOps: what waits, what is refused, what ends; exactly as often as promised. Each operation once: test_examples.py."""
import datetime
import json
import signal
import threading
import time

import pytest

from cluster import (Writer, apply, bgcluster, condition, connect, delete, get, kill, kubectl, patch, pod_process, primary, refused, sql, superuser_sql, wait,
                     wait_ready, worker_pid)


def bgdbops(name, op, cluster="demo", **spec):
    return {"apiVersion": "bestgres.io/v1", "kind": "BGDbOps", "metadata": {"name": name}, "spec": {"cluster": cluster, "op": op, **spec}}


def status(name, ns):
    return (get("bgdo", name, ns) or {}).get("status", {})


def phase(name, ns):
    return status(name, ns).get("phase")


def wait_phase(name, ns, *phases, seconds=120):
    """Its status, once it has come that far; of one that failed instead the message is shown."""
    def there():
        s = status(name, ns)
        if s.get("phase") == "Failed" and "Failed" not in phases:
            raise AssertionError(f"{name} failed: {s}")
        return s if s.get("phase") in phases else None
    return wait(f"{name} to be {' or '.join(phases)}", there, seconds)


def conditions(name, ns):
    return {c["type"]: c["status"] for c in status(name, ns)["conditions"]}


def run(name, op, ns, seconds=120, **spec):
    apply(bgdbops(name, op, **spec), ns)
    s = wait_phase(name, ns, "Succeeded", seconds=seconds)
    assert conditions(name, ns) == {"Running": "False", "Completed": "True", "Failed": "False"}
    assert s["startedAt"] <= s["finishedAt"] and s["percent"] == 100
    wait("its finalizer to go", lambda: not get("bgdo", name, ns)["metadata"].get("finalizers"), 20)
    return s


def fails(name, op, ns, *words, **spec):
    apply(bgdbops(name, op, **spec), ns)
    s = wait_phase(name, ns, "Failed", seconds=60)
    assert all(w in s["message"] for w in words), s
    assert conditions(name, ns)["Failed"] == "True"
    return s


def script(name, ns, text):
    apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"run.sql": text}}, ns)
    return {"configMap": name, "key": "run.sql"}


def events(name, ns):
    return [e["reason"] for e in get("events", ns=ns) if e["involvedObject"]["kind"] == "BGDbOps" and e["involvedObject"]["name"] == name]


def later(seconds):
    return f"{datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"


@pytest.fixture
def own(ns):
    """What a test left goes before its namespace is used again."""
    yield ns
    kubectl("delete", "bgdo", "-n", ns, "--all", "--timeout=90s", check=False, timeout=100)


@pytest.fixture
def one(own):
    apply(bgcluster(), own)
    wait_ready("demo", own)
    return own


@pytest.fixture
def three(own):
    apply(bgcluster(instances=3, patroni={"synchronousMode": "on"}), own)
    wait_ready("demo", own)
    return own


def test_what_can_not_be_done_fails_with_what_to_do(one):
    ns = one
    s = fails("broken", "sql", ns, sql={"script": script("broken", ns, "CREATE TABLE half (n int);\nSELECT no_such_thing();\n"), "singleTransaction": True})
    assert "no_such_thing" in s["output"] + s["message"]
    assert sql("demo", ns, "SELECT count(*) FROM pg_tables WHERE tablename = 'half'") == [(0,)], "nothing half done"
    fails("table", "vacuum", ns, "no_such_table", vacuum={"tables": ["no_such_table"]})
    fails("database", "analyze", ns, analyze={"databases": ['a"; drop table x; --']})
    fails("map", "sql", ns, "no-such-map", sql={"script": {"configMap": "no-such-map", "key": "run.sql"}})
    fails("repack", "repack", ns, "pg_repack", repack={})
    s = fails("alone", "switchover", ns, "no replica")
    assert s["attempt"] == 0 and [c for c in s["conditions"] if c["type"] == "Failed"][0]["reason"] == "Refused"
    fails("nobody", "reinit", ns, "no instance", reinit={"instance": "demo-7"})
    fails("self", "reinit", ns, "is the primary", reinit={"instance": "demo-0"})
    fails("system", "failover", ns, "systemIdentifier", failover={"systemIdentifier": "12345"})
    fails("letters", "analyze", ns, "spec.analyze.databases[1]: is longer than 63 bytes", analyze={"databases": ["app", "ä" * 63]})
    fails("past", "checkpoint", ns, "spec.runAt", runAt="2025-01-01T00:00:00Z")
    fails("absurd", "checkpoint", ns, "spec.runAt", runAt="2088-01-01T00:00:00Z")
    fails("never", "checkpoint", ns, "never fires", schedule={"cron": "0 0 30 2 *"})
    apply(bgdbops("never", "checkpoint", schedule={"cron": "0 0 1 1 *"}), ns)
    wait("a corrected one to be judged anew", lambda: status("never", ns)["phase"] == "Scheduled", 30)
    fails("cron", "checkpoint", ns, "spec.schedule.cron", schedule={"cron": "every day"})
    fails("zone", "checkpoint", ns, "timeZone", schedule={"cron": "0 0 * * *", "timeZone": "Europe/Berln"})
    apply(bgdbops("unknown", "checkpoint", cluster="nobody"), ns)
    assert "no BGCluster nobody" in wait_phase("unknown", ns, "Waiting")["message"]


def test_cel_names_the_field(ns_shared):
    ns = ns_shared
    for spec, words in (
            ({"op": "restart", "vacuum": {"full": True}}, ["spec.vacuum belongs to op vacuum"]),
            ({"op": "vacuum", "restart": {}}, ["spec.restart belongs to op restart"]),
            ({"op": "failover"}, ["spec.failover.systemIdentifier"]),
            ({"op": "failover", "failover": {"candidate": "demo-1"}}, ["systemIdentifier"]),
            ({"op": "reinit"}, ["spec.reinit.instance"]),
            ({"op": "sql"}, ["spec.sql.script"]),
            ({"op": "switchover", "switchover": {"candidate": "other-1"}}, ["spec.switchover.candidate"]),
            ({"op": "vacuum", "runAt": later(60), "schedule": {"cron": "0 0 * * *"}}, ["spec.runAt and spec.schedule"]),
            ({"op": "vacuum", "runAt": "1999-01-01T00:00:00Z"}, ["spec.runAt"]),
            ({"op": "vacuum", "timeout": "900h"}, ["spec.timeout"]),
            ({"op": "vacuum", "timeout": "soon"}, ["spec.timeout"]),
            ({"op": "failover", "failover": {"systemIdentifier": "1"}, "schedule": {"cron": "0 0 * * *"}}, ["spec.schedule"]),
            ({"op": "benchmark", "benchmark": {"mode": "custom"}}, ["spec.benchmark.script"]),
            ({"op": "vacuum", "vacuum": {"full": True, "disablePageSkipping": True}}, ["disablePageSkipping"]),
            ({"op": "sql", "sql": {"script": {"configMap": "a", "key": "b"}}, "maxRetries": 2}, ["spec.maxRetries"]),
            ({"op": "explode"}, ["spec.op"])):
        obj = bgdbops("bad", spec.pop("op"), **spec)
        message = refused(obj, ns)
        assert all(w in message for w in words), (spec, message)
    apply(bgdbops("fixed", "vacuum"), ns)
    assert "can not change" in refused(bgdbops("fixed", "analyze"), ns)
    apply(bgdbops("planned", "checkpoint", schedule={"cron": "0 0 1 1 *"}), ns)
    assert "spec.schedule can not be taken out" in refused(bgdbops("planned", "checkpoint"), ns)


def test_restart_under_a_writing_client(three):
    ns = three
    before = {n: superuser_sql("demo", ns, "SELECT pg_postmaster_start_time()", pod=f"demo-{n}") for n in range(3)}
    leader = primary("demo", ns)
    with Writer("demo", ns) as w:
        s = run("restart", "restart", ns, seconds=240)
        w.wait_for_writes()
    assert {i["name"] for i in s["instances"]} == {"demo-0", "demo-1", "demo-2"}
    assert [i["name"] for i in s["instances"]][-1] == leader, "the primary last"
    assert s["results"]["restarted"] == 3 and s["attempt"] == 1
    for n in range(3):
        assert superuser_sql("demo", ns, "SELECT pg_postmaster_start_time()", pod=f"demo-{n}") != before[n]
    wait_ready("demo", ns)
    assert w.lost() == [] and primary("demo", ns) == leader
    s = run("pending", "restart", ns, restart={"onlyPending": True})
    assert "instances" not in s and "no server" in s["message"]


def test_switchover_failover_reinit_under_a_writing_client(own):
    """In asynchronous mode any replica may be the candidate; the old primary hands over to the last row."""
    ns = own
    apply(bgcluster(instances=3), ns)
    wait_ready("demo", ns)
    old = primary("demo", ns)
    others = sorted({"demo-0", "demo-1", "demo-2"} - {old})
    with Writer("demo", ns) as w:
        s = run("switchover", "switchover", ns, switchover={"candidate": others[0]})
        assert s["instance"] == old
        wait("the candidate to lead", lambda: primary("demo", ns) == others[0], 60)
        wait_ready("demo", ns)
        system = get("bgi", old, ns)["status"]["systemIdentifier"]
        assert "is the primary already" in fails("again", "switchover", ns, switchover={"candidate": others[0]})["message"]
        run("failover", "failover", ns, failover={"systemIdentifier": system, "candidate": others[1]})
        wait("that one to lead", lambda: primary("demo", ns) == others[1], 60)
        wait_ready("demo", ns)
        w.wait_for_writes()
        run("reinit", "reinit", ns, seconds=180, reinit={"instance": old})
        wait_ready("demo", ns)
        w.wait_for_writes()
    assert w.lost() == []


def test_one_disruptive_at_a_time(three):
    ns = three
    apply([bgdbops("first", "restart"), bgdbops("second", "restart", restart={"role": "Replica"}), bgdbops("beside", "analyze")], ns)
    seen = wait("the second to wait", lambda: status("second", ns) if phase("second", ns) == "Waiting" else None, 60)
    assert "waits for BGDbOps first (restart)" in seen["message"]
    wait_phase("beside", ns, "Succeeded")
    first, second = wait_phase("first", ns, "Succeeded", seconds=240), wait_phase("second", ns, "Succeeded", seconds=240)
    assert second["startedAt"] >= first["finishedAt"]
    assert second["results"]["restarted"] == 2


def locked(ns, statement):
    """A session that has that lock until it is closed."""
    conn = wait("a connection", lambda: connect("demo", ns), 5)
    conn.autocommit = False
    conn.cursor().execute(statement)
    return conn


def held_up(ns, n):
    """So many of our sessions wait for a lock."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'bestgres/%' AND wait_event_type = 'Lock'"
    return wait(f"{n} to wait for a lock", lambda: superuser_sql("demo", ns, waiting) == str(n), 60)


def says(name, ns, words):
    return wait(f"{name} to say {words}", lambda: (lambda s: s if words in s.get("message", "") else None)(status(name, ns)), 60)


def test_tasks_beside_each_other_on_one_pod(one):
    """A VACUUM FULL is held up by a lock: what does not conflict with it goes on, up to three; the rest waits and says for what."""
    ns = one
    for t in ("held", "other", "marks"):
        sql("demo", ns, f"CREATE TABLE {t} AS SELECT n FROM generate_series(1, 1000) n")
    lock, gate = locked(ns, "LOCK TABLE held IN ACCESS SHARE MODE"), locked(ns, "SELECT pg_advisory_lock(1)")
    full = "waits for BGDbOps full (vacuum), which runs on demo-0"
    apply(bgdbops("full", "vacuum", vacuum={"full": True, "databases": ["app"], "tables": ["held"]}), ns)
    held_up(ns, 1)
    run("checkpoint", "checkpoint", ns)
    run("analyze", "analyze", ns, analyze={"databases": ["app"], "tables": ["other"]})
    run("script", "sql", ns, sql={"script": script("script", ns, "INSERT INTO marks VALUES (-1);\n")})
    apply(bgdbops("reindex", "reindex", reindex={"databases": ["app"], "tables": ["other"]}), ns)
    assert says("reindex", ns, full)["phase"] == "Waiting"
    apply([bgdbops(name, "sql", sql={"script": script("gate", ns, "SELECT pg_advisory_lock(1);\nINSERT INTO marks VALUES (-2);\n")})
           for name in ("gated", "gated-too")], ns)
    held_up(ns, 3)
    assert get("bgi", "demo-0", ns)["status"]["taskSlots"] == 3
    apply(bgdbops("fourth", "checkpoint"), ns)
    assert says("fourth", ns, full)["phase"] == "Waiting", "a pod does three at a time"
    gate.close()
    ended = [wait_phase(name, ns, "Succeeded") for name in ("gated", "gated-too", "fourth")]
    assert ended[2]["startedAt"] >= min(s["finishedAt"] for s in ended[:2])
    assert phase("full", ns) == "Running" and phase("reindex", ns) == "Waiting"
    lock.close()
    first, then = wait_phase("full", ns, "Succeeded"), wait_phase("reindex", ns, "Succeeded")
    assert then["startedAt"] >= first["finishedAt"]
    assert {o["metadata"]["name"]: o["status"]["attempt"] for o in get("bgdo", ns=ns) if o["status"]["attempt"] != 1} == {}
    assert sql("demo", ns, "SELECT n, count(*) FROM marks WHERE n < 0 GROUP BY n ORDER BY n") == [(-2, 2), (-1, 1)]
    assert events("reindex", ns).count("Started") == 1


def test_pgctl_killed_with_two_at_work(one):
    """Both are interrupted: the script is never begun again, the other is."""
    ns = one
    for t in ("held", "marks"):
        sql("demo", ns, f"CREATE TABLE {t} (n int)")
    lock = locked(ns, "LOCK TABLE held IN SHARE UPDATE EXCLUSIVE MODE; SELECT pg_advisory_lock(1)")
    apply([bgdbops("script", "sql", sql={"script": script("script", ns, "INSERT INTO marks VALUES (1);\nSELECT pg_advisory_lock(1);\n")}),
           bgdbops("analyze", "analyze", analyze={"databases": ["app"], "tables": ["held"]})], ns)
    held_up(ns, 2)
    kill(pod_process(ns, "demo-0", "pgctl"))
    s = wait_phase("script", ns, "Failed", seconds=60)
    assert s["message"].startswith("interrupted") and s["attempt"] == 1, s
    assert [c for c in s["conditions"] if c["type"] == "Failed"][0]["reason"] == "Interrupted", s
    wait("the other to be repeated", lambda: status("analyze", ns).get("retries", 0) > 0, 60)
    lock.close()
    s = wait_phase("analyze", ns, "Succeeded")
    assert s["attempt"] == 1 + s["retries"], s
    assert marks(ns) == 1


def test_restart_waits_for_what_it_is_for(own):
    """Applied together with the parameter, and while a script runs, which is not begun again."""
    ns = own
    apply(bgcluster(instances=2, updateStrategy="OnDemand"), ns)
    wait_ready("demo", ns)
    holds = connect("demo", ns)
    holds.cursor().execute("SELECT pg_advisory_lock(1)")
    apply(bgdbops("script", "sql", sql={"script": script("script", ns, "SELECT pg_advisory_lock(1);\n")}), ns)
    wait_phase("script", ns, "Running")
    apply([bgdbops("pending", "restart", restart={"onlyPending": True}),
           bgcluster(instances=2, updateStrategy="OnDemand", postgres={"parameters": {"max_connections": "123"}})], ns)
    seen = wait("it to wait for the script", lambda: (lambda s: s if "BGDbOps script (sql)" in s.get("message", "") else None)(status("pending", ns)), 60)
    assert seen["phase"] == "Waiting"
    holds.close()
    assert wait_phase("script", ns, "Succeeded")["attempt"] == 1
    s = wait_phase("pending", ns, "Succeeded", seconds=120)
    assert s["results"]["restarted"] == 2, s
    assert [superuser_sql("demo", ns, "SHOW max_connections", pod=f"demo-{n}") for n in range(2)] == ["123"] * 2
    apply([bgcluster(instances=2, updateStrategy="OnDemand", postgres={"parameters": {"max_connections": "101"}}),
           bgdbops("lowered", "restart", restart={"onlyPending": True})], ns)
    s = wait_phase("lowered", ns, "Succeeded", seconds=120)
    assert s["results"]["restarted"] == 2, f"the primary, then the replica, which may have less only then: {s}"
    assert [superuser_sql("demo", ns, "SHOW max_connections", pod=f"demo-{n}") for n in range(2)] == ["101"] * 2


def test_rolling_change_waits_for_a_script(own):
    ns = own
    apply(bgcluster(instances=2), ns)
    wait_ready("demo", ns)
    leads = primary("demo", ns)
    before = {name: get("pod", name, ns)["metadata"]["uid"] for name in ("demo-0", "demo-1")}
    holds = connect("demo", ns)
    holds.cursor().execute("SELECT pg_advisory_lock(1)")
    apply(bgdbops("script", "sql", sql={"script": script("script", ns, "SELECT pg_advisory_lock(1);\n")}), ns)
    wait_phase("script", ns, "Running")
    patch("bgc", "demo", ns, {"spec": {"resources": {"requests": {"cpu": "20m"}}}})
    says = f"waits for BGDbOps script (sql), which runs on {leads}; older than the spec: {leads}"
    wait("the change to wait for it", lambda: condition("demo", ns, "Progressing").get("message") == says, 90)
    now = {name: (get("pod", name, ns) or {}).get("metadata", {}).get("uid") for name in before}
    assert [name for name in before if now[name] == before[name]] == [leads], "the replica has it, the primary does not"
    assert primary("demo", ns) == leads and phase("script", ns) == "Running"
    holds.close()
    assert wait_phase("script", ns, "Succeeded")["attempt"] == 1
    wait("the primary's pod to be replaced", lambda: (get("pod", leads, ns) or {}).get("metadata", {}).get("uid") not in (None, before[leads]), 90)
    wait_ready("demo", ns)


def test_fenced_in_the_middle(three):
    """One that was told, but is fenced before its agent hears of it: the restart goes on with the others, and a reinit leaves it alone."""
    ns = three
    last = max({"demo-0", "demo-1", "demo-2"} - {primary("demo", ns)})
    agent = pod_process(ns, last, "agent")
    kill(agent, signal.SIGSTOP)
    try:
        apply(bgdbops("restart", "restart"), ns)
        wait("it to be told", lambda: get("bgi", last, ns)["spec"].get("operation", {}).get("kind") == "RestartAlways", 20)
        patch("bgc", "demo", ns, {"spec": {"fencedInstances": [last]}})
        wait("it to be told to stop", lambda: get("bgi", last, ns)["spec"].get("stop"), 20)
    finally:
        kill(agent, signal.SIGCONT)
    s = wait_phase("restart", ns, "Succeeded", seconds=120)
    said = {i["name"]: i.get("message", "") for i in s["instances"]}
    assert said.pop(last).startswith("it is fenced") and set(said.values()) == {""} and len(said) == 2, s
    apply(bgdbops("reinit", "reinit", reinit={"instance": last}), ns)
    assert f"{last} is fenced" in wait_phase("reinit", ns, "Waiting")["message"]


def test_times(one):
    """runAt, timeout, ttlSecondsAfterFinished, schedule."""
    ns = one
    at = later(8)
    apply([bgdbops("later", "checkpoint", runAt=at, ttlSecondsAfterFinished=1),
           bgdbops("each", "analyze", schedule={"cron": "* * * * *", "historyLimit": 3}),
           bgdbops("slow", "sql", timeout="4s", sql={"script": script("slow", ns, "SELECT pg_sleep(600);\n")})], ns)
    s = wait_phase("later", ns, "Scheduled")
    assert s["nextRun"] == at and at in s["message"]
    wait("it to be done and gone", lambda: get("bgdo", "later", ns) is None, 60)
    s = wait_phase("slow", ns, "Failed", seconds=60)
    assert [c for c in s["conditions"] if c["type"] == "Failed"][0]["reason"] == "TimedOut", s
    assert superuser_sql("demo", ns, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(600)%'") == "0"
    s = wait("two runs", lambda: (lambda s: s if len(s.get("history", [])) >= 2 else None)(status("each", ns)), 150)
    assert {h["phase"] for h in s["history"]} == {"Succeeded"} and s["phase"] in ("Scheduled", "Running")
    patch("bgdo", "each", ns, {"spec": {"schedule": {"suspend": True}}})
    wait("it to be suspended", lambda: "suspended" in status("each", ns).get("message", ""), 30)


def test_cancel_and_cluster_gone(one):
    ns = one
    sleeps = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(600)%' AND application_name LIKE 'bestgres/%'"
    s = script("slow", ns, "SELECT pg_sleep(600);\n")
    apply(bgdbops("cancelled", "sql", sql={"script": s}), ns)
    wait("the script to run", lambda: superuser_sql("demo", ns, sleeps) == "1", 60)
    assert get("bgdo", "cancelled", ns)["metadata"]["finalizers"]
    delete("bgdo", "cancelled", ns)
    wait("it to be gone", lambda: get("bgdo", "cancelled", ns) is None, 60)
    assert superuser_sql("demo", ns, sleeps) == "0", "its backend has ended"
    apply(bgdbops("orphan", "sql", sql={"script": s}), ns)
    wait("the script to run", lambda: superuser_sql("demo", ns, sleeps) == "1", 60)
    delete("bgc", "demo", ns)
    wait("the cluster to be gone", lambda: get("bgc", "demo", ns) is None, 120)
    assert wait_phase("orphan", ns, "Failed", seconds=60)["message"].startswith("interrupted")
    wait("its finalizer to go", lambda: not get("bgdo", "orphan", ns)["metadata"].get("finalizers"), 20)


def test_hibernated_cluster_is_waited_for(one):
    ns = one
    patch("bgc", "demo", ns, {"spec": {"hibernated": True}})
    apply(bgdbops("vacuum", "vacuum"), ns)
    assert "spec.hibernated to false" in wait_phase("vacuum", ns, "Waiting")["message"]
    patch("bgc", "demo", ns, {"spec": {"hibernated": False}})
    wait_phase("vacuum", ns, "Succeeded", seconds=180)


def marks(ns):
    return sql("demo", ns, "SELECT count(*) FROM marks")[0][0]


@pytest.mark.alone
def test_killed_in_the_middle(one):
    """The operator's processes die again and again, from before it is told until after it has ended: a script runs exactly once."""
    ns = one
    sql("demo", ns, "CREATE TABLE marks (at timestamptz DEFAULT clock_timestamp())")
    s = script("mark", ns, "INSERT INTO marks DEFAULT VALUES;\nSELECT pg_sleep(3);\n")
    stop = threading.Event()

    def nemesis():
        while not stop.wait(0.3):
            for role in ("executor", "reconciler", "watcher"):
                if pid := worker_pid(role):
                    try:
                        kill(pid)
                    except ProcessLookupError:
                        pass
                if stop.wait(0.3):
                    return

    thread = threading.Thread(target=nemesis, daemon=True)
    thread.start()
    try:
        apply(bgdbops("once", "sql", sql={"script": s}), ns)
        time.sleep(8)
    finally:
        stop.set()
        thread.join()
    wait_phase("once", ns, "Succeeded", seconds=120)
    assert marks(ns) == 1 and status("once", ns)["attempt"] == 1


def test_pod_lost_in_the_middle(three):
    ns = three
    old = primary("demo", ns)
    sql("demo", ns, "CREATE TABLE marks (at timestamptz DEFAULT clock_timestamp())")
    sql("demo", ns, "CREATE TABLE big AS SELECT n, md5(n::text) AS t FROM generate_series(1, 200000) n")
    s = script("mark", ns, "INSERT INTO marks DEFAULT VALUES;\nSELECT pg_sleep(600);\n")
    apply(bgdbops("once", "sql", sql={"script": s}), ns)
    wait("the script to run", lambda: marks(ns) == 1, 60)
    kubectl("delete", "pod", old, "-n", ns, "--grace-period=0", "--force", check=False)
    s = wait_phase("once", ns, "Failed", seconds=120)
    assert s["message"].startswith("interrupted") and s["attempt"] == 1
    assert [c for c in s["conditions"] if c["type"] == "Failed"][0]["reason"] == "Interrupted"
    wait_ready("demo", ns, 180)
    assert marks(ns) == 1, "it is not begun again"
    run("reindex", "reindex", ns, reindex={"tables": ["big"]})
