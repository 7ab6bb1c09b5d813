/*
 * Every statement that a task has PostgreSQL do. Pure. A name that a user gave is written as hex
 * digits, and what is found is named by its oid from then on; format's %I quotes it in the
 * server, at the moment of use. psql sends what a query under \gexec returns as it is, without
 * reading it for its own commands.
 */
#include "instance/task.h"

static const char prologue[] = "\\set ON_ERROR_STOP on\nSET search_path = pg_catalog;\n";

void
task_name_make(struct task_name *n, const struct uid *id)
{
	char text[UID_TEXT_SIZE];

	uid_format(text, id);
	(void)snprintf(n->application, sizeof(n->application), TASK_NAME_PREFIX "%s", text);
	(void)snprintf(n->benchmark, sizeof(n->benchmark), TASK_BENCHMARK_PREFIX "%.8s", text);
}

static void
put_name(struct buf *out, struct str name)
{
	buf_puts(out, "convert_from(decode('");
	for (size_t i = 0; i < name.len; i++)
		buf_printf(out, "%02x", (unsigned char)name.p[i]);
	buf_puts(out, "', 'hex'), 'UTF8')");
}

void
task_sql_databases(const struct task_spec *s, struct buf *out)
{
	buf_puts(out, prologue);
	if (s->databases_n == 0) {
		/* VACUUM in the templates too: their age counts for a wraparound as any other's */
		buf_printf(out,
		    "SELECT '+ ' || encode(convert_to(datname, 'UTF8'), 'hex') FROM pg_database "
		    "WHERE datallowconn AND datconnlimit <> -2%s AND datname !~ "
		    "'^" TASK_BENCHMARK_PREFIX "' ORDER BY oid;\n",
		    s->m.kind == CHOICE_task_kind_VACUUM ? "" : " AND NOT datistemplate");
		return;
	}
	buf_puts(out, "SELECT CASE WHEN d.oid IS NULL THEN '- ' || w.n WHEN NOT d.datallowconn "
		      "THEN '! ' || w.n ELSE '+ ' || encode(convert_to(w.name, 'UTF8'), 'hex') END "
		      "FROM (VALUES ");
	for (unsigned i = 0; i < s->databases_n; i++) {
		buf_printf(out, "%s(%u, ", i > 0 ? ", " : "", i);
		put_name(out, str_of(s->databases[i]));
		buf_puts(out, ")");
	}
	buf_puts(out, ") AS w(n, name) LEFT JOIN pg_database d ON d.datname::text = w.name ORDER "
		      "BY w.n;\n");
}

/* "schema.table", split at the first dot; without one in public. */
static void
put_table(struct buf *out, struct str name)
{
	const char *dot = memchr(name.p, '.', name.len);
	size_t schema = dot == NULL ? 0 : (size_t)(dot - name.p);

	put_name(out, dot == NULL ? STR("public") : (struct str){name.p, schema});
	buf_puts(out, ", ");
	put_name(out, dot == NULL ? name : (struct str){dot + 1, name.len - schema - 1});
}

/*
 * Of a whole database, as vacuumdb: VACUUM and ANALYZE take the system's catalogs too, for their
 * age counts; but nobody can work while they are rewritten. ANALYZE of a partitioned table is one
 * of its partitions too, and would reach out to the servers of those that are foreign tables. No
 * pg_partition_tree here: it locks every partition of a tree, for each row that asks.
 */
static void
put_all(const struct task_spec *s, struct buf *out)
{
	bool analyze = s->m.kind == CHOICE_task_kind_ANALYZE;

	buf_printf(out,
	    "0, c.oid FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace WHERE "
	    "c.relkind IN ('r', 'm'%s) AND c.relpersistence <> 't'",
	    analyze ? ", 'p'" : "");
	if (analyze)
		buf_puts(out,
		    " AND CASE WHEN pg_partition_root(c.oid) IN (SELECT "
		    "pg_partition_root(f.oid) FROM pg_class f WHERE f.relkind = 'f' AND "
		    "f.relispartition) THEN c.relkind <> 'p' ELSE NOT c.relispartition END");
	else if (s->m.kind != CHOICE_task_kind_VACUUM || s->m.full)
		buf_puts(out, " AND s.nspname !~ '^pg_' AND s.nspname NOT IN "
			      "('information_schema', 'repack')");
	buf_puts(out, ")");
}

