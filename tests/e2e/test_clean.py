"""The tests' own promise to each other: whatever a failed one leaves, the next one finds an empty namespace."""
from clean import clean, evidence, leftovers
from cluster import apply, bgcluster, condition, delete, get, kubectl, patch, wait, wait_ready


def test_whatever_is_left_goes(ns):
    apply(bgcluster(instances=2, deletionProtection=True), ns)
    wait_ready("demo", ns)
    patch("bgc", "demo", ns, {"spec": {"fencedInstances": ["demo-1"]}})
    wait("it to stop", lambda: get("bgi", "demo-1", ns)["status"]["state"] == "Stopped")
    kubectl("-n", ns, "annotate", "bgc", "demo", "bestgres.io/paused=true")
    wait("it to be paused", lambda: condition("demo", ns, "Paused").get("status") == "True")
    delete("bgc", "demo", ns)
    patch("pod", "demo-0", ns, {"metadata": {"finalizers": ["e2e.bestgres.io/look"]}})
    apply(bgcluster("other", hibernated=True), ns)
    apply([{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "foreign"}}, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "foreign"}}], ns)
    text = evidence(ns)
    for seen in ("configmap demo-leader", "demo-1", "Paused", "event=", '"members"'):
        assert seen in text, seen
    clean(ns)
    assert leftovers(ns) == [] and get("events", ns=ns) == []
    apply(bgcluster(), ns)
    wait_ready("demo", ns)
