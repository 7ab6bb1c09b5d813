"""BGInstance.spec.task and spec.operation, as the operator would write them: what PostgreSQL's programs do in the pod, what they
leave, and what is said when somebody is killed in the middle."""
import json
import re
import signal
import time
import uuid

import pytest

from cluster import (apply, bgcluster, connect, get, kill, kubectl, patch, pod_pids, pod_process, primary, secret, sql, superuser_sql, wait,
                     wait_ready)

HOSTILE = 'a"; drop table x; --'
INSTANCE = "demo-0"


@pytest.fixture(scope="module")
def shop(ns_module):
    """One instance with a table that has something to vacuum, in two databases, one of them with a name that bites."""
    ns = ns_module
    apply(bgcluster(postgres={"parameters": {"autovacuum": "off"}}), ns)
    wait_ready("demo", ns)
    psql(ns, "postgres", 'CREATE DATABASE "' + HOSTILE.replace('"', '""') + '"')
    for db in ("app", HOSTILE):
        psql(ns, db, "CREATE TABLE x (id int PRIMARY KEY, t text); INSERT INTO x SELECT g, repeat('x', 200) FROM generate_series(1, 20000) g; "
                     "DELETE FROM x WHERE id % 2 = 0")
    return ns


def psql(ns, database, query, pod=INSTANCE, check=True):
    """As superuser, over the pod's own socket."""
    env = [f"PGPASSWORD={secret('demo-credentials', ns)['superuser-password']}", f"PGDATABASE={database}"]
    p = kubectl("-n", ns, "exec", "-i", pod, "-c", "postgres", "--", "env", *env, "psql", "-h", "/run/postgresql", "-U", "postgres", "-AtXq",
                "-v", "ON_ERROR_STOP=1", "-f", "-", input=query, check=False)
    assert p.returncode == 0 or not check, p.stderr
    return p.stdout.strip()


def tell(ns, kind, field="task", id=None, instance=INSTANCE, **spec):
    task = {"id": id or str(uuid.uuid4()), "kind": kind, "podUID": get("pod", instance, ns)["metadata"]["uid"], **spec}
    kubectl("patch", "bgi", instance, "-n", ns, "--type", "json", "-p", json.dumps([{"op": "add", "path": f"/spec/{field}", "value": task}]))
    return task["id"]


def seen(ns, id, field="task", instance=INSTANCE, attempt=1):
    s = get("bgi", instance, ns).get("status", {}).get(field, {})
    return s if s.get("id") == id and s.get("attempt", attempt) == attempt else {}


def ended(ns, id, seconds=120, attempt=1, **more):
    done = lambda: (lambda s: s.get("phase") not in (None, "Running") and s)(seen(ns, id, attempt=attempt, **more))
    return wait(f"task {id} to end", done, seconds)


def run(ns, kind, seconds=120, **spec):
    return ended(ns, tell(ns, kind, **spec), seconds)


def works(ns, kind, **spec):
    s = run(ns, kind, **spec)
    assert s["phase"] == "Succeeded", s
    return s


def fails(ns, kind, text, **spec):
    s = run(ns, kind, **spec)
    assert s["phase"] == "Failed" and text in s["message"], s
    return s


def script(ns, text, name="script", key="sql"):
    kubectl("delete", "configmap", name, "-n", ns, check=False)
    apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {key: text}}, ns)
    return {"scriptConfigMap": name, "scriptKey": key}


def backends(ns, id):
    return int(psql(ns, "postgres", f"SELECT count(*) FROM pg_stat_activity WHERE application_name = 'bestgres/{id}'"))


def test_checkpoint(shop):
    before = psql(shop, "postgres", "SELECT checkpoint_time FROM pg_control_checkpoint()")
    time.sleep(1.1)
    s = works(shop, "Checkpoint")
    assert s["percent"] == 100 and psql(shop, "postgres", "SELECT checkpoint_time FROM pg_control_checkpoint()") != before


def test_vacuum_removes_rows_and_says_how_many(shop):
    s = works(shop, "Vacuum", databases=["app"], tables=["public.x"], analyze=True)
    assert s["tuplesRemoved"] == 10000 and s["sizeBefore"] > 0, s
    assert psql(shop, "app", "SELECT last_vacuum IS NOT NULL AND last_analyze IS NOT NULL FROM pg_stat_user_tables WHERE relname = 'x'") == "t"


def test_vacuum_full_everywhere_shrinks(shop):
    s = works(shop, "Vacuum", full=True)
    assert s["sizeAfter"] < s["sizeBefore"] and s["pagesRemoved"] > 0, s
    assert " of " in s["step"], s
    for db in ("app", HOSTILE):
        assert psql(shop, db, "SELECT count(*) FROM x") == "10000"


