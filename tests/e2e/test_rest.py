"""Hibernation, fencing, and a deletion whose data is kept: who rests does so in order, and who was primary leads again."""
import time

import pytest

from cluster import Nemesis, Writer, apply, bgcluster, condition, delete, get, kill, kubectl, patch, primary, refused, sql, wait, wait_ready, worker_pid
from test_life import names, switch_to


def instance(name, ns):
    return get("bgi", name, ns).get("status", {})


def hibernate(ns, on):
    patch("bgc", "demo", ns, {"spec": {"hibernated": on}})


def wait_hibernated(ns):
    def rests():
        c = condition("demo", ns, "Ready")
        return c if c and c["reason"] == "Hibernated" else None
    c = wait("Hibernated", rests, 120)
    assert c["status"] == "False"
    wait("the last pods to end, in which nothing runs any more", lambda: not names(ns), 15)
    return c


def test_hibernation_keeps_every_row_and_the_primary(ns):
    """In asynchronous mode: a replica that is up first may not lead."""
    apply(bgcluster(instances=3), ns)
    wait_ready("demo", ns)
    switch_to(ns, "demo-1")
    wait_ready("demo", ns)
    timeline = instance("demo-1", ns)["timeline"]
    with Writer("demo", ns) as w:
        w.wait_for_writes()
        hibernate(ns, True)
        c = wait_hibernated(ns)
    assert "demo-1 leads" in c["message"]
    wait("an Event", lambda: [e for e in get("events", ns=ns) if e["reason"] == "Hibernated"], 10)
    assert len([p for p in get("pvc", ns=ns) if p["metadata"]["name"].startswith("pgdata-demo-")]) == 3
    assert get("bgc", "demo", ns)["status"]["phase"] == "Hibernated"
    hibernate(ns, False)
    wait_ready("demo", ns)
    assert primary("demo", ns) == "demo-1"
    assert w.lost() == [], "every acknowledged row is there"
    assert instance("demo-1", ns)["timeline"] <= timeline + 1, "no other was promoted in between"


@pytest.mark.alone
def test_hibernation_taken_back_and_workers_killed(ns):
    apply(bgcluster(instances=3, patroni={"synchronousMode": "on"}), ns)
    wait_ready("demo", ns)
    with Writer("demo", ns) as w:
        for seed, seconds in enumerate((1, 3, 8)):
            w.wait_for_writes()
            hibernate(ns, True)
            with Nemesis(seed, 0.1, 0.6, supervisor=False) as nemesis:
                time.sleep(seconds)
            assert nemesis.killed
            hibernate(ns, False)
            wait_ready("demo", ns)
        leader = primary("demo", ns)
        hibernate(ns, True)
        wait_hibernated(ns)
    kill(wait("the reconciler", lambda: worker_pid("reconciler")))  # another life of the operator knows only what stands in the objects
    patch("bgc", "demo", ns, {"spec": {"postgres": {"parameters": {"work_mem": "9MB"}}}})
    time.sleep(5)
    assert instance(leader, ns)["role"] == "Primary", "the last word of an instance at rest stays"
    hibernate(ns, False)
    wait_ready("demo", ns)
    assert primary("demo", ns) == leader and w.lost() == []


def test_hibernated_from_birth_and_what_changes_meanwhile(ns):
    apply(bgcluster(instances=2, hibernated=True), ns)
    wait_hibernated(ns)
    assert not get("pvc", ns=ns)
    patch("bgc", "demo", ns, {"spec": {"postgres": {"parameters": {"work_mem": "9MB"}}}})
    hibernate(ns, False)
    wait_ready("demo", ns)
    assert sql("demo", ns, "SHOW work_mem") == [("9MB",)]


def test_made_smaller_while_it_rests(ns):
    apply(bgcluster(instances=2), ns)
    wait_ready("demo", ns)
    switch_to(ns, "demo-1")
    wait_ready("demo", ns)
    sql("demo", ns, "CREATE TABLE kept AS SELECT 42 AS n")
    hibernate(ns, True)
    wait_hibernated(ns)
    patch("bgc", "demo", ns, {"spec": {"instances": 1, "hibernated": False}})
    c = wait("it says that the last primary is missing", lambda: (lambda c: c if c["reason"] == "HandingOver" else None)(condition("demo", ns, "Ready")), 60)
    assert "demo-1" in c["message"] and "spec.instances to at least 2" in c["message"]
    time.sleep(5)
    assert not names(ns)
    patch("bgc", "demo", ns, {"spec": {"instances": 2}})
    wait_ready("demo", ns)
    assert primary("demo", ns) == "demo-1" and sql("demo", ns, "SELECT n FROM kept") == [(42,)]


