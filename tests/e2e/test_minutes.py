"""What is said only after minutes: a deletion that hangs, and a replica that has another history of its primary's timeline."""
import time

import pytest

from cluster import apply, bgcluster, condition, delete, get, kubectl, patch, primary, superuser_sql, wait, wait_ready
from test_dbops import run
from test_life import reads_from
from test_reinit import events, fence, in_pod, instance, other, pgdata, reinits

pytestmark = pytest.mark.long
# BGCluster: what someone's finalizer holds of it, and what is said.
HELD = {
    "pod": ("pod", "pod-0", "Pod pod-0 still stops, has someone's finalizer"),
    "service": ("service", "service-rw", "Service service-rw is deleted but does not go"),
    "volume": ("pvc", "pgdata-volume-0", "Volumes that were deleted do not go"),
}


def test_a_deletion_that_hangs_names_what_holds_it(ns):
    """Three minutes it may take without a word."""
    for name in HELD:
        apply(bgcluster(name, deletionPolicy="Delete"), ns)
    for name in HELD:
        wait_ready(name, ns)
    for kind, held, _ in HELD.values():
        finalizers = get(kind, held, ns)["metadata"].get("finalizers", [])
        patch(kind, held, ns, {"metadata": {"finalizers": [*finalizers, "e2e.bestgres.io/hold"]}})
    try:
        began = time.monotonic()
        for name in HELD:
            delete("bgc", name, ns)
        while time.monotonic() < began + 170:
            assert not any(condition(name, ns, "DeletionBlocked") for name in HELD)
            time.sleep(2)
        for name, (_, _, says) in HELD.items():
            c = wait(f"{name} to say so", lambda: condition(name, ns, "DeletionBlocked"), 60, measured=True)
            assert (c["status"], c["reason"]) == ("True", "DeletionStalled") and c["message"].startswith(says), c
            assert condition(name, ns, "Progressing")["status"] == "False"
        told = wait("an Event of each", lambda: (lambda found: found if len(found) >= len(HELD) else None)(events(ns, "DeletionStalled")))
        assert sorted(e["involvedObject"]["name"] for e in told) == sorted(HELD) and {e.get("count", 1) for e in told} == {1}
    finally:
        for kind, held, _ in HELD.values():
            kubectl("patch", kind, held, "-n", ns, "--type=merge", "-p", '{"metadata":{"finalizers":null}}', check=False)
    wait("them to go", lambda: not get("bgc", ns=ns))


def write_apart(ns, pod):
    """As if it had led once, apart from the other: more rows on the timeline that both have."""
    rows = "CREATE TABLE apart AS SELECT n, repeat('x', 100) AS t FROM generate_series(1, 100000) n"
    in_pod(ns, pod, "cd /pgdata/data && mv standby.signal /pgdata && echo \"" + rows + "\" | "
                    "$(ls -d /usr/lib/postgresql/*/bin | tail -1)/postgres --single -D . -c synchronous_standby_names= app && mv /pgdata/standby.signal .")


def test_two_histories_of_one_timeline(ns):
    """Told of for as long as it is so, whatever the primary writes meanwhile; nothing is cloned until someone asks for it."""
    apply(bgcluster(instances=2), ns)
    wait_ready("demo", ns)
    leader, replica = other(ns)
    fence(ns, replica)
    before = pgdata(ns, replica)
    write_apart(ns, replica)
    patch("bgc", "demo", ns, {"spec": {"fencedInstances": []}})
    wait("the replica to say so", lambda: instance(replica, ns).get("reason") == "HistoryForked", 240)
    superuser_sql("demo", ns, "CREATE TABLE much AS SELECT n, repeat('x', 100) AS t FROM generate_series(1, 300000) n", leader)
    c = wait("the cluster to say so", lambda: (lambda c: c if c.get("reason") == "HistoryForked" else None)(condition("demo", ns, "Ready")))
    assert c["status"] == "False" and replica in c["message"], c
    wait("it to take no reads", lambda: reads_from(ns) == set())
    time.sleep(15)
    assert instance(replica, ns)["reason"] == "HistoryForked" and primary("demo", ns) == leader
    assert pgdata(ns, replica) == before and reinits(replica, ns) is None, "what may be the only copy is left alone"
    assert superuser_sql("demo", ns, "SELECT count(*) FROM apart", replica) == "100000"
    assert len(events(ns, "HistoryForked")) == 1
    run("reinit", "reinit", ns, reinit={"instance": replica})
    wait_ready("demo", ns)
    assert instance(replica, ns)["state"] == "Streaming" and "reason" not in instance(replica, ns)
    wait("it to have the primary's rows", lambda: superuser_sql("demo", ns, "SELECT count(*) FROM much", replica) == "300000")
    wait("it to take reads", lambda: reads_from(ns) == {replica})
