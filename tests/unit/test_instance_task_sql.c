/* The SQL of a task: no word of a user's stands in it but as hex digits; each kind's statement. */
#include "instance/task.h"
#include "tests/unit/tap.h"

static struct task_spec s;
static struct buf out;

static void
begin(uint8_t kind)
{
	memset(&s, 0, sizeof(s));
	s.m.kind = kind;
	buf_reset(&out);
}

static bool
has(const char *text)
{
	return memmem(out.p, out.len, text, strlen(text)) != NULL;
}

static void
add_table(const char *name)
{
	(void)snprintf(s.tables[s.tables_n++], sizeof(s.tables[0]), "%s", name);
}

static void
test_names(void)
{
	static const char evil[] = "a\"; drop table x; --";
	struct task_name n;
	struct uid id;

	begin(CHOICE_task_kind_VACUUM);
	(void)snprintf(s.databases[s.databases_n++], sizeof(s.databases[0]), "%s", evil);
	add_table("a'b.c\\d.e");
	add_table("plain");
	task_sql_databases(&s, &out);
	task_sql_count(&s, &out);
	task_sql_next(&s, 7, &out);
	task_sql_drop_indexes(&s, &out);
	task_sql_drop_repack(&s, &out);
	CHECK(!has("drop table") && !has("a'b") && !has("c\\d"), "no name stands in the SQL");
	CHECK(
	    has("convert_from(decode('61223b2064726f70207461626c6520783b202d2d', 'hex'), 'UTF8')"),
	    "but its hex digits");
	CHECK(has("(0, convert_from(decode('612762', 'hex'), 'UTF8'), "
		  "convert_from(decode('635c642e65', 'hex'), 'UTF8'))"),
	    "schema and table, split at the first dot");
	CHECK(has("(1, convert_from(decode('7075626c6963', 'hex'), 'UTF8'), "
		  "convert_from(decode('706c61696e', 'hex'), 'UTF8'))"),
	    "without a dot it is in public");
	CHECK(uid_parse(STR("0f8fad5b-d9cb-469f-a165-70867728950e"), &id) == 0, "a uid");
	task_name_make(&n, &id);
	CHECK(strcmp(n.application, "bestgres/0f8fad5b-d9cb-469f-a165-70867728950e") == 0 &&
		  strcmp(n.benchmark, "bestgres_benchmark_0f8fad5b") == 0,
	    "the names of a task");
	buf_reset(&out);
	task_sql_create_benchmark(&n, STR(evil), &out);
	CHECK(!has("drop table") &&
		  has("'CREATE DATABASE bestgres_benchmark_0f8fad5b OWNER %I TEMPLATE template0'"),
	    "nor the owner's");
}

static void
test_terminate(void)
{
	struct task_backend b = {0};
	struct task_name n = {.application = "bestgres/x"};

	begin(CHOICE_task_kind_SQL);
	task_sql_terminate(&n, &b, STR("o'wner"), &out);
	CHECK(has("(application_name = 'bestgres/x')") && !has("pid ="), "sessions by their name");
	b = (struct task_backend){4711, 1795680000123456};
	buf_reset(&out);
	task_sql_terminate(&n, &b, STR("o'wner"), &out);
	CHECK(has("OR (pid = 4711 AND (EXTRACT(epoch FROM backend_start) * 1000000)::int8 = "
		  "1795680000123456 AND usename::text = convert_from(decode('6f27776e6572'") &&
		  !has("o'wner"),
	    "and one that is called something else, of that role only");
}

static bool
says(const char *statement)
{
	char text[200];

	buf_reset(&out);
	task_sql_work(&s, 16385, &out);
	(void)snprintf(text, sizeof(text),
	    "SELECT format('%s %%I.%%I', s.nspname, c.relname) FROM pg_class c JOIN pg_namespace "
	    "s ON s.oid = c.relnamespace WHERE c.oid = 16385 \\gexec\n",
	    statement);
	return has(text) && has("SET search_path = pg_catalog;");
}

