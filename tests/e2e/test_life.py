"""Growing, shrinking, pausing, who takes reads, and a deletion that has to wait."""
import signal
import time

import pytest

from cluster import Nemesis, Writer, apply, bgcluster, condition, delete, get, kill, kubectl, patch, pod_pids, primary, sql, wait, wait_ready


def names(ns):
    return sorted(p["metadata"]["name"] for p in get("pods", ns=ns, selector="bestgres.io/cluster=demo"))


def switch_to(ns, pod):
    """As a person with patronictl would: POST /switchover from within the pod."""
    script = ("import json,sys,urllib.request as u,base64,os\n"
              "c=json.load(open('/run/bestgres/patroni.yml'))['restapi']['authentication']\n"
              "r=u.Request('http://127.0.0.1:8008/switchover',json.dumps({'leader':sys.argv[1],'candidate':sys.argv[2]}).encode(),"
              "{'Content-Type':'application/json','Authorization':'Basic '+base64.b64encode((c['username']+':'+c['password']).encode()).decode()})\n"
              "print(u.urlopen(r).read().decode())")

    def leads():  # a candidate that lags for a moment is refused: asked again
        leader = primary("demo", ns)
        if leader not in (None, pod):
            kubectl("-n", ns, "exec", leader, "-c", "postgres", "--", "python3", "-c", script, leader, pod)
        return primary("demo", ns) == pod
    wait(f"{pod} to lead", leads, every=1)


def test_scale_up_and_down_with_kubectl_scale(ns):
    apply(bgcluster(), ns)
    wait_ready("demo", ns)
    sql("demo", ns, "CREATE TABLE kept AS SELECT 42 AS n")
    kubectl("-n", ns, "scale", "bgc", "demo", "--replicas=3")
    wait("three pods", lambda: names(ns) == ["demo-0", "demo-1", "demo-2"], 60)
    wait_ready("demo", ns)
    wait("the row on a replica", lambda: sql("demo", ns, "SELECT n, pg_is_in_recovery() FROM kept", service="ro") == [(42, True)], 10)
    kubectl("-n", ns, "scale", "bgc", "demo", "--replicas=1")
    wait("one pod", lambda: names(ns) == ["demo-0"], 60)
    wait_ready("demo", ns)
    wait("its BGInstances to go", lambda: len(get("bgi", ns=ns)) == 1, 60)
    assert len([p for p in get("pvc", ns=ns) if p["metadata"]["name"].startswith("pgdata-demo-")]) == 3, "volumes stay"
    assert sql("demo", ns, "SELECT n FROM kept") == [(42,)]


def test_scale_down_hands_the_leadership_on_first(ns):
    apply(bgcluster(instances=3), ns)
    wait_ready("demo", ns)
    with Writer("demo", ns) as w:
        switch_to(ns, "demo-2")
        wait_ready("demo", ns)
        kubectl("-n", ns, "scale", "bgc", "demo", "--replicas=2")
        wait("two pods", lambda: names(ns) == ["demo-0", "demo-1"], 120)
        w.wait_for_writes()
        wait_ready("demo", ns)
        assert primary("demo", ns) in ("demo-0", "demo-1")
    assert w.lost() == [], "handed on, not lost"



def test_deletion_protection(ns):
    apply(bgcluster(deletionProtection=True), ns)
    wait_ready("demo", ns)
    sql("demo", ns, "CREATE TABLE kept AS SELECT 42 AS n")
    delete("bgc", "demo", ns)
    c = wait("the condition", lambda: (lambda c: c if c.get("status") == "True" else None)(condition("demo", ns, "DeletionBlocked")), 30)
    assert c["reason"] == "DeletionProtected" and "spec.deletionProtection" in c["message"]
    wait("an Event", lambda: [e for e in get("events", ns=ns) if e["reason"] == "DeletionProtected"], 15)
    kubectl("delete", "service", "demo-rw", "-n", ns)
    wait("it is still healed", lambda: get("service", "demo-rw", ns), 15)
    assert sql("demo", ns, "SELECT n FROM kept") == [(42,)]
    patch("bgc", "demo", ns, {"spec": {"deletionProtection": False}})
    wait("it goes", lambda: get("bgc", "demo", ns) is None, 120)


