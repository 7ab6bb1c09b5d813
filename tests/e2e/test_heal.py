"""Whatever someone deletes or edits of what a BGCluster is made of comes back, and nothing is made twice."""
import pytest

from cluster import SYSTEM, apply, bgcluster, delete, get, kubectl, patch, sql, wait, wait_ready

CHILDREN = [("service", "demo-rw"), ("service", "demo-ro"), ("service", "demo-pods"), ("pdb", "demo"), ("rolebinding", "demo-instance"),
            ("role", "demo-instance"), ("bgi", "demo-0"), ("statefulset", "demo")]


def test_deleted_children_come_back(ns):
    apply(bgcluster(), ns)
    wait_ready("demo", ns)
    sql("demo", ns, "CREATE TABLE kept AS SELECT 1 AS n")
    before = {(k, n): get(k, n, ns)["metadata"]["uid"] for k, n in CHILDREN}
    for kind, name in CHILDREN:
        delete(kind, name, ns, *(["--cascade=orphan"] if kind == "statefulset" else []))
        wait(f"{kind} {name} to come back", lambda: (lambda o: o and o["metadata"]["uid"] != before[kind, name])(get(kind, name, ns)), 20)
    wait_ready("demo", ns)
    wait("the row, through the new Service", lambda: sql("demo", ns, "SELECT n FROM kept") == [(1,)], 20)


def test_deleted_service_account_comes_back(ns):
    """The tokens that its pods hold stay invalid, as Kubernetes binds them to the old one: only that the object is back is promised."""
    apply(bgcluster(), ns)
    wait_ready("demo", ns)
    uid = get("serviceaccount", "demo-instance", ns)["metadata"]["uid"]
    delete("serviceaccount", "demo-instance", ns)
    wait("it to come back", lambda: (lambda o: o and o["metadata"]["uid"] != uid)(get("serviceaccount", "demo-instance", ns)), 20)


EDITS = [
    ("service", "demo-rw", {"spec": {"selector": {"role": "replica"}}}, lambda o: o["spec"]["selector"]["role"] == "primary"),
    ("service", "demo-ro", {"metadata": {"labels": {"bestgres.io/cluster": None}}}, lambda o: o["metadata"].get("labels", {}).get("bestgres.io/cluster") == "demo"),
    ("service", "demo-pods", {"spec": {"publishNotReadyAddresses": False}}, lambda o: o["spec"].get("publishNotReadyAddresses")),
    ("pdb", "demo", {"spec": {"maxUnavailable": 3}}, lambda o: o["spec"]["maxUnavailable"] == 1),
    ("role", "demo-instance", {"rules": []}, lambda o: len(o["rules"]) > 3),
    ("rolebinding", "demo-instance", {"subjects": []}, lambda o: o.get("subjects")),
    ("statefulset", "demo", {"spec": {"replicas": 3}}, lambda o: o["spec"]["replicas"] == 1),
    ("statefulset", "demo", {"spec": {"template": {"spec": {"serviceAccountName": "default"}}}},
     lambda o: o["spec"]["template"]["spec"]["serviceAccountName"] == "demo-instance"),
    ("statefulset", "demo", {"spec": {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 5}}}},
     lambda o: o["spec"]["updateStrategy"]["type"] == "OnDelete"),
]


def test_edited_children_are_mended(ns):
    apply(bgcluster(), ns)
    wait_ready("demo", ns)
    for kind, name, edit, mended in EDITS:
        uid = get(kind, name, ns)["metadata"]["uid"]
        patch(kind, name, ns, edit)
        wait(f"{kind} {name} to be mended after {edit}", lambda: mended(get(kind, name, ns)), 20)
        assert get(kind, name, ns)["metadata"]["uid"] == uid, "mended in place"


def test_foreign_fields_are_left_alone(ns):
    apply(bgcluster(), ns)
    wait_ready("demo", ns)
    patch("service", "demo-rw", ns, {"metadata": {"annotations": {"mine": "1"}, "labels": {"mine": "1"}}})
    patch("bgc", "demo", ns, {"spec": {"services": {"readWrite": {"annotations": {"a": "b"}}}}})
    wait("the change", lambda: get("service", "demo-rw", ns)["metadata"]["annotations"].get("a") == "b", 20)
    meta = get("service", "demo-rw", ns)["metadata"]
    assert meta["annotations"]["mine"] == "1" and meta["labels"]["mine"] == "1"


@pytest.mark.alone
def test_missing_secret_is_not_made_anew(ns):
    apply(bgcluster(), ns)
    wait_ready("demo", ns)
    kept = get("secret", "demo-credentials", ns)
    kubectl("delete", "secret", "demo-credentials", "-n", ns)
    kubectl("-n", SYSTEM, "rollout", "restart", "deployment/bestgres-operator")  # looks again at once, not at its next sweep
    from cluster import condition
    wait("it is said", lambda: "CredentialsMissing" in str(get("bgc", "demo", ns)["status"]["conditions"]), 60)
    assert get("secret", "demo-credentials", ns) is None
    assert sql("demo", ns, "SELECT 1") == [(1,)], "the database goes on"
    for k in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
        kept["metadata"].pop(k, None)
    apply(kept, ns)
    wait_ready("demo", ns)


@pytest.mark.parametrize("instances", [1, 3])
def test_each_object_is_made_once(ns, instances):
    from cluster import audit, audit_position
    start = audit_position()
    apply(bgcluster(instances=instances), ns)
    wait_ready("demo", ns)
    records, _ = audit(start)
    created = [f'{r["objectRef"]["resource"]}/{r["objectRef"].get("name", "?")}' for r in records
               if r["verb"] == "create" and r["responseStatus"]["code"] == 201 and r["objectRef"].get("namespace") == ns
               and r.get("userAgent", "").startswith("bestgres-executor") and r["objectRef"]["resource"] != "events"
               and "dryRun" not in r["requestURI"]]
    assert len(created) == len(set(created)) == 11 + instances, created