static void
test_room(void)
{
	begin(CHOICE_task_kind_VACUUM);
	task_sql_next(&s, 7, &out);
	CHECK(has("SELECT 'x ' || c.oid || ' ' || a.bytes || ' ' || least(a.bytes, CASE WHEN "),
	    "what is rewritten needs room, and the WAL of it");
	CHECK(has("coalesce(greatest(pg_total_relation_size(c.oid), (SELECT "
		  "max(pg_total_relation_size(p.relid)) FROM pg_partition_tree(c.oid) p)), 0)"),
	    "a partitioned table that of its largest partition, a dropped one none");
	CHECK(has("current_setting('archive_mode') = 'off'") &&
		  has("pg_size_bytes(current_setting('max_wal_size', true))"),
	    "WAL no more than is kept");
	CHECK(has("WHERE oid > 7 ORDER BY oid LIMIT 200") && has("WHERE sum <= 67108864"),
	    "small tables are done many at a time");
	s.m.full = true;
	buf_reset(&out);
	task_sql_next(&s, 7, &out);
	CHECK(has("WHERE oid > 7 ORDER BY oid LIMIT 1)"), "but one at a time what needs room");
}

static void
test_statements(void)
{
	begin(CHOICE_task_kind_VACUUM);
	CHECK(says("VACUUM (VERBOSE)"), "VACUUM");
	s.m.full = s.m.freeze = s.m.analyze = true;
	CHECK(says("VACUUM (VERBOSE, FULL, FREEZE, ANALYZE)"), "with what belongs to it");
	s.m.all_pages = true;
	CHECK(says("VACUUM (VERBOSE, FULL, FREEZE, ANALYZE)"), "FULL skips no page anyway");
	s.m.full = s.m.freeze = s.m.analyze = false;
	CHECK(says("VACUUM (VERBOSE, DISABLE_PAGE_SKIPPING)"), "every page");
	begin(CHOICE_task_kind_ANALYZE);
	CHECK(says("ANALYZE"), "ANALYZE");
	begin(CHOICE_task_kind_REINDEX);
	CHECK(says("REINDEX TABLE"), "REINDEX");
	s.m.concurrently = true;
	CHECK(says("REINDEX TABLE CONCURRENTLY"), "CONCURRENTLY");
	s.m.only_invalid = true;
	CHECK(says("REINDEX INDEX CONCURRENTLY"), "an index");
}

static void
test_whole(void)
{
	begin(CHOICE_task_kind_VACUUM);
	s.m.freeze = true;
	task_sql_databases(&s, &out);
	CHECK(!has("datistemplate") && has("datallowconn"), "VACUUM goes to the templates too");
	task_sql_count(&s, &out);
	CHECK(!has("nspname !~"), "and to the system's catalogs, whose age counts");
	s.m.full = true;
	buf_reset(&out);
	task_sql_count(&s, &out);
	CHECK(has("nspname !~ '^pg_'"), "but does not rewrite those");
	begin(CHOICE_task_kind_ANALYZE);
	task_sql_count(&s, &out);
	CHECK(!has("nspname !~") && has("IN ('r', 'm', 'p')") && has("NOT c.relispartition"),
	    "ANALYZE takes partitioned tables, which are their partitions");
	buf_reset(&out);
	task_sql_count(&s, &out);
	CHECK(!has("pg_partition_tree(pg_partition_root") && !has("FROM reach") &&
		  has("pg_partition_root(c.oid) IN (SELECT pg_partition_root(f.oid) FROM pg_class "
		      "f WHERE f.relkind = 'f' AND f.relispartition)"),
	    "without a look at each tree, which would lock all of it");
	begin(CHOICE_task_kind_REINDEX);
	task_sql_databases(&s, &out);
	CHECK(has("NOT datistemplate"), "others leave the templates alone");
}

