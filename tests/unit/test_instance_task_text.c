/* What a task's programs print, and what a script may hold. */
#include "instance/task.h"
#include "tests/unit/tap.h"

static void
test_hex(void)
{
	char out[8];

	CHECK(task_hex_decode(STR("61223b"), out, sizeof(out)) == 0 && strcmp(out, "a\";") == 0,
	    "hex");
	CHECK(task_hex_decode(STR("6"), out, sizeof(out)) == -1 &&
		  task_hex_decode(STR("6g"), out, sizeof(out)) == -1 &&
		  task_hex_decode(STR("6100"), out, sizeof(out)) == -1 &&
		  task_hex_decode(STR("6161616161616161"), out, sizeof(out)) == -1,
	    "half a byte, no digit, a NUL, too long");
}

static bool
dbname_is(const char *database, const char *wanted)
{
	char out[TASK_DBNAME_SIZE];

	task_dbname(database, out);
	return strcmp(out, wanted) == 0;
}

/* pg_repack and pgbench have libpq expand the name: it must come out as a name whatever it is. */
static void
test_dbname(void)
{
	char name[64], wanted[TASK_DBNAME_SIZE];

	CHECK(dbname_is("app", "dbname='app'"), "a name");
	CHECK(dbname_is("hostaddr=10.0.0.1", "dbname='hostaddr=10.0.0.1'") &&
		  dbname_is("postgresql://a/b", "dbname='postgresql://a/b'") &&
		  dbname_is("x' host='a", "dbname='x\\' host=\\'a'") &&
		  dbname_is("x\\' service=a", "dbname='x\\\\\\' service=a'"),
	    "never a host");
	memset(name, '\'', 63);
	name[63] = '\0';
	task_dbname(name, wanted);
	CHECK(strlen(wanted) == TASK_DBNAME_SIZE - 1, "the longest one fits");
}

static bool
removed(const char *text, size_t at_once, uint64_t wanted)
{
	struct task_vacuumed v = {0};
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i += at_once)
		task_vacuum_read(&v, (struct str){text + i, len - i < at_once ? len - i : at_once});
	return v.tuples == wanted;
}

static void
test_vacuum(void)
{
	static const char now[] =
	    "psql:<stdin>:5: INFO:  vacuuming \"app.public.x\"\n"
	    "psql:<stdin>:5: INFO:  finished vacuuming \"app.public.x\": index scans: 0\n"
	    "pages: 0 removed, 45 remain\ntuples: 10000 removed, 5 remain, 0 are dead\n"
	    "INFO:  vacuuming \"app.pg_toast.pg_toast_16385\"\n"
	    "INFO:  finished vacuuming \"app.pg_toast.pg_toast_16385\": index scans: 0\n"
	    "tuples: 7 removed, 0 remain\n"
	    "INFO:  aggressively vacuuming \"app.public.y\"\ntuples: 3 removed, 0 remain\n";

	CHECK(removed(now, 1, 10003) && removed(now, 4096, 10003),
	    "of the tables, not of their TOAST tables, in whatever pieces it comes");
	CHECK(removed("INFO:  vacuuming \"public.x\"\nINFO:  \"public.x\": found 12 removable, 3 "
		      "nonremovable row versions in 1 pages\n",
		  7, 12),
	    "VACUUM FULL's words");
	CHECK(removed("tuples: x removed\ntuples: 99999999999999999999 removed\ntuples: 5", 5, 0) &&
		  removed("", 1, 0),
	    "no number");
}

static void
test_backend(void)
{
	struct task_backend b = {0};

	task_read_backend(STR(""), &b);
	task_read_backend(STR("k 0\n"), &b);
	task_read_backend(STR("-4|5\n"), &b);
	CHECK(b.pid == 0, "what names no backend");
	task_read_backend(STR("4711|1795680000123456\n12|13\n"), &b);
	CHECK(b.pid == 4711 && b.started_us == 1795680000123456, "the first line does");
}

static bool
fails_with(int signal, const char *err, const char *wanted)
{
	struct run_result r = {
	    .status = signal != 0 ? -1 : 3, .signal = signal, .err = str_of(err)};
	char complaint[IPC_TEXT_MAX + 1], text[TASK_FAILURE_MAX];

	psql_complaint(r.err, complaint);
	task_failure(&r, "psql", complaint, text);
	return strcmp(text, wanted) == 0;
}