def test_vacuum_options(shop):
    works(shop, "Vacuum", databases=[HOSTILE], tables=["x"], freeze=True, disablePageSkipping=True)
    assert int(psql(shop, HOSTILE, "SELECT age(relfrozenxid) FROM pg_class WHERE relname = 'x'")) < 100


def test_analyze(shop):
    works(shop, "Analyze", databases=[HOSTILE])
    assert psql(shop, HOSTILE, "SELECT count(*) > 0 FROM pg_stats WHERE tablename = 'x'") == "t"


def test_freeze_everywhere_makes_the_age_go_down(shop):
    """Catalogs and template1 count as any table and database: what nothing freezes leads to a wraparound."""
    ages = lambda: dict(line.rsplit("|", 1) for line in psql(
        shop, "postgres", "SELECT datname, age(datfrozenxid) FROM pg_database WHERE datallowconn").splitlines())
    psql(shop, "postgres", "CREATE TABLE ids (i int)")
    psql(shop, "postgres", "INSERT INTO ids VALUES (1);\n" * 300)
    before = ages()
    assert all(int(age) > 300 for age in before.values()), before
    works(shop, "Vacuum", freeze=True)
    after = ages()
    assert "template1" in after and all(int(age) < 300 for age in after.values()), (before, after)
    psql(shop, "postgres", "DROP TABLE ids")


def test_many_small_tables_are_done_together(shop):
    psql(shop, "app", "CREATE SCHEMA many; DO $$BEGIN FOR i IN 1..600 LOOP EXECUTE format('CREATE TABLE many.t%s (i int)', i); END LOOP; END$$; "
                      "ALTER DATABASE app SET default_transaction_read_only = on; ALTER DATABASE app SET role = app")
    s = works(shop, "Analyze", databases=["app"])
    first, last, of = map(int, re.search(r"(\d+) to (\d+) of (\d+)$", s["step"]).groups())
    assert last == of > 600 and last > first + 10, s
    assert psql(shop, "app", "SELECT count(*) FROM pg_stat_all_tables WHERE schemaname = 'many' AND last_analyze IS NOT NULL") == "600"
    psql(shop, "postgres", "ALTER DATABASE app RESET ALL")
    psql(shop, "app", "DROP SCHEMA many CASCADE")


def test_names_that_bite(shop):
    """As database, schema, table and index; each is an identifier, and nothing else."""
    q = '"' + HOSTILE.replace('"', '""') + '"'
    nasty = "it''s %I \\ $$ :x E''"
    psql(shop, HOSTILE, f"DROP SCHEMA IF EXISTS {q} CASCADE; CREATE SCHEMA {q}; CREATE TABLE {q}.{q} (i int PRIMARY KEY); "
                        f"CREATE TABLE {q}.\"{nasty}\" (i int PRIMARY KEY); CREATE INDEX \"{nasty} i\" ON {q}.{q} (i)")
    for kind, more in (("Vacuum", {"full": True}), ("Analyze", {}), ("Reindex", {})):
        works(shop, kind, databases=[HOSTILE], tables=[f"{HOSTILE}.{HOSTILE}", f"{HOSTILE}.{nasty}", "x"], **more)
    works(shop, "Reindex", databases=[HOSTILE], concurrently=False)
    assert psql(shop, HOSTILE, "SELECT count(*) FROM x") == "10000"


def test_what_does_not_exist_is_named_before_anything_is_done(shop):
    psql(shop, "app", "UPDATE x SET t = 'y' WHERE id < 100")
    fails(shop, "Vacuum", 'database "nowhere" does not exist', databases=["app", "nowhere"], tables=["x"])
    s = fails(shop, "Vacuum", 'table "public.gone" does not exist in database "app"', databases=["app"], tables=["x", "public.gone"])
    assert "tuplesRemoved" not in s
    fails(shop, "Reindex", 'table "pg_nothing.at.all" does not exist in any', tables=["pg_nothing.at.all"])
    fails(shop, "Vacuum", 'database "template0" takes no connections', databases=["template0"])
    fails(shop, "Analyze", 'relation "pg_catalog.pg_roles" is a view', databases=["app"], tables=["pg_catalog.pg_roles"])


def test_reindex(shop):
    before = psql(shop, "app", "SELECT pg_relation_filenode('x_pkey')")
    works(shop, "Reindex", databases=["app"], tables=["x"])
    assert psql(shop, "app", "SELECT pg_relation_filenode('x_pkey')") != before