/* named(n, oid, kind): what has the name of a table of the spec; kind 'T': temporary. */
static void
put_named(const struct task_spec *s, struct buf *out)
{
	buf_puts(out, "named(n, oid, kind) AS (SELECT w.n, c.oid, CASE WHEN c.relpersistence = "
		      "'t' THEN 'T' ELSE c.relkind END FROM (VALUES ");
	for (unsigned i = 0; i < s->tables_n; i++) {
		buf_printf(out, "%s(%u, ", i > 0 ? ", " : "", i);
		put_table(out, str_of(s->tables[i]));
		buf_puts(out, ")");
	}
	buf_puts(out, ") AS w(n, schema, name) JOIN pg_namespace s ON s.nspname::text = w.schema "
		      "JOIN pg_class c ON c.relnamespace = s.oid AND c.relname::text = w.name), ");
}

/*
 * WITH scope(n, oid): the tables in this database that the task is about; n: which of the spec's.
 */
static void
put_scope(const struct task_spec *s, struct buf *out)
{
	buf_puts(out, "WITH ");
	if (s->tables_n > 0)
		put_named(s, out);
	buf_puts(out, "scope(n, oid) AS (SELECT ");
	if (s->tables_n == 0) {
		put_all(s, out);
		return;
	}
	buf_puts(out, "n, oid FROM named WHERE kind IN ('r', 'p'");
	buf_puts(out, s->m.kind == CHOICE_task_kind_REPACK ? "))" : ", 'm'))");
}

/* reach(oid): those and, of a partitioned one, its partitions, which hold data and indexes. */
static void
put_reach(const struct task_spec *s, struct buf *out)
{
	put_scope(s, out);
	buf_puts(out, ", reach(oid) AS (SELECT oid FROM scope UNION SELECT p.relid::oid FROM "
		      "scope, LATERAL pg_partition_tree(scope.oid) p)");
}

static enum task_scope
scope_of(const struct task_spec *s)
{
	if (s->m.kind == CHOICE_task_kind_REPACK)
		return SCOPE_REPACK;
	return s->m.kind == CHOICE_task_kind_REINDEX && s->m.only_invalid ? SCOPE_INDEXES
	                                                                  : SCOPE_TABLES;
}

/*
 * pg_repack copies a table as one of the superuser's, and then makes its indexes: what they call is
 * run as the table's owner, who is the superuser by then: an expression's or a condition's
 * functions, a type's (a range's subtype_diff, a domain's CHECK), an operator class's. Of c:
 */
#define HARMLESS                                                                                   \
	"((SELECT r.rolsuper FROM pg_roles r WHERE r.oid = c.relowner) OR NOT EXISTS (SELECT "     \
	"FROM pg_index e WHERE e.indrelid = c.oid AND (e.indexprs IS NOT NULL OR e.indpred IS "    \
	"NOT NULL OR EXISTS (SELECT FROM pg_attribute a JOIN pg_type y ON a.atttypid IN (y.oid, "  \
	"y.typarray) WHERE a.attrelid = e.indrelid AND a.attnum = ANY (e.indkey) AND y.oid >= "    \
	"16384 AND y.typtype IN ('r', 'm', 'd', 'c')) OR EXISTS (SELECT FROM pg_opclass o JOIN "   \
	"pg_roles r ON r.oid = o.opcowner WHERE o.oid = ANY (e.indclass) AND o.oid >= 16384 AND "  \
	"NOT r.rolsuper))))"

/*
 * target(oid): what the statement is said for. An invalid index of that name is itself what an
 * interrupted REINDEX CONCURRENTLY left: to rebuild it would keep it (PostgreSQL documentation,
 * REINDEX). Without names pg_repack takes what it can: it needs a key. It knows no partitioned
 * tables.
 */