#define SOCKET "connection to server on socket \"/run/postgresql/.s.PGSQL.5432\" "
#define LOST "interrupted: PostgreSQL ended: "

static void
test_failure(void)
{
	CHECK(fails_with(0,
		  "psql:<stdin>:4: FATAL:  terminating connection due to administrator "
		  "command\n",
		  LOST "terminating connection due to administrator command") &&
		  fails_with(0, "psql: error: " SOCKET "failed: No such file or directory\n",
		      LOST SOCKET "failed: No such file or directory") &&
		  fails_with(0, "FATAL:  the database system is starting up\n",
		      LOST "the database system is starting up") &&
		  fails_with(0,
		      "pgbench: error: client 0 aborted in command 4 (SQL) of script 0; "
		      "perhaps the backend died while processing\n",
		      LOST "client 0 aborted in command 4 (SQL) of script 0; "
			   "perhaps the backend died while processing") &&
		  fails_with(0, "ERROR: query failed: no connection to the server\n",
		      LOST "ERROR: query failed: no connection to the server"),
	    "the server went away");
	CHECK(
	    fails_with(0, "psql: error: " SOCKET "failed: FATAL:  database \"x\" does not exist\n",
		"database \"x\" does not exist") &&
		fails_with(0, "ERROR:  division by zero\n", "division by zero") &&
		fails_with(0, "", "psql ended with status 3"),
	    "or it did not");
	CHECK(fails_with(9, "", "interrupted: psql was ended by signal 9") &&
		  fails_with(11, "progress: 2.0 s\n", "interrupted: psql was ended by signal 11"),
	    "it was killed");
	CHECK(
	    !task_connection_lost(STR("psql:<stdin>:1: ERROR:  the database system is mine\n")) &&
		!task_connection_lost(
		    STR("psql:<stdin>:1: ERROR:  a\nserver closed the connection\n")) &&
		!task_connection_lost(STR("psql:<stdin>:1: NOTICE:  the database system is\n")) &&
		!task_connection_lost(
		    STR("psql:<stdin>:1: LOG:  terminating connection due to x\n")) &&
		!task_connection_lost(
		    STR("psql:<stdin>:1: DEBUG:  terminating connection due to x\n")) &&
		task_connection_lost(STR("psql:<stdin>:1: ERROR:  a\npsql:<stdin>:2: server closed "
					 "the connection unexpectedly\n")),
	    "a script's own words are none");
}

static void
test_tail(void)
{
	static char text[3000];
	char out[TASK_OUTPUT_MAX + 1];

	task_tail(STR("psql:<stdin>:1: ERROR:  no\n\n"), out);
	CHECK(strcmp(out, "psql:<stdin>:1: ERROR:  no") == 0, "a short one, without its end");
	task_tail(STR("a\x01\xff\xc2\x85z\tb\n\xc3\xa4"), out);
	CHECK(charset_ok(CHARS_LINES, str_of(out)) && strchr(out, '?') != NULL &&
		  strstr(out, "\xc3\xa4") != NULL,
	    "as the wire wants it");
	memset(text, 'x', sizeof(text) - 1);
	memcpy(text + 2500, "\nlast", 5);
	task_tail((struct str){text, sizeof(text) - 1}, out);
	CHECK(str_starts(str_of(out), "lastx") && strlen(out) <= TASK_OUTPUT_MAX,
	    "of a long one whole lines");
	text[2500] = 'x';
	task_tail((struct str){text, sizeof(text) - 1}, out);
	CHECK(strlen(out) == TASK_OUTPUT_MAX, "of one long line its end");
}

static bool
scrubs(bool by_pgbench, const char *said, const char *wanted)
{
	struct buf out;
	bool ok;

	buf_init(&out, 2 * RUN_OUTPUT_MAX);
	task_scrub(str_of(said), by_pgbench, &out);
	ok = str_is(buf_view(&out), wanted);
	buf_free(&out);
	return ok;
}