def test_reindex_of_invalid_indexes_only(shop):
    psql(shop, "app", "CREATE INDEX bad ON x (t); UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'bad'::regclass")
    before = psql(shop, "app", "SELECT pg_relation_filenode('x_pkey')")
    s = works(shop, "Reindex", databases=["app"], onlyInvalid=True)
    assert "public.bad, 1 of 1" in s["step"], s
    assert psql(shop, "app", "SELECT indisvalid FROM pg_index WHERE indexrelid = 'bad'::regclass") == "t"
    assert psql(shop, "app", "SELECT pg_relation_filenode('x_pkey')") == before
    assert works(shop, "Reindex", databases=["app"], onlyInvalid=True)["message"] == "there was nothing to do"
    psql(shop, "app", "DROP INDEX bad")


def test_no_room_is_told_before(shop):
    """A table whose size is larger than what is free: sparse, so that it costs nothing. Its partitioned table has no file of its own."""
    psql(shop, "app", "CREATE TABLE whole (i int) PARTITION BY RANGE (i); CREATE TABLE big PARTITION OF whole FOR VALUES FROM (0) TO (9)")
    path = psql(shop, "app", "SELECT setting || '/' || pg_relation_filepath('big') FROM pg_settings WHERE name = 'data_directory'")
    grow = f"truncate -s 1G {path}; n=$(( $(stat -f -c '%a * %S' /pgdata) / 1073741824 + 2 )); for i in $(seq $n); do truncate -s 1G {path}.$i; done"
    kubectl("-n", shop, "exec", INSTANCE, "-c", "postgres", "--", "sh", "-c", grow)
    try:
        fails(shop, "Vacuum", "public.big needs about", databases=["app"], tables=["big"], full=True)
        fails(shop, "Vacuum", "public.whole needs about", databases=["app"], tables=["whole"], full=True)
    finally:
        psql(shop, "app", "DROP TABLE whole")


def test_script_as_owner_can_not_become_more(shop):
    s = script(shop, "CREATE TABLE made AS SELECT current_user AS u, session_user AS s;\n")
    works(shop, "SQL", **s)
    assert sql("demo", shop, "SELECT u, s FROM made") == [("app", "app")]
    for text, says in (("RESET ROLE; SET SESSION AUTHORIZATION postgres;", "permission denied"),
                       ("SET ROLE postgres;", "permission denied"),
                       ("COPY made TO PROGRAM 'true';", "permission denied"),
                       ("SELECT pg_read_file('/run/bestgres/task.pass');", "permission denied")):
        fails(shop, "SQL", says, **script(shop, text))


@pytest.mark.parametrize("text", ["\\! touch /tmp/pwned\n", "\\c postgres postgres\n", "\\copy made to program 'touch /tmp/pwned'\n",
                                  "SELECT 1 \\g |touch /tmp/pwned\n", "\\o |touch /tmp/pwned\nSELECT 1;\n", "\\i /etc/passwd\n",
                                  "SELECT 'touch /tmp/pwned' \\gexec\n", "\\unrestrict\n\\! touch /tmp/pwned\n", "\\setenv PAGER x\n",
                                  "\\unrestrict probe\n\\! touch /tmp/pwned\n", "SELECT 1; \\! touch /tmp/pwned\n"])
def test_meta_commands_are_shut(shop, text):
    s = run(shop, "SQL", **script(shop, text))
    assert s["phase"] == "Failed", s
    s = run(shop, "SQL", superuser=True, **script(shop, text))
    assert s["phase"] == "Failed", s
    assert kubectl("-n", shop, "exec", INSTANCE, "-c", "postgres", "--", "ls", "/tmp/pwned", check=False).returncode != 0


def test_script_superuser_database_and_transaction(shop):
    s = script(shop, "CREATE TABLE public.super AS SELECT current_user AS u, current_database() AS d, current_setting('search_path') AS p;\n")
    works(shop, "SQL", superuser=True, database=HOSTILE, **s)
    assert psql(shop, HOSTILE, "SELECT u || ' ' || d || ' ' || p FROM super") == f"postgres {HOSTILE} pg_catalog", "whatever the database's owner sets"
    text = "CREATE TABLE half (i int);\nSELECT 'a string with \\ in it';\nSELECT 1/0;\n"
    s = fails(shop, "SQL", "division by zero", singleTransaction=True, **script(shop, text))
    assert "<stdin>:3:" in s["output"], s
    assert psql(shop, "app", "SELECT to_regclass('half') IS NULL") == "t"
    fails(shop, "SQL", "division by zero", **script(shop, text))
    assert psql(shop, "app", "SELECT to_regclass('half') IS NULL") == "f"


