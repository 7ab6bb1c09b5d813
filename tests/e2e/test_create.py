"""A BGCluster becomes a replicated PostgreSQL."""
import json
import subprocess

import psycopg2
import pytest

from cluster import ENV, KUBECTL, apply, bgcluster, condition, get, kubectl, patch, primary, secret, sql, superuser_sql, wait, wait_ready


def test_three_instances_replicate(ns):
    apply(bgcluster(instances=3), ns)
    wait_ready("demo", ns)
    obj = get("bgc", "demo", ns)
    assert obj["status"]["readyInstances"] == 3
    assert obj["status"]["primary"] == primary("demo", ns)
    for c in obj["status"]["conditions"]:
        assert c["reason"] and c["lastTransitionTime"], c
    sql("demo", ns, "CREATE TABLE t AS SELECT generate_series(1, 1000) AS n")
    wait("the rows on a replica", lambda: sql("demo", ns, "SELECT count(*), pg_is_in_recovery() FROM t", service="ro") == [(1000, True)], 10)
    instances = get("bgi", ns=ns)
    assert sorted(i["status"]["role"] for i in instances) == ["Primary", "Replica", "Replica"]
    uids = {p["metadata"]["uid"] for p in get("pods", ns=ns, selector="bestgres.io/cluster=demo")}
    assert {i["status"]["podUID"] for i in instances} == uids
    assert len({i["status"]["systemIdentifier"] for i in instances}) == 1


def test_printer_columns_and_explain(ns):
    apply(bgcluster(), ns)
    wait_ready("demo", ns)
    out = kubectl("get", "bgc,bgi", "-n", ns)
    assert "demo-0" in out and "Primary" in out and "Ready" in out
    assert "instances" in kubectl("explain", "bgc.spec")


def test_application_credentials_and_owner(ns):
    apply(bgcluster(bootstrap={"database": "shop", "owner": "shop-keeper"}), ns)
    wait_ready("demo", ns)
    app = secret("demo-app", ns)
    assert (app["username"], app["dbname"], app["port"]) == ("shop-keeper", "shop", "5432")
    assert app["host"] == "demo-rw" or app["host"].startswith("demo-rw.")
    uri = app["uri"].replace(app["host"], get("service", "demo-rw", ns)["spec"]["clusterIP"])
    conn = wait("the node to know the Service's endpoints", lambda: psycopg2.connect(uri), 5)
    cur = conn.cursor()
    cur.execute("SELECT current_user, (SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()),"
                " (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)")
    assert cur.fetchone() == ("shop-keeper", "shop-keeper", False)


def test_no_password_no_entry(ns):
    apply(bgcluster(), ns)
    wait_ready("demo", ns)
    sql("demo", ns, "SELECT 1")  # the Service answers
    with pytest.raises(psycopg2.OperationalError, match="password|authentication|rejected|pg_hba"):
        psycopg2.connect(host=get("service", "demo-rw", ns)["spec"]["clusterIP"], user="postgres", password="wrong", dbname="postgres",
                         connect_timeout=30)
    # the local socket asks for a password as well
    p = subprocess.run([KUBECTL, "-n", ns, "exec", "demo-0", "--", "psql", "-w", "-h", "/run/postgresql", "-U", "postgres", "-c", "SELECT 1"],
                       env=ENV, capture_output=True, text=True)
    assert p.returncode != 0 and "password" in p.stderr


def test_post_init_sql_runs_once_in_one_transaction(ns):
    apply(bgcluster(bootstrap={"postInitSQL": ["CREATE TABLE once (n int)", "INSERT INTO once VALUES (1)"]}), ns)
    wait_ready("demo", ns)
    uid = get("pod", "demo-0", ns)["metadata"]["uid"]
    kubectl("delete", "pod", "demo-0", "-n", ns, "--wait=false")
    wait("a new pod to report", lambda: get("bgi", "demo-0", ns)["status"].get("podUID") not in (None, uid), 60)
    wait_ready("demo", ns)
    assert superuser_sql("demo", ns, "SELECT count(*) FROM once") == "1"