static void
put_targets(const struct task_spec *s, struct buf *out)
{
	static const char *const targets[] = {
	    [SCOPE_TABLES] = "SELECT DISTINCT oid FROM scope",
	    [SCOPE_INDEXES] =
		"SELECT DISTINCT i.indexrelid FROM reach JOIN pg_index i ON i.indrelid = reach.oid "
		"JOIN pg_class x ON x.oid = i.indexrelid WHERE NOT i.indisvalid AND x.relkind = "
		"'i' "
		"AND x.relname !~ '_cc(new|old)[0-9]*$'",
	    [SCOPE_REPACK] =
		"SELECT DISTINCT reach.oid FROM reach JOIN pg_index i ON i.indrelid = reach.oid "
		"JOIN pg_class c ON c.oid = reach.oid WHERE c.relkind = 'r' AND " HARMLESS
		" AND (i.indisprimary OR "
		"(i.indisunique AND i.indisvalid AND i.indpred IS NULL AND 0 <> ALL (i.indkey) AND "
		"NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = i.indrelid AND "
		"a.attnum = ANY (i.indkey) AND NOT a.attnotnull)))",
	};
	enum task_scope scope = scope_of(s);

	put_reach(s, out);
	if (scope == SCOPE_REPACK && s->tables_n > 0)
		buf_puts(out,
		    ", target(oid) AS (SELECT reach.oid FROM reach JOIN pg_class c ON c.oid = "
		    "reach.oid WHERE c.relkind = 'r' AND " HARMLESS ") ");
	else
		buf_printf(out, ", target(oid) AS (%s%s) ", targets[scope],
		    scope == SCOPE_INDEXES && s->m.concurrently ? " AND NOT i.indisexclusion" : "");
}

void
task_sql_count(const struct task_spec *s, struct buf *out)
{
	buf_puts(out, prologue);
	if (s->tables_n > 0) {
		put_scope(s, out);
		buf_puts(out, " SELECT 't ' || n || ' ' || CASE WHEN oid IN (SELECT oid FROM "
			      "scope) THEN '+' ELSE kind::text END FROM named;\n");
	}
	if (s->m.kind == CHOICE_task_kind_REINDEX && s->m.concurrently) {
		put_reach(s, out);
		buf_printf(out,
		    " SELECT 'e ' || count(*) FROM reach JOIN pg_index i ON i.indrelid = "
		    "reach.oid WHERE i.indisexclusion%s;\n",
		    s->m.only_invalid ? " AND NOT i.indisvalid" : "");
	}
	put_targets(s, out);
	buf_printf(out, "SELECT 'n ' || count(*) || ' ' || %s FROM target;\n",
	    s->m.kind == CHOICE_task_kind_REPACK
		? "(SELECT count(*) FROM reach JOIN pg_class c USING (oid) WHERE c.relkind = 'r')"
		: "0");
}

/* What people read: one line, whatever stands in a name. */
#define SHOWN "translate(format('%%s.%%s', s.nspname, c.relname), E'\\n\\r\\t', '   ')"
#define OF_OID "FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace WHERE c.oid = "

#define BATCH_BYTES (64 << 20)

/*
 * The largest of what c is made of: a partitioned table itself has no file, nor has what is dropped
 * since the statement's snapshot.
 */
#define LARGEST                                                                                    \
	"coalesce(greatest(pg_total_relation_size(c.oid), (SELECT "                                \
	"max(pg_total_relation_size(p.relid)) FROM pg_partition_tree(c.oid) p)), 0)"

/*
 * How much of the WAL that is written meanwhile can be on the disk at once; NULL: all of it, since
 * it waits for an archive or a slot without bound.
 */
#define SLOTS "EXISTS (SELECT FROM pg_replication_slots)"
#define BYTES_OF(setting) "pg_size_bytes(current_setting('" setting "', true))"
#define KEPT_WAL                                                                                   \
	"CASE WHEN current_setting('archive_mode') = 'off' AND NOT (" SLOTS                        \
	" AND coalesce(" BYTES_OF("max_slot_wal_keep_size") ", -1) < 0) THEN greatest(" BYTES_OF(  \
	    "max_wal_size") ", " BYTES_OF("wal_keep_size") ", CASE WHEN " SLOTS                    \
							   " THEN " BYTES_OF("max_slot_wal_keep_"  \
									     "size") " END) END"

/* Small ones are done by one program; one that is copied is looked at by itself. */
static bool
in_batches(const struct task_spec *s)
{
	return s->m.kind != CHOICE_task_kind_REPACK &&
	       !(s->m.kind == CHOICE_task_kind_VACUUM && s->m.full);
}

