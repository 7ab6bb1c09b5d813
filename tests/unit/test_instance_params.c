/* Parameters and pg_hba lines: names, quoting, complaints, preloaded libraries. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "instance/pgctl.h"
#include "tests/unit/tap.h"

static uint8_t reason;
static char text[IPC_TEXT_MAX + 1];

static int
name(const char *key, const char *value)
{
	struct str_pair pair = {str_of(key), str_of(value)};
	const struct str_map map = {&pair, 1};
	const struct str_list none = {NULL, 0};

	return params_check_names(&map, &none, &reason, text);
}

static int
hba(const char *line)
{
	struct str at = str_of(line);
	const struct str_map none = {NULL, 0};
	const struct str_list list = {&at, 1};

	return params_check_names(&none, &list, &reason, text);
}

static void
test_names(void)
{
	CHECK(name("work_mem", "4MB") == 0 && name("pg_stat_statements.max", "1") == 0,
	    "ordinary ones");
	CHECK(name("port", "1") == -1 && reason == REASON_PARAMETER_OWNED &&
		  strncmp(text, "port: ", 6) == 0,
	    "an owned one is named");
	CHECK(name("include", "/etc/passwd") == -1 && name("include_dir", "/etc") == -1 &&
		  name("include_if_exists", "x") == -1 && reason == REASON_PARAMETER_REFUSED,
	    "directives of the file are no parameters");
	CHECK(name("", "x") == -1 && name("a b", "x") == -1 && name("a=b", "x") == -1 &&
		  name("Port", "x") == -1,
	    "names that are none");
	CHECK(name("work_mem", "1\nport = 1") == -1, "no second line in a value");
}

static void
test_hba(void)
{
	static const char *const good[] = {"host all all all md5",
	    "hostssl \"my db\",x all 10.0.0.0/8 cert map=a", "local all app peer", "# a comment",
	    "", "host all all 10.0.0.1 255.255.255.255 reject # why", "hostnossl a b c d",
	    "hostgssenc a b c d", "hostnogssenc a b c d"};
	static const char *const bad[] = {"host all all all", "local all all",
	    "hosts all all all md5", "@/etc/hba", "include other.conf", "host all all # all md5",
	    "host \"all all all md5", "trust"};
	bool all = true;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		all = all && hba(good[i]) == 0;
	CHECK(all, "lines of all kinds");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		all = all && hba(bad[i]) == -1 && reason == REASON_PARAMETER_REFUSED &&
		      text[0] != '\0';
	CHECK(all, "lines that would keep PostgreSQL from reading the file");
}

static void
test_write(void)
{
	struct str_pair pairs[] = {
	    {STR("a"), STR("it's")}, {STR("b.c"), STR("back\\slash")}, {STR("d"), STR("")}};
	const struct str_map map = {pairs, 3};
	struct buf out;

	buf_init(&out, 4096);
	params_write(&map, &out);
	CHECK(str_is(buf_view(&out), "a = 'it''s'\nb.c = 'back\\\\slash'\nd = ''\n"),
	    "quote and backslash are doubled");
	buf_free(&out);
}

static void
test_complaint(void)
{
	params_complaint(
	    STR("2026-11-23 10:00:00 UTC [7] LOG:  invalid value for parameter \"work_mem\": "
		"\"x\"\n"
		"2026-11-23 10:00:00 UTC [7] FATAL:  configuration file contains errors\n"),
	    text);
	CHECK(strcmp(text, "invalid value for parameter \"work_mem\": \"x\"") == 0,
	    "the line that names the parameter");
	params_complaint(STR("postgres: could not access the server\n"), text);
	CHECK(strcmp(text, "could not access the server") == 0, "or the program's own");
	params_complaint(STR("no mark\nsecond"), text);
	CHECK(strcmp(text, "no mark") == 0, "or the first line");
	params_complaint(STR(""), text);
	CHECK(text[0] == '\0', "or nothing");
}

static void
test_preload(void)
{
	char dir[] = "/tmp/test_params.XXXXXX", path[64];
	const char *const libs[] = {"/nowhere", dir, NULL}, *const none[] = {"/nowhere", NULL};

	if (mkdtemp(dir) == NULL)
		return;
	(void)snprintf(path, sizeof(path), "%s/pg_stat_statements.so", dir);
	(void)close(open(path, O_CREAT | O_WRONLY, 0644));
	CHECK(params_check_preload(STR("pg_stat_statements"), libs, text) == 0,
	    "a library that is there");
	CHECK(params_check_preload(
		  STR(" \"pg_stat_statements\" , pg_stat_statements.so,, "), libs, text) == 0,
	    "quoted, with blanks and suffix");
	CHECK(params_check_preload(STR("pg_stat_statements, timescaledb"), libs, text) == -1 &&
		  strncmp(text, "timescaledb: ", 13) == 0,
	    "the missing one is named");
	CHECK(
	    params_check_preload(STR("/some/where/else"), libs, text) == 0, "a path is not judged");
	CHECK(params_check_preload(STR("x"), none, text) == 0,
	    "nor anything where no directory is known");
	CHECK(params_check_preload(STR(""), libs, text) == 0, "none wanted");
	(void)unlink(path);
	(void)rmdir(dir);
}

int
main(void)
{
	test_names();
	test_hba();
	test_write();
	test_complaint();
	test_preload();
	return tap_done();
}