def test_one_transaction_that_a_script_ends(shop):
    rows = lambda: psql(shop, "app", "SELECT count(*) FROM ends")
    psql(shop, "app", "CREATE TABLE ends (i int); ALTER TABLE ends OWNER TO app")
    one = {"singleTransaction": True}
    fails(shop, "SQL", "the script ended its transaction itself", **one, **script(shop, "INSERT INTO ends VALUES (1); ROLLBACK;\n"))
    fails(shop, "SQL", "the script ended its transaction itself", **one, **script(shop, "ROLLBACK; BEGIN; INSERT INTO ends VALUES (1);\n"))
    assert rows() == "0"
    fails(shop, "SQL", "part of it may stay", **one, **script(shop, "INSERT INTO ends VALUES (1);\nCOMMIT;\nSELECT 1/0;\n"))
    assert rows() == "1"
    text = "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE;\nINSERT INTO ends VALUES (2);\nSAVEPOINT a;\nDELETE FROM ends;\nROLLBACK TO a;\n"
    works(shop, "SQL", **one, **script(shop, text))
    assert rows() == "2"


def test_script_with_copied_data_and_no_secret_in_what_it_says(shop):
    works(shop, "SQL", **script(shop, "CREATE TABLE copied (a text);\nCOPY copied FROM stdin;\none\ntwo\n\\.\nSELECT count(*) FROM copied;\n"))
    assert psql(shop, "app", "SELECT count(*) FROM copied") == "2"
    s = run(shop, "SQL", **script(shop, "ALTER ROLE app PASSWORD 'geheim' VALID UNTILL 'x';\n"))
    assert s["phase"] == "Failed" and "syntax error" in s["message"] and "geheim" not in json.dumps(s)
    s = run(shop, "SQL", **script(shop, "ALTER ROLE app PASSWORD geheim;\n"))
    assert s["phase"] == "Failed" and 'at or near "..." at character' in s["message"] and "geheim" not in json.dumps(s)
    s = run(shop, "SQL", **script(shop, "DO $$BEGIN RAISE EXCEPTION 'the database system is mine'; END$$;\n"))
    assert s["phase"] == "Failed" and not s["message"].startswith("interrupted"), s


def test_script_that_is_not_there_or_too_much(shop):
    fails(shop, "SQL", "ConfigMap nothing does not exist", scriptConfigMap="nothing", scriptKey="sql")
    fails(shop, "SQL", "has no key other", **{**script(shop, "SELECT 1"), "scriptKey": "other"})
    fails(shop, "SQL", "names no ConfigMap")
    fails(shop, "SQL", "empty", **script(shop, ""))
    fails(shop, "SQL", "NUL", **script(shop, "SELECT 1;\0"))
    big = "-- " + "x" * 1000 + "\n"
    p = kubectl("create", "configmap", "big", "-n", shop, "--dry-run=client", "-o", "json", "--from-literal", "sql=1")
    o = json.loads(p)
    o["data"]["sql"] = big * 1040 + "CREATE TABLE at_the_end (i int);\n"
    kubectl("create", "-f", "-", "-n", shop, input=json.dumps(o))
    works(shop, "SQL", scriptConfigMap="big", scriptKey="sql")
    assert psql(shop, "app", "SELECT to_regclass('at_the_end') IS NOT NULL") == "t"


def test_benchmark(shop):
    s = works(shop, "Benchmark", scale=1, durationSeconds=6, clients=2, threads=2)
    for key in ("tps", "latencyAvg", "latencyStddev", "latencyP50", "latencyP95", "latencyP99"):
        assert float(s[key]) > 0, s
    assert float(s["latencyP50"]) <= float(s["latencyP95"]) <= float(s["latencyP99"])
    assert works(shop, "Benchmark", durationSeconds=2, mode="select-only")["phase"] == "Succeeded"
    no_benchmark_left(shop)


def no_benchmark_left(ns):
    assert psql(ns, "postgres", "SELECT count(*) FROM pg_database WHERE datname LIKE 'bestgres_benchmark%'") == "0"
    assert "bestgres-benchmark" not in kubectl("-n", ns, "exec", INSTANCE, "-c", "postgres", "--", "ls", "/tmp")