static void
test_targets(void)
{
	begin(CHOICE_task_kind_REINDEX);
	task_sql_count(&s, &out);
	CHECK(has("s.nspname !~ '^pg_'") && !has("indisvalid") && !has("SELECT 't '"),
	    "all tables, none of the system's");
	s.m.only_invalid = true;
	task_sql_count(&s, &out);
	CHECK(has("FROM reach JOIN pg_index i ON i.indrelid = reach.oid"), "of partitions too");
	CHECK(has("NOT i.indisvalid") && has("x.relname !~ '_cc(new|old)[0-9]*$'"),
	    "invalid ones, but not what an interrupted run has left");
	begin(CHOICE_task_kind_REPACK);
	task_sql_count(&s, &out);
	CHECK(has("i.indisprimary"), "pg_repack needs a key");
	CHECK(has("e.indexprs IS NOT NULL OR e.indpred IS NOT NULL OR EXISTS (SELECT FROM "
		  "pg_attribute a JOIN pg_type y ON a.atttypid IN (y.oid, y.typarray) WHERE "
		  "a.attrelid = e.indrelid AND a.attnum = ANY (e.indkey) AND y.oid >= 16384 AND "
		  "y.typtype IN ('r', 'm', 'd', 'c'))") &&
		  has("o.oid = ANY (e.indclass) AND o.oid >= 16384 AND NOT r.rolsuper"),
	    "no index with code of somebody who is no superuser");
	buf_reset(&out);
	add_table("t");
	task_sql_count(&s, &out);
	CHECK(!has("i.indisprimary") && has("kind IN ('r', 'p'))") &&
		  has("SELECT reach.oid FROM reach JOIN pg_class c ON c.oid = reach.oid WHERE "
		      "c.relkind = 'r'"),
	    "a named table is its to refuse; of a partitioned one its partitions are meant");
	CHECK(has("SELECT 't ' || n || ' ' || CASE WHEN oid IN (SELECT oid FROM scope) THEN '+' "
		  "ELSE kind::text END FROM named"),
	    "what has the name but is no table is told");
	begin(CHOICE_task_kind_REINDEX);
	s.m.concurrently = true;
	task_sql_count(&s, &out);
	CHECK(has("SELECT 'e ' || count(*)") && has("i.indisexclusion;"),
	    "what can not be rebuilt concurrently is counted");
	begin(CHOICE_task_kind_VACUUM);
	(void)snprintf(s.databases[s.databases_n++], sizeof(s.databases[0]), "template0");
	task_sql_databases(&s, &out);
	CHECK(
	    has("WHEN NOT d.datallowconn THEN '! ' || w.n"), "a database may take no connections");
	begin(CHOICE_task_kind_CLEANUP);
	task_sql_drop_indexes(&s, &out);
	CHECK(has("NOT i.indisvalid AND x.relname ~ '_cc(new|old)[0-9]*$'") &&
		  has("pg_stat_progress_create_index") && has("SET lock_timeout"),
	    "only what an interrupted reindex has left, and nobody builds");
	CHECK(
	    has("UNION SELECT p.relid::oid FROM scope, LATERAL pg_partition_tree(scope.oid) p)") &&
		has("i.indrelid IN (SELECT oid FROM reach UNION SELECT c.reltoastrelid FROM "
		    "reach JOIN"),
	    "of partitions too, and of what is TOAST of one");
	task_sql_drop_repack(&s, &out);
	CHECK(has("c.relname FROM reach JOIN pg_class c USING (oid)"), "of partitions, too");
	CHECK(has("l.classid = 16185446"), "nothing of a table that a pg_repack works on");
}

int
main(void)
{
	buf_init(&out, 1u << 20);
	test_names();
	test_terminate();
	test_room();
	test_statements();
	test_whole();
	test_targets();
	buf_free(&out);
	return tap_done();
}
