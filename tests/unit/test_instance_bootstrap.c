/* The SQL that psql gets: every word of the user's stays a literal; psql's complaints. */
#include "instance/pgctl.h"
#include "tests/unit/tap.h"

static struct buf out;

static bool
literal(struct str in, const char *wanted)
{
	buf_reset(&out);
	sql_literal(&out, in);
	return str_is(buf_view(&out), wanted);
}

static bool
has(const char *text)
{
	return memmem(out.p, out.len, text, strlen(text)) != NULL;
}

static void
test_literals(void)
{
	CHECK(literal(STR("app"), "'app'") && literal(STR(""), "''"), "plain ones");
	CHECK(literal(STR("o'brien"), "'o''brien'") && literal(STR("'; DROP"), "'''; DROP'"),
	    "quotes are doubled");
	CHECK(literal(STR("a\\'b"), " E'a\\\\''b'"),
	    "a backslash makes it an escape string, and is doubled");
}

static void
test_roles(void)
{
	const struct bootstrap_role owner = {STR("o'w\\n"), "SCRAM-SHA-256$4096:x$y:z"};
	const struct bootstrap_role standby = {STR("standby"), "V1"}, rewind = {STR("rew"), "V2"};

	buf_reset(&out);
	bootstrap_role_sql(&owner, STR("d\"b"), &out);
	CHECK(has("format('CREATE ROLE %I LOGIN PASSWORD %L',  E'o''w\\\\n', "
		  "'SCRAM-SHA-256$4096:x$y:z')"),
	    "the role, its name and verifier literals for format()");
	CHECK(has("format('CREATE DATABASE %I OWNER %I', 'd\"b',  E'o''w\\\\n')"), "the database");
	CHECK(has("WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname =  E'o''w\\\\n')") &&
		  has("WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'd\"b')"),
	    "each only where it is not there");
	CHECK(has("SET log_statement = 'none'") && has("SET log_min_error_statement = 'panic'") &&
		  has("SET search_path = pg_catalog"),
	    "unlogged, with pinned names");
	buf_reset(&out);
	bootstrap_patroni_sql(&standby, &rewind, &out);
	CHECK(has("format('CREATE ROLE %I LOGIN REPLICATION PASSWORD %L', 'standby', 'V1') WHERE "
		  "NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'standby') \\gexec\n") &&
		  has("format('CREATE ROLE %I LOGIN PASSWORD %L', 'rew', 'V2') WHERE NOT EXISTS"),
	    "Patroni's roles, where a crash kept it from making them");
	CHECK(has("format('GRANT EXECUTE ON FUNCTION pg_catalog.pg_ls_dir(text, boolean, boolean) "
		  "TO %I', 'rew') WHERE NOT has_function_privilege('rew', "
		  "'pg_catalog.pg_ls_dir(text, boolean, boolean)', 'EXECUTE') \\gexec\n") &&
		  has("SET log_statement = 'none'"),
	    "and what pg_rewind needs");
}

int
main(void)
{
	struct str statements[] = {
	    STR("SELECT 'a'"), STR("\\! touch /tmp/x"), STR("x'); DROP TABLE t; --\n:var")};
	const struct str_list sql = {statements, 3}, none = {NULL, 0};
	struct uid anchor = {{1}};
	char text[IPC_TEXT_MAX + 1];

	buf_init(&out, 1u << 20);
	test_literals();
	test_roles();
	buf_reset(&out);
	bootstrap_once_sql(STR("app"), &sql, &anchor, &out);
	CHECK(has("SELECT 'SELECT ''a''' \\gexec\n") &&
		  has("SELECT  E'\\\\! touch /tmp/x' \\gexec\n") &&
		  has("SELECT 'x''); DROP TABLE t; --\n:var' \\gexec\n"),
	    "the user's statements go through \\gexec as literals");
	CHECK(has("\\if :done\n\\quit\n\\endif\nBEGIN;\n") &&
		  has("'01000000-0000-0000-0000-000000000000') \\gexec\nCOMMIT;\n"),
	    "once, in one transaction with the marker");
	buf_reset(&out);
	bootstrap_once_sql(STR("app"), &none, &anchor, &out);
	CHECK(has("bestgres.bootstrapped"), "without statements too the marker is set");
	psql_complaint(STR("psql:<stdin>:9: NOTICE:  x\npsql:<stdin>:12: ERROR:  relation \"t\" "
			   "exists\nLINE 1: secret\n"),
	    text);
	CHECK(
	    strcmp(text, "relation \"t\" exists") == 0, "psql's complaint, without the statement");
	psql_complaint(STR("psql: error: connection to server failed\n"), text);
	CHECK(strcmp(text, "connection to server failed") == 0, "psql's own");
	psql_complaint(STR(""), text);
	CHECK(text[0] == '\0', "silence");
	buf_free(&out);
	return tap_done();
}