def test_benchmark_with_a_script(shop):
    good = script(shop, "\\set aid random(1, 1000)\nSELECT abalance FROM pgbench_accounts WHERE aid = :aid;\n")
    assert float(works(shop, "Benchmark", durationSeconds=2, mode="custom", **good)["tps"]) > 0
    for text in ("\\shell touch /tmp/pwned\n", "SELECT 1; \\setshell x touch /tmp/pwned\n", "\\SHELL touch /tmp/pwned\n"):
        fails(shop, "Benchmark", "meta-commands", mode="custom", **script(shop, text))
    fails(shop, "Benchmark", "permission denied", durationSeconds=2, mode="custom", **script(shop, "COPY (SELECT 1) TO PROGRAM 'true';\n"))
    psql(shop, "postgres", "ALTER ROLE app SET search_path = shop")
    s = run(shop, "Benchmark", durationSeconds=2, mode="custom", **script(shop, "ALTER ROLE app PASSWORD 'geheim' geheim;\n"))
    assert s["phase"] == "Failed" and "unrecognized role option" in s["message"] and "geheim" not in json.dumps(s), s
    works(shop, "Benchmark", durationSeconds=2, mode="select-only")
    psql(shop, "postgres", "ALTER ROLE app RESET search_path")
    no_benchmark_left(shop)


def test_cancel(shop):
    id = tell(shop, "SQL", **script(shop, "SELECT pg_sleep(600);\n"))
    wait("the script to run", lambda: backends(shop, id) == 1, 60)
    assert seen(shop, id)["phase"] == "Running"
    patch("bgi", INSTANCE, shop, {"spec": {"task": {"cancel": True}}})
    assert ended(shop, id, 30)["phase"] == "Cancelled"
    assert backends(shop, id) == 0


@pytest.mark.parametrize("superuser", [False, True])
def test_cancelled_script_that_calls_itself_something_else(shop, superuser):
    at_work = lambda: int(psql(shop, "app", "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'mine'"))
    text = "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE;\nSET application_name = 'mine';\nSET client_connection_check_interval = 0;\nSELECT pg_sleep(600);\n"
    id = tell(shop, "SQL", superuser=superuser, singleTransaction=True, **script(shop, text))
    wait("the script to run", lambda: at_work() == 1, 60)
    patch("bgi", INSTANCE, shop, {"spec": {"task": {"cancel": True}}})
    assert ended(shop, id, 30)["phase"] == "Cancelled"
    assert at_work() == 0


def test_cancelled_benchmark_leaves_nothing(shop):
    id = tell(shop, "Benchmark", durationSeconds=600)
    wait("pgbench to run", lambda: "for 600 s" in seen(shop, id).get("step", ""), 120)
    patch("bgi", INSTANCE, shop, {"spec": {"task": {"cancel": True}}})
    assert ended(shop, id, 40)["phase"] == "Cancelled"
    no_benchmark_left(shop)


def test_timeout(shop):
    s = fails(shop, "SQL", "timeout of 2 s", timeoutSeconds=2, **script(shop, "SELECT pg_sleep(600);\n"))
    assert backends(shop, s["id"]) == 0


def invalid(ns):
    return int(psql(ns, "app", "SELECT count(*) FROM pg_index WHERE NOT indisvalid"))


@pytest.fixture
def blocked(shop):
    """A reindex in its middle: somebody holds a lock that it waits for."""
    wait_ready("demo", shop)
    psql(shop, "app", "CREATE TABLE IF NOT EXISTS hot (u text); CREATE INDEX IF NOT EXISTS hot_u ON hot (u); ALTER TABLE hot OWNER TO app")
    conn = connect("demo", shop)
    conn.autocommit = False
    conn.cursor().execute("LOCK TABLE hot IN ROW EXCLUSIVE MODE")
    id = tell(shop, "Reindex", databases=["app"], tables=["hot"])
    wait("the _ccnew index", lambda: invalid(shop) > 0, 60)
    yield shop, id, conn
    conn.close()


def test_cancelled_reindex_leaves_no_index(blocked):
    ns, id, conn = blocked
    patch("bgi", INSTANCE, ns, {"spec": {"task": {"cancel": True}}})
    wait("the reindex to be ended", lambda: backends(ns, id) == 0, 30)
    conn.close()
    s = ended(ns, id, 40)
    assert s["phase"] == "Cancelled", s
    assert invalid(ns) == 0, s


