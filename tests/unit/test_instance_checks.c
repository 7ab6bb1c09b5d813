/* Versions, choice of the server, PG_VERSION, pg_controldata, credentials. */
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "instance/pgctl.h"
#include "tests/unit/tap.h"

static char dir[] = "/tmp/test_checks.XXXXXX";

static void
put(const char *name, const char *text, mode_t mode)
{
	char path[128];
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	if ((file = fopen(path, "w")) == NULL)
		return;
	(void)fputs(text, file);
	(void)fclose(file);
	(void)chmod(path, mode);
}

static void
test_version(void)
{
	struct candidate c = {0};

	CHECK(checks_parse_version(
		  STR("postgres (PostgreSQL) 17.2 (Debian 17.2-1.pgdg120+1)\n"), &c) == 0 &&
		  c.major == 17 && strcmp(c.version, "17.2") == 0,
	    "Debian's");
	CHECK(checks_parse_version(STR("postgres (PostgreSQL) 18beta1\n"), &c) == 0 &&
		  c.major == 18 && strcmp(c.version, "18beta1") == 0,
	    "a beta");
	CHECK(checks_parse_version(STR("postgres (EnterpriseDB) 17.2"), &c) == -1 &&
		  checks_parse_version(STR("postgres (PostgreSQL) x"), &c) == -1 &&
		  checks_parse_version(STR("postgres (PostgreSQL) "), &c) == -1 &&
		  checks_parse_version(STR("postgres (PostgreSQL) 100.1"), &c) == -1 &&
		  checks_parse_version(STR("postgres (PostgreSQL) 17.22222222222222222"), &c) == -1,
	    "what is no version");
}

static void
test_choose(void)
{
	const struct candidate c[] = {{"/a", "15.1", 15, false}, {"/b", "17.2", 17, false},
	    {"/c", "16.3", 16, false}, {"/d", "", 0, true}};
	char text[IPC_TEXT_MAX + 1] = "";
	uint8_t reason = REASON_NONE;

	CHECK(checks_choose(c, 4, 0, 0, &reason, text) == &c[1], "the highest");
	CHECK(checks_choose(c, 4, 0, 16, &reason, text) == &c[2], "the wanted one");
	CHECK(checks_choose(c, 4, 15, 17, &reason, text) == &c[0], "PGDATA's, whatever is wanted");
	CHECK(checks_choose(c, 4, 14, 17, &reason, text) == NULL &&
		  reason == REASON_VERSION_MISMATCH && strstr(text, "14") != NULL,
	    "PGDATA of a version that is not there");
	CHECK(checks_choose(c, 4, 0, 18, &reason, text) == NULL &&
		  reason == REASON_POSTGRES_MISSING && strstr(text, "18") != NULL,
	    "a wanted one that is not there");
	CHECK(checks_choose(&c[3], 1, 0, 0, &reason, text) == NULL &&
		  reason == REASON_POSTGRES_MISSING,
	    "one that does not run is none");
}

static void
test_data(void)
{
	struct err e;
	unsigned major = 99;
	uint64_t id;

	CHECK(checks_data_major(dir, &major, &e) == 0 && major == 0, "an empty directory");
	put("PG_VERSION", "17\n", 0600);
	CHECK(checks_data_major(dir, &major, &e) == 0 && major == 17, "PG_VERSION");
	put("PG_VERSION", "", 0600);
	CHECK(
	    checks_data_major(dir, &major, &e) == -1, "an empty PG_VERSION is not an empty PGDATA");
	put("PG_VERSION", "9.6\n", 0600);
	CHECK(checks_data_major(dir, &major, &e) == -1 && major == 0, "a version from before 10");
	CHECK(checks_system_identifier(
		  STR("pg_control version number:            1300\n"
		      "Database system identifier:           7439873465120345671\nx"),
		  &id) == 0 &&
		  id == 7439873465120345671u,
	    "the system identifier");
	CHECK(checks_system_identifier(STR("Database system identifier:   "), &id) == -1 &&
		  checks_system_identifier(STR("nothing"), &id) == -1 &&
		  checks_system_identifier(
		      STR("Database system identifier: 99999999999999999999"), &id) == -1,
	    "none");
}

static void
standing(const char *state, const char *checkpoint, const char *replayed, bool *primary,
    uint32_t *timeline)
{
	char text[512];

	(void)snprintf(text, sizeof(text),
	    "Database system identifier:           7\n"
	    "Database cluster state:               %s\n"
	    "Latest checkpoint's TimeLineID:       %s\n"
	    "Latest checkpoint's PrevTimeLineID:   9\n"
	    "Min recovery ending loc's timeline:   %s\n",
	    state, checkpoint, replayed);
	checks_standing(str_of(text), primary, timeline);
}