/* What a script holds may be a password: nothing of it comes out. */
static void
test_scrub(void)
{
	static char text[40000];

	CHECK(scrubs(true,
		  "pgbench (17.6)\npgbench: error: client 0 script 0 aborted in command 0 query 0: "
		  "ERROR:  role \"app\" may not\nLINE 1: ALTER ROLE app PASSWORD 'geheim'\n"
		  "                   ^\nDETAIL:  geheim\npgbench: detail: Query was: geheim\n"
		  "pgbench: error: Run was aborted; the above results are incomplete.\n",
		  "pgbench: error: client 0 script 0 aborted in command 0 query 0: ERROR:  role "
		  "\"app\" may not\npgbench: error: Run was aborted; the above results are "
		  "incomplete.\n"),
	    "of pgbench its own lines, with the first of the server's message");
	CHECK(scrubs(true,
		  "pgbench: error: client 0 script 0 aborted in command 0 query 0: ERROR:  syntax "
		  "error at or near \"geheim\"\nLINE 1: geheim\n",
		  "pgbench: error: client 0 script 0 aborted in command 0 query 0: ERROR:  syntax "
		  "error at or near \"...\"\n") &&
		  scrubs(true,
		      "pgbench: error: client 0 script 0 aborted in command 0 query 0: FEHLER:  "
		      "Syntaxfehler bei »geheim«\n",
		      ""),
	    "no token, in whatever language");
	CHECK(scrubs(false,
		  "psql:<stdin>:1: NOTICE:  a\npsql:<stdin>:4: ERROR:  syntax error at or near "
		  "\"geheim\" at character 26\n",
		  "psql:<stdin>:1: NOTICE:  a\npsql:<stdin>:4: ERROR:  syntax error at or near "
		  "\"...\" at character 26\n"),
	    "of psql what it said, with the token's place");
	CHECK(scrubs(false,
		  "psql:<stdin>:1: ERROR:  unrecognized role option \"geheim\" at character 28\n",
		  "psql:<stdin>:1: ERROR:  unrecognized role option \"...\" at character 28\n"),
	    "an option that is none is one, too");
	CHECK(scrubs(false,
		  "psql:<stdin>:9: ERROR:  unterminated quoted string at or near \"'geheim\nb\";\n"
		  "c\" at character 7\n",
		  "psql:<stdin>:9: ERROR:  unterminated quoted string at or near \"...\" at "
		  "character 7\n"),
	    "a token of several lines");
	CHECK(scrubs(false, "psql:<stdin>:4: FEHLER:  Syntaxfehler bei »geheim« bei Zeichen 26\n",
		  "psql:<stdin>:4: ERROR:  in the server's language, which may quote the "
		  "script\n"),
	    "a message that can not be read");
	CHECK(scrubs(false, "ERROR:  a key is missing", "ERROR:  a key is missing\n") &&
		  scrubs(false, "", "") &&
		  scrubs(false, "psql:<stdin>:4: server closed the connection unexpectedly\n",
		      "psql:<stdin>:4: server closed the connection unexpectedly\n"),
	    "what is not of the script stays");
	memset(text, 'x', sizeof(text) - 1);
	CHECK(scrubs(false, text, ""), "where the beginning is missing nothing is told");
}

#define HIDDEN "ERROR:  in the server's language, which may quote the script\n"

