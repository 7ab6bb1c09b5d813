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
    ("size-tiny", lambda: bgcluster(storage={"size": "1m"}), "must be a quantity from 128Mi"),
    ("size-huge", lambda: bgcluster(storage={"size": "99999999999Ei"}), "must be a quantity from 128Mi"),
    ("fenced-no-ordinal", lambda: bgcluster(fencedInstances=["demo-0-0"]), "object\": spec.fencedInstances must name instances that there are"),
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

CLEAR = "DROP\x1b[2K"  # what a terminal would obey
BAD_DBOPS = [
    ("vacuum-database", "vacuum", {"vacuum": {"databases": ["app", CLEAR]}}, "spec.vacuum.databases[1]"),
    ("vacuum-table", "vacuum", {"vacuum": {"tables": ["public.a\nb"]}}, "spec.vacuum.tables[0]"),
    ("vacuum-c1-control", "vacuum", {"vacuum": {"tables": ["a\u009bb"]}}, "spec.vacuum.tables[0]"),
    ("analyze-database", "analyze", {"analyze": {"databases": [CLEAR]}}, "spec.analyze.databases[0]"),
    ("analyze-table", "analyze", {"analyze": {"tables": [CLEAR]}}, "spec.analyze.tables[0]"),
    ("reindex-database", "reindex", {"reindex": {"databases": [CLEAR]}}, "spec.reindex.databases[0]"),
    ("reindex-table", "reindex", {"reindex": {"tables": [CLEAR]}}, "spec.reindex.tables[0]"),
    ("repack-database", "repack", {"repack": {"databases": [CLEAR]}}, "spec.repack.databases[0]"),
    ("repack-table", "repack", {"repack": {"tables": [CLEAR]}}, "spec.repack.tables[0]"),
    ("sql-database", "sql", {"sql": {"database": CLEAR, "script": {"configMap": "m", "key": "k"}}}, "spec.sql.database"),
    ("sql-map", "sql", {"sql": {"script": {"configMap": "a..b", "key": "k"}}}, "spec.sql.script.configMap"),
    ("sql-key", "sql", {"sql": {"script": {"configMap": "m", "key": "k\t"}}}, "spec.sql.script.key"),
    ("benchmark-map", "benchmark", {"benchmark": {"mode": "custom", "script": {"configMap": "M", "key": "k"}}},
     "spec.benchmark.script.configMap"),
    ("switchover-candidate", "switchover", {"switchover": {"candidate": "demo-1\n"}}, "spec.switchover.candidate"),
    ("failover-candidate", "failover", {"failover": {"systemIdentifier": "1", "candidate": "demo-\x00"}}, "spec.failover.candidate"),
    ("failover-system", "failover", {"failover": {"systemIdentifier": "1\n"}}, "spec.failover.systemIdentifier"),
    ("reinit-instance", "reinit", {"reinit": {"instance": "demo-1\t"}}, "spec.reinit.instance"),
    ("cron", "vacuum", {"schedule": {"cron": "* * * *\t*"}}, "spec.schedule.cron"),
    ("time-zone", "vacuum", {"schedule": {"cron": "* * * * *", "timeZone": "Europe/\nBerlin"}}, "spec.schedule.timeZone"),
]


def drop(obj, field):
    del obj["spec"][field]
    return obj


@pytest.mark.parametrize("make, says", [pytest.param(m, s, id=i) for i, m, s in BAD])
def test_refused_with_the_fields_name(ns_shared, make, says):
    message = refused(make(), ns_shared)
    assert says in message, message


@pytest.mark.parametrize("op, more, says", [pytest.param(o, m, s, id=i) for i, o, m, s in BAD_DBOPS])
def test_dbops_refused_with_the_fields_name(ns_shared, op, more, says):
    message = refused({"apiVersion": "bestgres.io/v1", "kind": "BGDbOps", "metadata": {"name": "bad"},
                       "spec": {"cluster": "demo", "op": op, **more}}, ns_shared)
    assert says + ":" in message, message


def test_names_of_every_script_are_taken(ns_shared):
    tables = ["public.Bestellungen 2026", "öffentlich.straße", "\"q\".t"]
    apply({"apiVersion": "bestgres.io/v1", "kind": "BGDbOps", "metadata": {"name": "names"},
           "spec": {"cluster": "nobody", "op": "vacuum", "vacuum": {"databases": ["größe"], "tables": tables}}}, ns_shared)
    assert get("bgdo", "names", ns_shared)["spec"]["vacuum"]["tables"] == tables


def test_bootstrap_is_immutable(ns_shared):
    apply(bgcluster("fixed", bootstrap={"database": "one"}), ns_shared)
    with pytest.raises(KubectlError, match="bootstrap"):
        patch("bgc", "fixed", ns_shared, {"spec": {"bootstrap": {"database": "two"}}})
    assert get("bgc", "fixed", ns_shared)["spec"]["bootstrap"]["database"] == "one"


def test_storage_does_not_shrink(ns_shared):
    apply(bgcluster("shrink", storage={"size": "2Gi"}), ns_shared)
    with pytest.raises(KubectlError, match="size"):
        patch("bgc", "shrink", ns_shared, {"spec": {"storage": {"size": "1Gi"}}})