static void
test_standing(void)
{
	uint32_t timeline;
	bool primary;

	standing("shut down", "3", "0", &primary, &timeline);
	CHECK(primary && timeline == 3, "a primary that was stopped");
	standing("in production", "12", "0", &primary, &timeline);
	CHECK(primary && timeline == 12, "one that crashed");
	standing("shut down in recovery", "3", "4", &primary, &timeline);
	CHECK(!primary && timeline == 4, "a standby that had replayed a later timeline");
	standing("in archive recovery", "3", "3", &primary, &timeline);
	CHECK(!primary && timeline == 3, "a standby that crashed");
	standing("something new", "x", "99999999999", &primary, &timeline);
	CHECK(!primary && timeline == 0, "what is not understood says nothing");
	checks_standing(STR(""), &primary, &timeline);
	CHECK(!primary && timeline == 0, "nothing says nothing");
	CHECK(checks_stopped_in_order(STR("Database cluster state:               shut down\n")) &&
		  checks_stopped_in_order(STR("Database cluster state: shut down in recovery\n")) &&
		  !checks_stopped_in_order(STR("Database cluster state: in production\n")) &&
		  !checks_stopped_in_order(STR("Database cluster state: shutting down\n")),
	    "who stopped in order");
}

static void
test_recent(void)
{
	char path[128];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/global", dir);
	CHECK(!checks_is_recent(dir, clock_wall_s()), "without a control file no server ran");
	(void)mkdir(path, 0700);
	put("global/pg_control", "x", 0600);
	(void)snprintf(path, sizeof(path), "%s/global/pg_control", dir);
	CHECK(stat(path, &st) == 0 && checks_is_recent(dir, st.st_mtime + 59), "a moment ago");
	CHECK(!checks_is_recent(dir, st.st_mtime + 60), "long ago");
	CHECK(!checks_is_recent(dir, st.st_mtime - 60), "by a clock that can not be right");
	(void)unlink(path);
	(void)snprintf(path, sizeof(path), "%s/global", dir);
	(void)rmdir(path);
}

static void
test_programs(void)
{
	char found[256], path[300];
	struct candidate c[CANDIDATES_MAX];
	unsigned n, with;

	(void)snprintf(path, sizeof(path), "relative:/nowhere:%s", dir);
	CHECK(!checks_find_program("tool", path, found), "not there");
	put("tool", "", 0600);
	CHECK(!checks_find_program("tool", path, found), "not executable");
	put("tool", "", 0700);
	CHECK(checks_find_program("tool", path, found) && strncmp(found, dir, strlen(dir)) == 0,
	    "the last of PATH");
	CHECK(!checks_find_program("tool", "", found), "an empty PATH");
	n = checks_candidates(c, path);
	put("postgres", "", 0700);
	put("initdb", "", 0700);
	CHECK(checks_candidates(c, path) == n, "a directory without all of the server's programs");
	put("pg_controldata", "", 0700);
	with = checks_candidates(c, path);
	CHECK(with == n + 1 && strcmp(c[n].dir, dir) == 0, "a directory with them");
	(void)snprintf(path, sizeof(path), "%s:%s", dir, dir);
	CHECK(checks_candidates(c, path) == with, "counted once");
}

static void
test_credentials(void)
{
	static const char *const names[] = {"superuser", "replication", "rewind", "restapi"};
	struct credentials c;
	struct err e;
	char key[64];

	CHECK(credentials_read(&c, dir, &e) == -1 && strstr(e.text, "superuser-username") != NULL,
	    "the missing key is named");
	for (int i = 0; i < 4; i++) {
		(void)snprintf(key, sizeof(key), "%s-username", names[i]);
		put(key, names[i], 0600);
		(void)snprintf(key, sizeof(key), "%s-password", names[i]);
		put(key, "secret\n", 0600);
	}
	CHECK(credentials_read(&c, dir, &e) == -1 && strstr(e.text, "anchor-uid") != NULL,
	    "no anchor");
	put("anchor-uid", "0f8fad5b-d9cb-469f-a165-70867728950e", 0600);
	CHECK(credentials_read(&c, dir, &e) == 0 && strcmp(c.rewind.username, "rewind") == 0 &&
		  c.rewind.password.len == 6 && !uid_none(&c.anchor),
	    "all of them");
	credentials_free(&c);
	put("rewind-username", "a b", 0600);
	CHECK(credentials_read(&c, dir, &e) == -1, "a name that would need quoting in pg_hba.conf");
	put("rewind-username", "rewind", 0600);
	put("rewind-password", "", 0600);
	CHECK(credentials_read(&c, dir, &e) == -1, "an empty password");
	put("rewind-password", "a\nb", 0600);
	CHECK(credentials_read(&c, dir, &e) == -1, "a password of two lines");
}

static void
clean(void)
{
	DIR *d = opendir(dir);
	struct dirent *entry;

	while (d != NULL && (entry = readdir(d)) != NULL)
		(void)unlinkat(dirfd(d), entry->d_name, 0);
	if (d != NULL)
		(void)closedir(d);
	(void)rmdir(dir);
}

int
main(void)
{
	if (mkdtemp(dir) == NULL)
		return 1;
	test_version();
	test_choose();
	test_data();
	test_standing();
	test_recent();
	test_programs();
	test_credentials();
	clean();
	return tap_done();
}