/* In another language it is not known what of a message is a script's. */
static void
test_scrub_languages(void)
{
	CHECK(scrubs(false,
		  "psql:<stdin>:9: FEHLER:  nicht abgeschlossener Dollar-Quote bei »$$geheim\n"
		  "b ERROR:  geheim\nERROR:  geheim\nc« bei Zeichen 7\n",
		  "psql:<stdin>:9: " HIDDEN),
	    "nor in the lines that follow it");
	CHECK(scrubs(false,
		  "psql:<stdin>:2: HINWEIS:  »a\nb«\npsql:<stdin>:4: server closed the connection "
		  "unexpectedly\n\tThis probably means\n",
		  "psql:<stdin>:2: " HIDDEN "psql:<stdin>:4: server closed the connection "
		  "unexpectedly\n\tThis probably means\n"),
	    "the next message is seen again");
	CHECK(scrubs(false,
		  "psql:<stdin>:1: HINWEIS:  done: \"a\"\npsql:<stdin>:4: FEHLER:  »geheim«\n",
		  "psql:<stdin>:1: " HIDDEN "psql:<stdin>:4: " HIDDEN),
	    "each with its place");
	CHECK(
	    scrubs(false,
		"psql:<stdin>:4: ERROR:  error de sintaxis en o cerca de «secreto» en carácter "
		"26\n",
		"psql:<stdin>:4: " HIDDEN) &&
		scrubs(false, "psql:<stdin>:4: ERROR:  \"secret\"またはその近辺で構文エラー\n",
		    "psql:<stdin>:4: " HIDDEN) &&
		scrubs(false, "psql:<stdin>:4: ERROR:  \"'sec\nret'\"またはその近辺で構文エラー\n",
		    "psql:<stdin>:4: " HIDDEN),
	    "in Spanish and Japanese the severity is as in English");
	CHECK(scrubs(false, "FEHLER:  Tupel »geheim«\ngeheim\n", HIDDEN) &&
		  scrubs(false, "ERROR:  «secreto»\nsecreto\n", HIDDEN) &&
		  scrubs(false, "psql: error: connection failed: FATAL:  »x«\n",
		      "psql: error: connection failed: FATAL:  »x«\n") &&
		  scrubs(false, "the image has no program psql", "the image has no program psql\n"),
	    "of the COMMIT's own, which has no place");
	CHECK(scrubs(true,
		  "pgbench: error: client 0 script 0 aborted in command 0 query 0: ERROR:  error "
		  "de sintaxis en o cerca de «secreto»\n",
		  "") &&
		  scrubs(true,
		      "pgbench: error: client 0 script 0 aborted in command 0 query 0: ERRO:  "
		      "erro em \"ERROR:  segredo\"\n",
		      ""),
	    "pgbench's, too");
	CHECK(scrubs(false, "psql:<stdin>:1: ERROR:  relation \"größe\" is a »view\n",
		  "psql:<stdin>:1: " HIDDEN) &&
		  scrubs(false, "psql:<stdin>:1: ERROR:  relation \"»größe€\" für\nb\n",
		      "psql:<stdin>:1: ERROR:  relation \"»größe€\" für\nb\n"),
	    "a name may hold any character");
}

/* A value that a type does not take can be a password in the wrong place. */
static void
test_scrub_values(void)
{
	CHECK(scrubs(false,
		  "psql:<stdin>:4: ERROR:  invalid input syntax for type uuid: \"geheim\nb\" at "
		  "character 26\n",
		  "psql:<stdin>:4: ERROR:  invalid input syntax for type uuid: \"...\" at "
		  "character 26\n") &&
		  scrubs(false, "psql:<stdin>:4: ERROR:  malformed array literal: \"geheim\"\n",
		      "psql:<stdin>:4: ERROR:  malformed array literal: \"...\"\n") &&
		  scrubs(false,
		      "psql:<stdin>:4: ERROR:  value \"12345\" is out of range for type smallint\n",
		      "psql:<stdin>:4: ERROR:  value \"...\"\n") &&
		  scrubs(false,
		      "psql:<stdin>:4: ERROR:  missing \"=\" after \"geheim\" in connection "
		      "info string\n",
		      "psql:<stdin>:4: ERROR:  missing \"=\" after \"...\"\n"),
	    "no value");
	CHECK(scrubs(false,
		  "psql:<stdin>:1: NOTICE:  done: \"a\"\npsql:<stdin>:4: ERROR:  division by "
		  "zero\n",
		  "psql:<stdin>:1: NOTICE:  done: \"a\"\npsql:<stdin>:4: ERROR:  division by "
		  "zero\n"),
	    "what a script has said before does not hide the error");
}

static bool
refused(const char *script, const char *name)
{
	char buf[32];
	const char *found = task_pgbench_refused(str_of(script), buf);

	return name == NULL ? found == NULL : found != NULL && strcmp(found, name) == 0;
}

