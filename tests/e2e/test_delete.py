"""Deletion in order: data kept or destroyed as deletionPolicy says; a deleted namespace ends by itself."""
import time

from clean import namespace_objects
from cluster import apply, bgcluster, condition, delete, get, kubectl, patch, sql, wait, wait_ready
from test_life import switch_to

DATA = [("pvc", "pgdata-demo-0"), ("secret", "demo-credentials"), ("secret", "demo-app"), ("configmap", "demo-data"), ("configmap", "demo-config")]
RUNTIME = [("statefulset", "demo"), ("service", "demo-rw"), ("service", "demo-ro"), ("service", "demo-pods"), ("pdb", "demo"), ("bgi", "demo-0"),
           ("role", "demo-instance"), ("rolebinding", "demo-instance"), ("serviceaccount", "demo-instance")]


def gone(objects, ns):
    return [o for o in objects if get(*o, ns) is not None] == []


def test_retain_keeps_data_and_a_new_cluster_continues_with_it(ns):
    apply(bgcluster(instances=2), ns)
    wait_ready("demo", ns)
    sql("demo", ns, "CREATE TABLE kept AS SELECT 42 AS n")
    before = {o: get(*o, ns)["metadata"]["uid"] for o in DATA}
    sysid = get("bgi", "demo-0", ns)["status"]["systemIdentifier"]
    delete("bgc", "demo", ns)
    wait("the runtime objects to go", lambda: gone(RUNTIME, ns) and not get("pods", ns=ns) and get("bgc", "demo", ns) is None, 90)
    assert {o: get(*o, ns)["metadata"]["uid"] for o in DATA} == before
    apply(bgcluster(instances=2), ns)
    wait_ready("demo", ns)
    assert sql("demo", ns, "SELECT n FROM kept") == [(42,)]
    assert get("bgi", "demo-0", ns)["status"]["systemIdentifier"] == sysid


def test_kept_data_of_other_names_is_left_alone(ns):
    """Not continued, and not destroyed with who asks for other names, whatever that one's policy; with its own names it goes on."""
    names = {"database": "shop", "owner": "keeper"}
    apply(bgcluster(bootstrap=names), ns)
    wait_ready("demo", ns)
    sql("demo", ns, "CREATE TABLE kept AS SELECT 42 AS n")
    before = {o: get(*o, ns)["metadata"]["uid"] for o in DATA}
    delete("bgc", "demo", ns, wait=True)
    for wrong in ({"database": "other"}, {"owner": "other"}):
        apply(bgcluster(deletionPolicy="Delete", bootstrap={**names, **wrong}), ns)
        c = wait("it to be said", lambda: (lambda c: c if c.get("reason") == "BootstrapDiffers" else None)(condition("demo", ns, "Ready")))
        assert c["status"] == "False" and '["keeper","shop"]' in c["message"] and not get("pods", ns=ns), c
        delete("bgc", "demo", ns, wait=True)
        assert {o: get(*o, ns)["metadata"]["uid"] for o in DATA} == before
    apply(bgcluster(bootstrap=names), ns)
    wait_ready("demo", ns)
    assert sql("demo", ns, "SELECT n, current_user, current_database() FROM kept") == [(42, "keeper", "shop")]


def test_fewer_instances_than_the_kept_primary_needs(ns):
    """demo-0 has old data, demo-1 led last: the next cluster is not led by what is old."""
    apply(bgcluster(instances=2), ns)
    wait_ready("demo", ns)
    switch_to(ns, "demo-1")
    wait_ready("demo", ns)
    patch("bgc", "demo", ns, {"spec": {"fencedInstances": ["demo-0"]}})
    wait("it to stop", lambda: get("bgi", "demo-0", ns)["status"]["state"] == "Stopped", 60)
    sql("demo", ns, "CREATE TABLE kept AS SELECT 42 AS n")
    delete("bgc", "demo", ns)
    wait("it to go", lambda: get("bgc", "demo", ns) is None, 90)
    assert get("configmap", "demo-data", ns)["data"]["primary"] == "demo-1"
    apply(bgcluster(instances=1), ns)
    c = wait("it says who is missing", lambda: (lambda c: c if c and c["reason"] == "LastPrimaryMissing" else None)(condition("demo", ns, "Ready")), 60)
    assert "demo-1 led last" in c["message"] and "at least 2" in c["message"]
    wait("demo-0 to be held", lambda: get("bgi", "demo-0", ns)["status"].get("state") == "Held", 60)
    time.sleep(5)
    assert get("bgi", "demo-0", ns)["status"]["state"] == "Held"
    patch("bgc", "demo", ns, {"spec": {"instances": 2}})
    wait_ready("demo", ns)
    assert sql("demo", ns, "SELECT n FROM kept") == [(42,)]
    assert "primary" not in get("configmap", "demo-data", ns).get("data", {}), "all have started: it is forgotten"


def test_delete_destroys_all_of_it(ns):
    apply(bgcluster(instances=2, deletionPolicy="Delete"), ns)
    wait_ready("demo", ns)
    sysid = get("bgi", "demo-0", ns)["status"]["systemIdentifier"]
    delete("bgc", "demo", ns)
    wait("everything to go", lambda: get("bgc", "demo", ns) is None and gone(RUNTIME + DATA + [("pvc", "pgdata-demo-1")], ns), 120)
    apply(bgcluster(instances=2), ns)
    wait_ready("demo", ns)
    assert get("bgi", "demo-0", ns)["status"]["systemIdentifier"] != sysid


def test_foreground_deletion_is_in_order_as_well(ns):
    apply(bgcluster(), ns)
    wait_ready("demo", ns)
    sql("demo", ns, "CREATE TABLE kept AS SELECT 42 AS n")
    delete("bgc", "demo", ns, "--cascade=foreground")
    wait("it to go", lambda: get("bgc", "demo", ns) is None, 90)
    assert get("pvc", "pgdata-demo-0", ns)
    apply(bgcluster(), ns)
    wait_ready("demo", ns)
    assert sql("demo", ns, "SELECT n FROM kept") == [(42,)]


def test_broken_cluster_can_be_deleted(ns):
    apply(bgcluster(image="localhost/no-such:1"), ns)
    wait("a pod", lambda: get("pod", "demo-0", ns), 30)
    delete("bgc", "demo", ns)
    wait("it to go", lambda: get("bgc", "demo", ns) is None and not get("pods", ns=ns), 60)


def test_namespace_deletion_ends(ns):
    apply(bgcluster(instances=2), ns)
    wait_ready("demo", ns)
    kubectl("delete", "namespace", ns, "--wait=false")
    wait("the namespace to end", lambda: get("namespace", ns) is None, 120)
    kubectl("apply", "-f", "-", input=__import__("yaml").safe_dump_all(namespace_objects(ns)))
    apply(bgcluster(), ns)
    wait_ready("demo", ns)