def test_pause(ns):
    apply(bgcluster(), ns)
    wait_ready("demo", ns)
    kubectl("-n", ns, "annotate", "bgc", "demo", "bestgres.io/paused=true")
    c = wait("the condition", lambda: (lambda c: c if c.get("status") == "True" else None)(condition("demo", ns, "Paused")), 30)
    assert "bestgres.io/paused" in c["message"]
    kubectl("delete", "service", "demo-ro", "-n", ns)
    patch("bgc", "demo", ns, {"spec": {"instances": 2, "postgres": {"parameters": {"work_mem": "9MB"}}}})
    time.sleep(8)
    assert get("service", "demo-ro", ns) is None and names(ns) == ["demo-0"]
    assert sql("demo", ns, "SHOW work_mem") == [("4MB",)]
    kubectl("-n", ns, "annotate", "bgc", "demo", "bestgres.io/paused-")
    wait("two pods", lambda: names(ns) == ["demo-0", "demo-1"], 60)
    wait_ready("demo", ns)
    assert get("service", "demo-ro", ns)
    wait("the parameter", lambda: sql("demo", ns, "SHOW work_mem") == [("9MB",)], 30)
    assert not condition("demo", ns, "Paused")


def reads_from(ns):
    """The pods that Service demo-ro sends to."""
    slices = get("endpointslices", ns=ns, selector="kubernetes.io/service-name=demo-ro")
    return {e["targetRef"]["name"] for s in slices for e in s.get("endpoints") or [] if e["conditions"].get("ready")}


@pytest.mark.parametrize("stopped", ["startup recovering", "walreceiver"])
def test_a_replica_that_does_not_replay_takes_no_reads(ns, stopped):
    """It has received all and replays nothing, or gets nothing: known within a Patroni loop (5 s here), and said in BGInstance with it."""
    apply(bgcluster(instances=3, patroni={"maximumLagOnFailover": 1 << 20}), ns)
    wait_ready("demo", ns)
    replica = next(name for name in names(ns) if name != primary("demo", ns))
    others = set(names(ns)) - {primary("demo", ns), replica}
    wait("both replicas to take reads", lambda: reads_from(ns) == others | {replica}, 60)
    process = next(pid for pid, c in pod_pids(ns, replica).items() if stopped in c)
    kill(process, signal.SIGSTOP)
    try:
        sql("demo", ns, "CREATE TABLE much AS SELECT n, md5(n::text) FROM generate_series(1, 200000) n")
        wait("its label to go", lambda: get("pod", replica, ns)["metadata"]["labels"].get("bestgres.io/ro") != "ok", 30, measured=True)
        status = wait("its lag to be said", lambda: (lambda s: s.get("lag") == "Large" and s)(get("bgi", replica, ns)["status"]), 10, measured=True)
        assert status["state"] == "Streaming", "its connection stands"
        wait("it to take none", lambda: reads_from(ns) == others)
        time.sleep(10)
        assert reads_from(ns) == others
    finally:
        kill(process, signal.SIGCONT)
    wait("it to take reads again", lambda: reads_from(ns) == others | {replica}, 60)
    wait("its lag to be gone", lambda: get("bgi", replica, ns)["status"]["lag"] == "None", 60)


@pytest.mark.alone
def test_each_new_primary_is_an_event_once_while_workers_are_killed(ns):
    apply(bgcluster(instances=2), ns)
    wait_ready("demo", ns)
    uid, old, expected = get("bgc", "demo", ns)["metadata"]["uid"], primary("demo", ns), []

    def said():
        events = [e for e in get("events", ns=ns) if e["reason"] == "PrimaryChanged" and e["involvedObject"]["uid"] == uid]
        return sorted(e["message"].split(";")[0] for e in events for _ in range(e.get("count", 1)))  # who it was a later life may not know

    with Nemesis(7, 0.05, 0.6, supervisor=False):
        for _ in range(4):
            new = "demo-1" if old == "demo-0" else "demo-0"
            switch_to(ns, new)
            expected.append(f"{new} is primary now")
            wait("its Event", lambda: said() == sorted(expected), 120)
            wait_ready("demo", ns)
            old = new
    time.sleep(5)
    assert said() == sorted(expected)
