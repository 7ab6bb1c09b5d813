/*
 * The application's role and database, Patroni's roles where it could not make them itself, and
 * postInitSQL, as input for psql. Idempotent:
 * what is there stays as it is, and the statements run in one transaction with a marker (a setting
 * of the database, which survives dump and upgrade). Nothing here waits for a synchronous replica:
 * were it lost in a failover, the next leader would do it again.
 */
#include "instance/pgctl.h"

void
sql_literal(struct buf *b, struct str s)
{
	if (memchr(s.p, '\\', s.len) != NULL)
		buf_puts(b, " E"); /* a reading that no setting changes */
	buf_puts(b, "'");
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] == '\'' || s.p[i] == '\\')
			buf_put(b, &s.p[i], 1);
		buf_put(b, &s.p[i], 1);
	}
	buf_puts(b, "'");
}

/* Neither log nor a failing statement's log entry may hold what comes; names mean pg_catalog's. */
static const char prologue[] = "\\set ON_ERROR_STOP on\n"
			       "SET standard_conforming_strings = on;\n"
			       "SET search_path = pg_catalog;\n"
			       "SET log_statement = 'none';\n"
			       "SET log_min_duration_statement = -1;\n"
			       "SET log_min_error_statement = 'panic';\n"
			       "SET synchronous_commit = 'local';\n";

/*
 * psql sends what a query under \gexec returns as it is, without reading it for its own commands;
 * format(%I) quotes names as this server wants them.
 */
static void
put_role(struct buf *out, const struct bootstrap_role *role, const char *options)
{
	buf_printf(out, "SELECT format('CREATE ROLE %%I %s PASSWORD %%L', ", options);
	sql_literal(out, role->name);
	buf_puts(out, ", ");
	sql_literal(out, str_of(role->verifier));
	buf_puts(out, ") WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = ");
	sql_literal(out, role->name);
	buf_puts(out, ") \\gexec\n");
}

static void
put_right(struct buf *out, struct str role, const char *function)
{
	buf_printf(out, "SELECT format('GRANT EXECUTE ON FUNCTION %s TO %%I', ", function);
	sql_literal(out, role);
	buf_puts(out, ") WHERE NOT has_function_privilege(");
	sql_literal(out, role);
	buf_printf(out, ", '%s', 'EXECUTE') \\gexec\n", function);
}

/*
 * Patroni makes these between the server's first start and the moment it tells the cluster of its
 * bootstrap. A crash in between leaves a server that Patroni takes for a finished one, without
 * them, and no replica could ever join.
 */
void
bootstrap_patroni_sql(
    const struct bootstrap_role *replication, const struct bootstrap_role *rewind, struct buf *out)
{
	/* PostgreSQL documentation, pg_rewind, "Notes"; patroni/postgresql/bootstrap.py. */
	static const char *const functions[] = {
	    "pg_catalog.pg_ls_dir(text, boolean, boolean)",
	    "pg_catalog.pg_stat_file(text, boolean)",
	    "pg_catalog.pg_read_binary_file(text)",
	    "pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean)",
	};

	buf_puts(out, prologue);
	put_role(out, replication, "LOGIN REPLICATION");
	put_role(out, rewind, "LOGIN");
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
		put_right(out, rewind->name, functions[i]);
}

void
bootstrap_role_sql(const struct bootstrap_role *owner, struct str database, struct buf *out)
{
	buf_puts(out, prologue);
	put_role(out, owner, "LOGIN");
	buf_puts(out, "SELECT format('CREATE DATABASE %I OWNER %I', ");
	sql_literal(out, database);
	buf_puts(out, ", ");
	sql_literal(out, owner->name);
	buf_puts(out, ") WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = ");
	sql_literal(out, database);
	buf_puts(out, ") \\gexec\n");
}

static void
put_statement(struct buf *out, struct str sql)
{
	buf_puts(out, "SELECT ");
	sql_literal(out, sql);
	buf_puts(out, " \\gexec\n");
}

void
bootstrap_once_sql(
    struct str database, const struct str_list *sql, const struct uid *anchor, struct buf *out)
{
	char uid[UID_TEXT_SIZE];

	uid_format(uid, anchor);
	buf_puts(out, prologue);
	buf_puts(out,
	    "SELECT count(*) > 0 AS done FROM pg_db_role_setting, unnest(setconfig) AS c(line) "
	    "WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = ");
	sql_literal(out, database);
	buf_puts(out, ") AND setrole = 0 AND line LIKE 'bestgres.bootstrapped=%' \\gset\n"
		      "\\if :done\n\\quit\n\\endif\n"
		      "BEGIN;\nRESET search_path;\n");
	for (size_t i = 0; i < sql->n; i++)
		put_statement(out, sql->at[i]);
	buf_puts(out, "SET search_path = pg_catalog;\nSELECT format('ALTER DATABASE %I SET "
		      "bestgres.bootstrapped = %L', ");
	sql_literal(out, database);
	buf_puts(out, ", ");
	sql_literal(out, str_of(uid));
	buf_puts(out, ") \\gexec\nCOMMIT;\n");
}

void
psql_complaint(struct str s, char text[IPC_TEXT_MAX + 1])
{
	static const char *const marks[] = {"ERROR:  ", "FATAL:  ", "error: "};
	struct str from = s;
	const char *end;

	for (unsigned i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		const char *at = memmem(s.p, s.len, marks[i], strlen(marks[i]));

		if (at != NULL) {
			at += strlen(marks[i]);
			from = (struct str){at, (size_t)(s.p + s.len - at)};
			break;
		}
	}
	if ((end = memchr(from.p, '\n', from.len)) != NULL)
		from.len = (size_t)(end - from.p);
	str_copy_text(text, IPC_TEXT_MAX + 1, from);
}
