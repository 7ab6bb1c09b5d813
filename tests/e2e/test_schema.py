"""What the schema refuses: the API server's message names the field and the rule; nothing is stored."""
import pytest

from cluster import apply, bgcluster, get, patch, refused, KubectlError

BAD = [
    ("name-too-long", lambda: bgcluster("a" * 46), "45"),
    ("name-suffix-config", lambda: bgcluster("a-config"), "-config"),
    ("name-suffix-leader", lambda: bgcluster("a-leader"), "-leader"),
    ("name-suffix-failover", lambda: bgcluster("a-failover"), "-failover"),
    ("name-suffix-sync", lambda: bgcluster("a-sync"), "-sync"),
    ("name-ends-in-number", lambda: bgcluster("a-0"), "name"),
    ("name-starts-with-digit", lambda: bgcluster("0a"), "name"),
    ("instances-0", lambda: bgcluster(instances=0), "spec.instances"),
    ("instances-million", lambda: bgcluster(instances=10 ** 6), "spec.instances"),
    ("instances-text", lambda: bgcluster(instances="three"), "spec.instances"),
    ("image-with-spaces", lambda: bgcluster(image="localhost/not a name"), "spec.image"),
    ("no-image", lambda: drop(bgcluster(), "image"), "spec.image"),
    ("no-storage", lambda: drop(bgcluster(), "storage"), "spec.storage"),
    ("size-0", lambda: bgcluster(storage={"size": "0"}), "size"),
    ("size-negative", lambda: bgcluster(storage={"size": "-1Gi"}), "size"),
    ("size-nonsense", lambda: bgcluster(storage={"size": "big"}), "size"),
    ("run-as-root", lambda: bgcluster(runAsUser=0), "spec.runAsUser"),
    ("ttl-rule", lambda: bgcluster(patroni={"ttl": 20, "loopWait": 10, "retryTimeout": 10}), "ttl"),
    ("ttl-small", lambda: bgcluster(patroni={"ttl": 10, "loopWait": 1, "retryTimeout": 3}), "spec.patroni.ttl"),
    ("sync-mode", lambda: bgcluster(patroni={"synchronousMode": "maybe"}), "spec.patroni.synchronousMode"),
    ("guc-name", lambda: bgcluster(postgres={"parameters": {"Work Mem": "1MB"}}), "parameters"),
    ("guc-injection", lambda: bgcluster(postgres={"parameters": {"work_mem = '1MB'\nport": "1"}}), "parameters"),
    ("guc-port", lambda: bgcluster(postgres={"parameters": {"port": 5433}}), "port"),
    ("guc-data-directory", lambda: bgcluster(postgres={"parameters": {"data_directory": "/tmp"}}), "data_directory"),
    ("guc-sync-names", lambda: bgcluster(postgres={"parameters": {"synchronous_standby_names": "*"}}), "synchronous_standby_names"),
    ("guc-primary-conninfo", lambda: bgcluster(postgres={"parameters": {"primary_conninfo": "host=evil"}}), "primary_conninfo"),
    ("hba-newline", lambda: bgcluster(postgres={"pgHBA": ["host all all all scram-sha-256\nhost all all all trust"]}), "pgHBA"),
    ("env-patroni-scope", lambda: bgcluster(env=[{"name": "PATRONI_SCOPE", "value": "x"}]), "PATRONI_SCOPE"),
    ("env-superuser-password", lambda: bgcluster(env=[{"name": "PATRONI_SUPERUSER_PASSWORD", "value": "x"}]), "PATRONI_SUPERUSER_PASSWORD"),
    ("deletion-policy", lambda: bgcluster(deletionPolicy="Perhaps"), "spec.deletionPolicy"),
    ("unknown-field", lambda: bgcluster(instance=3), "instance"),
    ("label-of-ours", lambda: bgcluster(inheritedMetadata={"labels": {"bestgres.io/cluster": "other"}}), "inheritedMetadata"),
    ("label-of-patroni", lambda: bgcluster(inheritedMetadata={"labels": {"role": "primary"}}), "inheritedMetadata"),
    ("window-time", lambda: bgcluster(maintenanceWindows=[{"from": "24:00", "to": "05:00"}]), "maintenanceWindows[0].from"),
    ("window-day", lambda: bgcluster(maintenanceWindows=[{"from": "01:00", "to": "05:00", "days": ["Sonntag"]}]), "maintenanceWindows[0].days"),
    ("window-without-end", lambda: bgcluster(maintenanceWindows=[{"from": "01:00"}]), "maintenanceWindows[0].to"),
    ("service-type", lambda: bgcluster(services={"readWrite": {"type": "ExternalName"}}), "type"),
]


def drop(obj, field):
    del obj["spec"][field]
    return obj


@pytest.mark.parametrize("make, says", [pytest.param(m, s, id=i) for i, m, s in BAD])
def test_refused_with_the_fields_name(ns_shared, make, says):
    message = refused(make(), ns_shared)
    assert says in message, message


def test_bootstrap_is_immutable(ns_shared):
    apply(bgcluster("fixed", bootstrap={"database": "one"}), ns_shared)
    with pytest.raises(KubectlError, match="bootstrap"):
        patch("bgc", "fixed", ns_shared, {"spec": {"bootstrap": {"database": "two"}}})
    assert get("bgc", "fixed", ns_shared)["spec"]["bootstrap"]["database"] == "one"


def test_storage_does_not_shrink(ns_shared):
    apply(bgcluster("shrink", storage={"size": "2Gi"}), ns_shared)
    with pytest.raises(KubectlError, match="size"):
        patch("bgc", "shrink", ns_shared, {"spec": {"storage": {"size": "1Gi"}}})