/* A rewrite writes about as much WAL as it writes data. */
void
task_sql_next(const struct task_spec *s, uint32_t after, struct buf *out)
{
	buf_puts(out, prologue);
	put_targets(s, out);
	buf_printf(out,
	    ", ahead AS MATERIALIZED (SELECT oid, " LARGEST
	    " AS bytes FROM (SELECT oid FROM target WHERE oid > %u ORDER BY oid LIMIT %d) c), "
	    "told AS (SELECT oid, bytes, sum(bytes) OVER (ORDER BY oid) AS sum FROM ahead) "
	    "SELECT 'x ' || c.oid || ' ' || a.bytes || ' ' || least(a.bytes, " KEPT_WAL
	    ") || ' ' || encode(convert_to(format('%%I.%%I', s.nspname, c.relname), 'UTF8'), "
	    "'hex') || ' ' || " SHOWN
	    ", (SELECT string_agg(oid::text, ' ' ORDER BY oid) FROM told WHERE sum <= %d) FROM "
	    "ahead a JOIN pg_class c ON c.oid = a.oid JOIN pg_namespace s ON s.oid = "
	    "c.relnamespace ORDER BY c.oid LIMIT 1;\n",
	    after, in_batches(s) ? TASK_BATCH_MAX : 1, BATCH_BYTES);
}

/* A partitioned table is as large as its partitions. */
void
task_sql_size(uint32_t oid, struct buf *out)
{
	buf_printf(out,
	    "SELECT 's %u ' || sum(pg_total_relation_size(r)) || ' ' || (sum(pg_relation_size(r)) "
	    "/ "
	    "current_setting('block_size')::bigint)::bigint FROM (SELECT oid AS r FROM pg_class "
	    "WHERE oid = %u UNION SELECT relid FROM pg_partition_tree(%u)) t HAVING "
	    "sum(pg_total_relation_size(r)) IS NOT NULL;\n",
	    oid, oid, oid);
}

static void
put_option(struct buf *out, bool on, const char *option)
{
	if (on)
		buf_printf(out, ", %s", option);
}

void
task_sql_work(const struct task_spec *s, uint32_t oid, struct buf *out)
{
	bool index = scope_of(s) == SCOPE_INDEXES;

	buf_puts(out, prologue);
	task_sql_size(oid, out);
	buf_puts(out, "SELECT format('");
	switch (s->m.kind) {
	case CHOICE_task_kind_VACUUM:
		buf_puts(out, "VACUUM (VERBOSE");
		put_option(out, s->m.full, "FULL");
		put_option(out, s->m.freeze, "FREEZE");
		put_option(out, s->m.analyze, "ANALYZE");
		put_option(out, s->m.all_pages && !s->m.full, "DISABLE_PAGE_SKIPPING");
		buf_puts(out, ")");
		break;
	case CHOICE_task_kind_ANALYZE:
		buf_puts(out, "ANALYZE");
		break;
	case CHOICE_task_kind_REINDEX:
		buf_printf(out, "REINDEX %s%s", index ? "INDEX" : "TABLE",
		    s->m.concurrently ? " CONCURRENTLY" : "");
		break;
	default:
		die("task: kind %u has no statement on a table", s->m.kind);
	}
	buf_printf(out, " %%I.%%I', s.nspname, c.relname) " OF_OID "%u \\gexec\n", oid);
	task_sql_size(oid, out);
}

void
task_sql_checkpoint(struct buf *out)
{
	buf_puts(out, "CHECKPOINT;\n");
}

void
task_sql_extension(struct buf *out)
{
	buf_puts(out, prologue);
	buf_puts(out, "SELECT 'e' FROM pg_extension WHERE extname = 'pg_repack';\n");
}

void
task_sql_progress(const struct task_name *n, struct buf *out)
{
	static const struct {
		const char *view, *done, *all;
	} views[] = {
	    {"vacuum", "heap_blks_scanned", "heap_blks_total"},
	    {"cluster", "heap_blks_scanned", "heap_blks_total"},
	    {"create_index", "blocks_done", "blocks_total"},
	    {"analyze", "sample_blks_scanned", "sample_blks_total"},
	};

	buf_puts(out, prologue);
	for (size_t i = 0; i < sizeof(views) / sizeof(views[0]); i++)
		buf_printf(out,
		    "SELECT 'p ' || p.%s || ' ' || p.%s FROM pg_stat_progress_%s p JOIN "
		    "pg_stat_activity a USING (pid) WHERE a.application_name = '%s' LIMIT 1;\n",
		    views[i].done, views[i].all, views[i].view, n->application);
}