def test_fenced_instances(ns):
    apply(bgcluster(instances=3, patroni={"synchronousMode": "on"}), ns)
    wait_ready("demo", ns)
    with Writer("demo", ns) as w:
        uid = get("pod", "demo-0", ns)["metadata"]["uid"]
        leader = primary("demo", ns)
        patch("bgc", "demo", ns, {"spec": {"fencedInstances": [leader]}})
        wait("it to stop", lambda: instance(leader, ns)["state"] == "Stopped", 60)
        wait("another to lead", lambda: primary("demo", ns) not in (leader, None), 60)
        w.wait_for_writes()
        c = wait("the condition", lambda: (lambda c: c if c["reason"] == "InstancesFenced" else None)(condition("demo", ns, "Ready")), 30)
        assert c["status"] == "False" and "fencedInstances" in c["message"]
        assert "postgres" not in kubectl("-n", ns, "exec", leader, "-c", "postgres", "--", "sh", "-c", "cat /proc/[0-9]*/comm")
        patch("bgc", "demo", ns, {"spec": {"fencedInstances": []}})
        wait_ready("demo", ns)
        assert get("pod", "demo-0", ns)["metadata"]["uid"] == uid, "its pod stayed"
    assert w.lost() == []


def test_all_fenced(ns):
    apply(bgcluster(instances=2), ns)
    wait_ready("demo", ns)
    with Writer("demo", ns) as w:
        w.wait_for_writes()
        leader = primary("demo", ns)
        patch("bgc", "demo", ns, {"spec": {"fencedInstances": ["demo-0", "demo-1"]}})
        wait("both to stop", lambda: all(instance(i, ns)["state"] == "Stopped" for i in names(ns)), 60)
        assert names(ns) == ["demo-0", "demo-1"]
        patch("bgc", "demo", ns, {"spec": {"fencedInstances": []}})
        wait_ready("demo", ns)
        assert primary("demo", ns) == leader
    assert w.lost() == []


def test_only_stale_data_unfenced(ns):
    apply(bgcluster(instances=2), ns)
    wait_ready("demo", ns)
    old = primary("demo", ns)
    patch("bgc", "demo", ns, {"spec": {"fencedInstances": [old]}})
    wait("another to lead", lambda: primary("demo", ns) not in (old, None), 60)
    new = primary("demo", ns)
    sql("demo", ns, "CREATE TABLE kept AS SELECT 42 AS n")
    patch("bgc", "demo", ns, {"spec": {"fencedInstances": [old, new]}})
    wait("both to stop", lambda: all(instance(i, ns)["state"] == "Stopped" for i in names(ns)), 60)
    patch("bgc", "demo", ns, {"spec": {"fencedInstances": [new]}})
    c = wait("it says who has the newest data", lambda: (lambda c: c if c["reason"] == "LastPrimaryMissing" else None)(condition("demo", ns, "Ready")), 30)
    assert f"{new} is fenced" in c["message"]
    time.sleep(5)
    assert instance(old, ns)["state"] == "Stopped"
    patch("bgc", "demo", ns, {"spec": {"fencedInstances": []}})
    wait_ready("demo", ns)
    assert primary("demo", ns) == new and sql("demo", ns, "SELECT n FROM kept") == [(42,)]


def test_unknown_instance_is_refused(ns):
    for bad in (["demo-1"], ["other-0"], ["demo-00"], ["demo-x"], ["demo-0", "demo-32"]):
        assert "spec.fencedInstances" in refused(bgcluster(instances=1, fencedInstances=bad), ns)


def test_kept_data_is_continued_by_the_next_cluster(ns):
    apply(bgcluster(instances=3), ns)
    wait_ready("demo", ns)
    switch_to(ns, "demo-2")
    wait_ready("demo", ns)
    with Writer("demo", ns) as w:
        w.wait_for_writes()
        delete("bgc", "demo", ns, "--cascade=foreground")
        wait("it to go", lambda: get("bgc", "demo", ns) is None and not names(ns), 120)
    apply(bgcluster(instances=3), ns)
    wait_ready("demo", ns)
    assert primary("demo", ns) == "demo-2", "who was primary leads"
    assert w.lost() == []


def test_someone_deletes_the_statefulset(ns):
    """All pods end at once, unasked: what was acknowledged is safe in synchronous mode only."""
    apply(bgcluster(instances=3, patroni={"synchronousMode": "on"}), ns)
    wait_ready("demo", ns)
    with Writer("demo", ns) as w:
        w.wait_for_writes()
        kubectl("-n", ns, "delete", "statefulset", "demo", "--wait=false")
        time.sleep(3)
        wait_ready("demo", ns, 180)
    assert w.lost() == []