@pytest.mark.parametrize("who", ["pgctl", "agent"])
def test_killed_in_the_middle(blocked, who):
    ns, id, conn = blocked
    kill(pod_process(ns, INSTANCE, who))
    if who == "agent":  # pgctl goes on, and its new agent hears of it
        time.sleep(3)
        assert seen(ns, id)["phase"] == "Running"
        conn.close()
        assert ended(ns, id)["phase"] == "Succeeded"
        assert invalid(ns) == 0
        return
    wait("what was left of it to be ended", lambda: backends(ns, id) == 0, 60)
    conn.close()
    s = ended(ns, id)
    assert s["phase"] == "Failed" and s["message"].startswith("interrupted: "), s
    id = tell(ns, "Reindex", id=id, attempt=2, databases=["app"], tables=["hot"])
    assert ended(ns, id, attempt=2)["phase"] == "Succeeded"
    assert invalid(ns) == 0


def test_both_killed(blocked):
    ns, id, conn = blocked
    conn.close()
    sleeping = tell(ns, "SQL", **script(ns, "SELECT pg_sleep(600);\n"))
    wait("the script to run", lambda: backends(ns, sleeping) == 1, 60)
    for who in ("agent", "pgctl"):
        kill(pod_process(ns, INSTANCE, who))
    s = ended(ns, sleeping)
    assert s["phase"] == "Failed" and s["message"].startswith("interrupted: "), s
    assert backends(ns, sleeping) == 0


def test_tasks_beside_one_another(blocked):
    """A reindex that waits for a lock holds up nobody."""
    ns, id, conn = blocked
    assert get("bgi", INSTANCE, ns)["status"]["taskSlots"] == 3
    for field, kind, spec in (("secondTask", "Checkpoint", {}), ("thirdTask", "Analyze", {"databases": ["app"], "tables": ["x"]}),
                              ("secondTask", "SQL", script(ns, "CREATE TABLE IF NOT EXISTS beside (i int);\n")),
                              ("thirdTask", "Benchmark", {"durationSeconds": 2})):
        s = ended(ns, tell(ns, kind, field, **spec), field=field)
        assert s["phase"] == "Succeeded", s
        assert seen(ns, id)["phase"] == "Running"
    conn.close()
    assert ended(ns, id)["phase"] == "Succeeded"
    assert invalid(ns) == 0
    no_benchmark_left(ns)


@pytest.mark.parametrize("who", ["pgctl", "agent"])
def test_killed_with_two_at_work(blocked, who):
    ns, id, conn = blocked
    sleeping = tell(ns, "SQL", "secondTask", **script(ns, "SELECT pg_sleep(600);\n"))
    wait("the script to run", lambda: backends(ns, sleeping) == 1, 60)
    kill(pod_process(ns, INSTANCE, who))
    if who == "agent":
        time.sleep(3)
        assert seen(ns, id)["phase"] == "Running" and seen(ns, sleeping, "secondTask")["phase"] == "Running"
        patch("bgi", INSTANCE, ns, {"spec": {"secondTask": {"cancel": True}}})
        assert ended(ns, sleeping, 30, field="secondTask")["phase"] == "Cancelled"
        assert seen(ns, id)["phase"] == "Running"
        conn.close()
        assert ended(ns, id)["phase"] == "Succeeded"
    else:
        wait("what was left of the reindex to be ended", lambda: backends(ns, id) == 0, 60)
        conn.close()
        for s in (ended(ns, id), ended(ns, sleeping, field="secondTask")):
            assert s["phase"] == "Failed" and s["message"].startswith("interrupted: "), s
    assert backends(ns, sleeping) == 0 and invalid(ns) == 0


def test_told_in_two_slots(shop):
    """As by an operator that knows the first one only, after one that knew all: it is done once, and both say so."""
    psql(shop, "app", "CREATE TABLE once (i int); ALTER TABLE once OWNER TO app")
    holds = connect("demo", shop)
    holds.autocommit = True
    holds.cursor().execute("SELECT pg_advisory_lock(7)")
    spec = script(shop, "INSERT INTO once VALUES (1);\nSELECT pg_advisory_lock(7);\n")
    id = tell(shop, "SQL", "secondTask", **spec)
    wait("the script to wait", lambda: psql(shop, "app", "SELECT count(*) FROM once") == "1", 60)
    tell(shop, "SQL", id=id, **spec)
    wait("the first slot to say so", lambda: seen(shop, id).get("step", "").startswith("script in"), 30)
    assert backends(shop, id) == 1
    holds.close()
    for field in ("task", "secondTask"):
        assert ended(shop, id, field=field)["phase"] == "Succeeded"
    assert psql(shop, "app", "SELECT count(*) FROM once") == "1"