static void
test_scripts(void)
{
	CHECK(
	    refused("\\set aid random(1, 10)\nSELECT 1 \\gset p_\n\\if :x\n\\sleep 1 ms\n\\endif\n",
		NULL),
	    "what only computes");
	CHECK(refused("\\shell touch /tmp/x\n", "shell") && refused("\\SHELL x", "SHELL") &&
		  refused("SELECT 1; \\setshell x y\n", "setshell"),
	    "what starts a program, anywhere in a line");
	CHECK(refused("\\setx 1\n", "setx") && refused("\\set\\shell", "shell") &&
		  refused("SELECT '\\n';", "n") && refused("\\\nshell x", "") &&
		  refused("\\", "") && refused("\\set_shell", "set_shell"),
	    "and whatever else could be one");
	CHECK(task_script_may_commit(STR("INSERT INTO x VALUES (1);\n  Commit;\n")) &&
		  task_script_may_commit(STR("SELECT 1; ROLLBACK")) &&
		  task_script_may_commit(STR("abort;")) && !task_script_may_commit(STR("END;")) &&
		  !task_script_may_commit(STR("SELECT a AS commit FROM rollback_1;\ncommits\n")) &&
		  !task_script_may_commit(STR("")),
	    "what ends a transaction");
	CHECK(!task_script_may_commit(STR("SAVEPOINT a; ROLLBACK TO a; rollback work\nto "
					  "savepoint a;\nROLLBACK TRANSACTION TO a")) &&
		  task_script_may_commit(STR("ROLLBACK WORK; SELECT 1")) &&
		  task_script_may_commit(STR("rollback transaction")) &&
		  task_script_may_commit(STR("ROLLBACK TO a; ROLLBACK AND CHAIN")) &&
		  task_script_may_commit(STR("ROLLBACK tomorrow")),
	    "back to a savepoint is none");
	CHECK(task_script_needs_restrict(STR("SELECT '\\';")) &&
		  !task_script_needs_restrict(STR("SELECT 1;")),
	    "a backslash may be a meta-command for psql");
}

static void
test_pgbench(void)
{
	struct msg_task_state m = {0};

	CHECK(task_pgbench_progress(STR("pgbench (17.6)\nprogress: 2.0 s, 991.5 tps, lat 1 ms\n"
					"progress: 4.0 s, 1 tps\n")) == 4 &&
		  task_pgbench_progress(STR("progress: x")) == -1 &&
		  task_pgbench_progress(STR("")) == -1,
	    "progress");
	CHECK(task_pgbench_report(STR("number of failed transactions: 0 (0.000%)\n"
				      "latency average = 1.234 ms\nlatency stddev = 0.500 ms\n"
				      "initial connection time = 3.2 ms\n"
				      "tps = 1620.123456 (without initial connection time)\n"),
		  &m) &&
		  strcmp(m.tps, "1620.123") == 0 && strcmp(m.latency_avg, "1.234") == 0 &&
		  strcmp(m.latency_stddev, "0.500") == 0,
	    "the report");
	CHECK(!task_pgbench_report(STR("tps = -nan (without)\n"), &m) && m.tps[0] == '\0' &&
		  !task_pgbench_report(STR(""), &m),
	    "a report of nothing");
	CHECK(!task_pgbench_report(STR("tps = . (without)\nlatency average = .5 ms\n"), &m) &&
		  m.tps[0] == '\0' && m.latency_avg[0] == '\0',
	    "a point is no number");
	CHECK(!task_pgbench_report(STR("tps = 12345678901234567.1 (without)\n"), &m) &&
		  task_pgbench_report(STR("tps = 123456789012.98765 (without)\n"), &m) &&
		  strcmp(m.tps, "123456789012.987") == 0,
	    "nor is the beginning of one that is too long");
}

static bool
about(const char *text, double ms)
{
	double v = strtod(text, NULL);

	return v >= ms && v <= ms * 1.0101;
}

static void
test_latencies(void)
{
	static struct latencies l;
	char p50[17], p99[17], none[17];
	size_t n;

	task_latency_text(&l, 50, none);
	CHECK(none[0] == '\0', "nothing was measured");
	n = task_latency_read(
	    &l, STR("0 1 2000 0 1700000000 5\n1 2 failed 0 1700000000 6\n\n7\n0 3 1"));
	CHECK(l.n == 1 &&
		  n == sizeof("0 1 2000 0 1700000000 5\n1 2 failed 0 1700000000 6\n\n7\n") - 1,
	    "whole lines; those that say no time are not counted");
	memset(&l, 0, sizeof(l));
	for (uint64_t us = 1; us <= 100000; us++)
		task_latency_add(&l, us);
	task_latency_text(&l, 50, p50);
	task_latency_text(&l, 99, p99);
	CHECK(about(p50, 50.) && about(p99, 99.), "percentiles, to 1 %");
	task_latency_add(&l, UINT64_MAX);
	task_latency_add(&l, 0);
	CHECK(l.n == 100002, "no latency is out of range");
}

int
main(void)
{
	test_hex();
	test_dbname();
	test_vacuum();
	test_backend();
	test_failure();
	test_tail();
	test_scrub();
	test_scrub_languages();
	test_scrub_values();
	test_scripts();
	test_pgbench();
	test_latencies();
	return tap_done();
}