void
task_sql_terminate(
    const struct task_name *n, const struct task_backend *b, struct str role, struct buf *out)
{
	buf_puts(out, prologue);
	buf_printf(out,
	    "SELECT 'k ' || count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE "
	    "(application_name = '%s'",
	    n->application);
	if (b->pid != 0) {
		buf_printf(out,
		    " OR (pid = %d AND (EXTRACT(epoch FROM backend_start) * 1000000)::int8 = %lld "
		    "AND usename::text = ",
		    b->pid, b->started_us);
		put_name(out, role);
		buf_puts(out, ")");
	}
	buf_puts(out, ") AND pid <> pg_backend_pid();\n");
}

/*
 * Of tables that nobody else builds an index on now. Not CONCURRENTLY, which would wait for every
 * transaction there is; a lock that does not come within seconds is not waited for: it would hold
 * up who comes after.
 */
void
task_sql_drop_indexes(const struct task_spec *s, struct buf *out)
{
	buf_puts(out, prologue);
	buf_puts(out, "SET lock_timeout = '5s';\n");
	put_reach(s, out);
	buf_puts(out,
	    " SELECT format('DROP INDEX IF EXISTS %I.%I', s.nspname, x.relname) FROM pg_index i "
	    "JOIN "
	    "pg_class x ON x.oid = i.indexrelid JOIN pg_namespace s ON s.oid = x.relnamespace "
	    "WHERE NOT i.indisvalid AND x.relname ~ '_cc(new|old)[0-9]*$' AND i.indrelid IN "
	    "(SELECT oid FROM reach UNION SELECT c.reltoastrelid FROM reach JOIN pg_class c "
	    "USING (oid)) AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE "
	    "p.relid = i.indrelid) \\gexec\n");
}

/*
 * Names as pg_repack 1.4 and 1.5 make them (repack.c, repack_drop): by the table's oid. First the
 * trigger, since writes to the table go through it into the log. A lock that does not come within
 * seconds is not waited for. A table that some pg_repack works on holds its advisory lock
 * (pg_repack.c, REPACK_LOCK_PREFIX_STR and the oid less 2^31).
 */
void
task_sql_drop_repack(const struct task_spec *s, struct buf *out)
{
	buf_puts(out, prologue);
	buf_puts(out, "SET lock_timeout = '5s';\n");
	put_reach(s, out);
	buf_puts(out,
	    ", mine AS (SELECT c.oid, s.nspname, c.relname FROM reach "
	    "JOIN pg_class c USING (oid) JOIN pg_namespace s ON s.oid = c.relnamespace WHERE "
	    "EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_repack') AND NOT EXISTS "
	    "(SELECT FROM pg_locks l WHERE l.locktype = 'advisory' AND l.classid = 16185446 AND "
	    "l.objid::bigint = (c.oid::bigint + 2147483648) % 4294967296 AND l.database = (SELECT "
	    "oid FROM pg_database WHERE datname = "
	    "current_database()))) "
	    "SELECT 'SET client_min_messages = error', "
	    "CASE WHEN EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = mine.oid AND "
	    "g.tgname = 'repack_trigger') THEN format('DROP TRIGGER repack_trigger ON %I.%I', "
	    "nspname, relname) END, "
	    "format('DROP TABLE IF EXISTS repack.%I', 'log_' || oid), "
	    "format('DROP TABLE IF EXISTS repack.%I', 'table_' || oid), "
	    "format('DROP TYPE IF EXISTS repack.%I', 'pk_' || oid) "
	    "FROM mine WHERE EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = mine.oid AND "
	    "g.tgname = 'repack_trigger') OR EXISTS (SELECT FROM pg_class c JOIN pg_namespace s "
	    "ON s.oid = c.relnamespace WHERE s.nspname = 'repack' AND c.relname IN "
	    "('log_' || mine.oid, 'table_' || mine.oid, 'pk_' || mine.oid)) \\gexec\n");
}

void
task_sql_drop_benchmark(const struct task_name *n, struct buf *out)
{
	buf_puts(out, prologue);
	buf_printf(out, "DROP DATABASE IF EXISTS %s WITH (FORCE);\n", n->benchmark);
}

void
task_sql_create_benchmark(const struct task_name *n, struct str owner, struct buf *out)
{
	task_sql_drop_benchmark(n, out);
	/* not of template1, in which another task may be at work */
	buf_printf(
	    out, "SELECT format('CREATE DATABASE %s OWNER %%I TEMPLATE template0', ", n->benchmark);
	put_name(out, owner);
	buf_puts(out, ") \\gexec\n");
}