def test_postmaster_killed(shop):
    id = tell(shop, "SQL", **script(shop, "SELECT pg_sleep(600);\n"))
    wait("the script to run", lambda: backends(shop, id) == 1, 60)
    kill(pod_process(shop, INSTANCE, "postmaster"))
    s = ended(shop, id)
    assert s["phase"] == "Failed" and s["message"].startswith("interrupted: "), s
    wait_ready("demo", shop)


def test_cleanup_removes_what_a_run_left(shop):
    wait_ready("demo", shop)
    id = str(uuid.uuid4())
    psql(shop, "app", "CREATE INDEX x_t_ccnew ON x (t); CREATE INDEX mine ON x (t); UPDATE pg_index SET indisvalid = false WHERE indexrelid IN "
                      "('x_t_ccnew'::regclass, 'mine'::regclass)")
    psql(shop, "postgres", f"CREATE DATABASE bestgres_benchmark_{id[:8]}")
    s = works(shop, "Cleanup", id=id)
    assert psql(shop, "app", "SELECT string_agg(indexrelid::regclass::text, ',') FROM pg_index WHERE NOT indisvalid") == "mine"
    psql(shop, "app", "DROP INDEX mine")
    no_benchmark_left(shop)


def test_repack(shop):
    psql(shop, "app", "DROP EXTENSION IF EXISTS pg_repack")
    fails(shop, "Repack", "extension pg_repack is not in database", databases=["app"], tables=["x"])
    psql(shop, "app", "CREATE EXTENSION pg_repack; CREATE TABLE loose (i int); CREATE TABLE bloated (id int PRIMARY KEY, t text); "
                      "INSERT INTO bloated SELECT g, repeat('x', 500) FROM generate_series(1, 5000) g; DELETE FROM bloated WHERE id % 2 = 0")
    s = works(shop, "Repack", databases=["app"], tables=["bloated"])
    assert s["sizeAfter"] < s["sizeBefore"], s
    fails(shop, "Repack", "public.loose as it was", databases=["app"], tables=["loose"])
    psql(shop, "app", "CREATE TABLE parts (i int PRIMARY KEY) PARTITION BY RANGE (i); CREATE TABLE part PARTITION OF parts FOR VALUES FROM (0) TO (9)")
    before = psql(shop, "app", "SELECT pg_relation_filenode('part')")
    works(shop, "Repack", databases=["app"], tables=["parts"])
    assert psql(shop, "app", "SELECT pg_relation_filenode('part')") != before
    psql(shop, "app", "DROP TABLE parts")


def test_repack_of_a_database_that_is_named_as_a_connection_string(shop):
    """libpq would connect to that host, with the superuser's password, or to that other database."""
    for name in ("hostaddr=10.250.0.1", "dbname=app", "postgresql://10.250.0.1/app", "x' host='10.250.0.1"):
        psql(shop, "postgres", f'CREATE DATABASE "{name}"')
        psql(shop, name, "CREATE EXTENSION pg_repack; CREATE TABLE here (i int PRIMARY KEY)")
        before = psql(shop, name, "SELECT pg_relation_filenode('here')")
        works(shop, "Repack", databases=[name], tables=["here"])
        assert psql(shop, name, "SELECT pg_relation_filenode('here')") != before
        psql(shop, "postgres", f'DROP DATABASE "{name}"')


def repack_left(ns):
    return psql(ns, "app", "SELECT count(*) FROM pg_class WHERE relnamespace = 'repack'::regnamespace AND relkind <> 'v' UNION ALL "
                           "SELECT count(*) FROM pg_trigger WHERE tgname = 'repack_trigger'")


def test_killed_repack_leaves_nothing(shop):
    """pg_repack has made its log and trigger when it waits for the transactions that were there before."""
    psql(shop, "app", "CREATE EXTENSION IF NOT EXISTS pg_repack; CREATE TABLE IF NOT EXISTS big (id int PRIMARY KEY, t text); "
                      "INSERT INTO big SELECT g, repeat('x', 500) FROM generate_series(1, 300000) g ON CONFLICT DO NOTHING")
    id = tell(shop, "Repack", databases=["app"], tables=["big"])
    wait("its log", lambda: "1" in repack_left(shop), 60, every=0.05)
    kill(pod_process(shop, INSTANCE, "pgctl"))
    s = ended(shop, id)
    assert s["phase"] == "Failed" and s["message"].startswith("interrupted: "), s
    assert backends(shop, id) == 0 and repack_left(shop) == "0\n0"
    tell(shop, "Repack", id=id, attempt=2, databases=["app"], tables=["big"])
    assert ended(shop, id, attempt=2)["phase"] == "Succeeded"
    psql(shop, "app", "DROP TABLE big")


# --- spec.operation