def test_post_init_sql_that_fails_is_a_condition(ns):
    apply(bgcluster(bootstrap={"postInitSQL": ["CREATE TABLE a (n int)", "SELECT no_such_function()"]}), ns)
    c = wait("the reason", lambda: (lambda c: c if c.get("reason") == "BootstrapSQLFailed" else None)(condition("demo", ns, "Ready")), 90)
    assert c["status"] == "False" and "no_such_function" in c["message"]
    assert superuser_sql("demo", ns, "SELECT count(*) FROM pg_tables WHERE tablename = 'a'") == "0"


def test_parameters_reload_and_refusal(ns):
    apply(bgcluster(postgres={"parameters": {"work_mem": "5MB", "max_connections": 77}}), ns)
    wait_ready("demo", ns)
    assert sql("demo", ns, "SHOW max_connections") == [("77",)]
    patch("bgc", "demo", ns, {"spec": {"postgres": {"parameters": {"work_mem": "7MB"}}}})
    wait("the reload", lambda: sql("demo", ns, "SHOW work_mem") == [("7MB",)], 30)
    # a value that PostgreSQL refuses: said with the parameter's name, and the last good configuration stays
    patch("bgc", "demo", ns, {"spec": {"postgres": {"parameters": {"work_mem": "seven"}}}})
    c = wait("the refusal", lambda: (lambda c: c if c.get("reason") == "ParameterRefused" else None)(condition("demo", ns, "ConfigurationApplied")), 30)
    assert c["status"] == "False" and "work_mem" in c["message"]
    assert sql("demo", ns, "SHOW work_mem") == [("7MB",)]
    # dropped: back to the default
    patch("bgc", "demo", ns, {"spec": {"postgres": {"parameters": {"work_mem": None}}}})
    wait("the default", lambda: sql("demo", ns, "SHOW work_mem") == [("4MB",)], 30)
    wait("it is applied", lambda: condition("demo", ns, "ConfigurationApplied").get("status") == "True", 60)


def test_full_example_is_accepted_and_examples_are_valid(ns):
    from cluster import ROOT
    for path in sorted((ROOT / "deploy/examples").glob("*.yaml")):
        kubectl("apply", "-n", ns, "--dry-run=server", "-f", str(path))


def test_environment_reaches_patroni_and_owned_names_do_not(ns):
    apply(bgcluster(env=[{"name": "PATRONI_LOG_LEVEL", "value": "DEBUG"}]), ns)
    wait_ready("demo", ns)
    assert "DEBUG:" in kubectl("logs", "demo-0", "-n", ns, "-c", "postgres")


def test_synchronous_modes_reach_patroni(ns):
    apply(bgcluster(instances=2, patroni={"synchronousMode": "quorum"}), ns)
    wait_ready("demo", ns)
    wait("a synchronous standby", lambda: superuser_sql(
        "demo", ns, "SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')") == "1", 30)
    patch("bgc", "demo", ns, {"spec": {"patroni": {"synchronousMode": "off"}}})
    wait("no synchronous standby", lambda: superuser_sql("demo", ns, "SHOW synchronous_standby_names") == "", 30)


def test_idle_cluster_writes_nothing(ns):
    """Level-triggered does not mean busy: once Ready, neither operator nor agent changes anything."""
    import time
    from cluster import audit, audit_position
    apply(bgcluster(instances=2), ns)
    wait_ready("demo", ns)
    time.sleep(10)
    start = audit_position()
    time.sleep(20)  # four loops of Patroni, and of the agent that asks it
    records, _ = audit(start)
    ours = [r for r in records if r["verb"] in ("create", "update", "patch", "delete") and r.get("userAgent", "").startswith("bestgres-")
            and "serviceaccounts" != r["objectRef"].get("resource") and r["objectRef"].get("namespace") == ns]
    assert not ours, json.dumps(ours[:3], indent=1)