def started(ns, pod=INSTANCE):
    return psql(ns, "postgres", "SELECT pg_postmaster_start_time()", pod=pod)


def operated(ns, id, seconds=120, instance=INSTANCE):
    done = lambda: (lambda s: s.get("phase") in ("Succeeded", "Failed") and s)(seen(ns, id, "operation", instance))
    return wait(f"operation {id} to end", done, seconds)


def test_reload(shop):
    before = psql(shop, "postgres", "SELECT pg_conf_load_time()")
    time.sleep(1.1)
    s = operated(shop, tell(shop, "Reload", "operation"))
    assert s["phase"] == "Succeeded", s
    wait("PostgreSQL to have loaded it", lambda: psql(shop, "postgres", "SELECT pg_conf_load_time()") != before, 30)


def test_restart_always_once(shop):
    before = started(shop)
    s = operated(shop, tell(shop, "RestartAlways", "operation"))
    assert s["phase"] == "Succeeded" and 0 < s["outageMs"] < 60000, s
    after = started(shop)
    assert after != before
    # an agent that comes after the restart finds it noted and done
    kill(pod_process(shop, INSTANCE, "agent"))
    time.sleep(5)
    assert started(shop) == after


def test_restart_always_with_the_agent_killed_in_the_middle(shop):
    wait_ready("demo", shop)
    before = started(shop)
    id = tell(shop, "RestartAlways", "operation")
    wait("it to be noted", lambda: seen(shop, id, "operation").get("phase") is not None, 30)
    kill(pod_process(shop, INSTANCE, "agent"))
    assert operated(shop, id)["phase"] == "Succeeded"
    after = started(shop)
    assert after != before
    time.sleep(3)
    assert started(shop) == after


@pytest.fixture(scope="module")
def two(shop):
    """The module's cluster with a replica."""
    patch("bgc", "demo", shop, {"spec": {"instances": 2}})
    wait_ready("demo", shop, 180)
    return shop


def other(pod):
    return "demo-1" if pod == "demo-0" else "demo-0"


def test_switchover_to_a_candidate(two):
    leader = primary("demo", two)
    s = operated(two, tell(two, "Switchover", "operation", instance=leader, candidate="demo-7"), instance=leader)
    assert s["phase"] == "Failed" and "demo-7 is no member" in s["message"], s
    s = operated(two, tell(two, "Switchover", "operation", instance=leader, candidate=other(leader)), instance=leader)
    assert s["phase"] == "Succeeded" and 0 < s["outageMs"] < 60000, s
    wait("the candidate to lead", lambda: primary("demo", two) == other(leader), 60)
    wait_ready("demo", two, 120)


def test_switchover_to_a_candidate_that_lags(two):
    leader = primary("demo", two)
    receiver = next(p for p, c in pod_pids(two, other(leader)).items() if "walreceiver" in c)
    kill(receiver, signal.SIGSTOP)
    try:
        sql("demo", two, "CREATE TABLE much AS SELECT repeat('x', 1000) FROM generate_series(1, 40000)")
        wait("the replica to lag", lambda: get("bgi", other(leader), two)["status"].get("lag") == "Large", 90)
        s = operated(two, tell(two, "Switchover", "operation", instance=leader, candidate=other(leader)), instance=leader)
    finally:
        kill(receiver, signal.SIGCONT)
    assert s["phase"] == "Failed" and "bytes behind" in s["message"], s
    assert primary("demo", two) == leader
    wait("it to have caught up", lambda: get("bgi", other(leader), two)["status"].get("lag") == "None", 90)


def test_failover(two):
    leader = primary("demo", two)
    id = tell(two, "Failover", "operation", instance=leader)
    s = operated(two, id, instance=leader)
    assert s["phase"] == "Failed" and "specific candidate" in s["message"], s
    s = operated(two, tell(two, "Failover", "operation", instance=leader, candidate=other(leader)), instance=leader)
    assert s["phase"] == "Succeeded", s
    wait("the candidate to lead", lambda: primary("demo", two) == other(leader), 60)
    wait_ready("demo", two, 120)


def test_script_on_a_replica(two):
    replica = other(primary("demo", two))
    id = tell(two, "SQL", instance=replica, **script(two, "SELECT 1 / pg_is_in_recovery()::int;\n"))
    assert ended(two, id, instance=replica)["phase"] == "Succeeded"
    id = tell(two, "SQL", instance=replica, **script(two, "CREATE TABLE no (i int);\n"))
    s = ended(two, id, instance=replica)
    assert s["phase"] == "Failed" and "read-only" in s["message"], s
