/*
 * A data directory that never ran is put aside, and only with the mark; one that ran, or that was
 * put there by somebody, never.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "instance/instance.h"
#include "tests/unit/tap.h"

static char dir[] = "/tmp/test_fresh.XXXXXX";
static char path[256];
static struct err e;

static const char *
at(const char *name)
{
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static bool
there(const char *name)
{
	return access(at(name), F_OK) == 0;
}

static void
make_dir(const char *name)
{
	if (mkdir(at(name), 0700) == -1 && errno != EEXIST)
		die("mkdir %s", path);
}

static void
make_file(const char *name)
{
	int fd = open(at(name), O_WRONLY | O_CREAT, 0600);

	if (fd == -1)
		die("create %s", path);
	(void)close(fd);
}

/* What initdb leaves when it is killed early, and late. */
static void
make_data(bool late)
{
	make_dir("data");
	make_dir("data/global");
	make_dir("data/base");
	make_dir("data/base/1");
	make_file("data/PG_VERSION");
	make_file("data/base/1/1259");
	if (late)
		make_file("data/global/pg_control");
}

static void
test_unmarked(void)
{
	make_data(true);
	CHECK(fresh_look(dir, NULL) == FRESH_UNKNOWN,
	    "without the mark it is somebody's, though no postmaster ran");
	make_file("data/postmaster.opts");
	CHECK(fresh_look(dir, NULL) == FRESH_RAN, "one ran");
	CHECK(!fresh_is_empty(at("data")), "and it is not empty");
	CHECK(fresh_discard(dir, NULL, &e) == 0 && !there("data") &&
		  there("data.unfinished/base/1/1259"),
	    "(put aside for the next test)");
}

static void
test_marked(void)
{
	CHECK(fresh_look(dir, NULL) == FRESH_EMPTY && fresh_mark(dir, NULL, &e) == 0 &&
		  fresh_mark(dir, NULL, &e) == 0,
	    "an absent one is empty, and is marked, twice too");
	make_dir("data");
	make_dir("data/lost+found");
	make_file("data/.hidden");
	CHECK(
	    fresh_look(dir, NULL) == FRESH_EMPTY, "what does not count for Patroni does not count");
	make_data(false);
	CHECK(fresh_look(dir, NULL) == FRESH_UNFINISHED, "marked and filled, but never started");
	CHECK(fresh_discard(dir, NULL, &e) == 0 && !there("data") && !there("data.unfinished"),
	    "without pg_control it is removed, and the earlier one with it");
	CHECK(fresh_look(dir, NULL) == FRESH_EMPTY && there(".bestgres.fresh"), "the mark stays");
	make_data(true);
	make_file("data/backup_manifest");
	CHECK(fresh_look(dir, NULL) == FRESH_UNKNOWN, "a complete base backup is left to Patroni");
	(void)unlink(at("data/backup_manifest"));
	CHECK(fresh_look(dir, NULL) == FRESH_UNFINISHED && fresh_discard(dir, NULL, &e) == 0 &&
		  there("data.unfinished/global/pg_control"),
	    "with pg_control it is kept aside");
}

/* Somebody's backup in the place of a database that ran must never be taken for debris. */
static void
test_ran(void)
{
	make_data(true);
	make_file("data/postmaster.opts");
	CHECK(fresh_look(dir, NULL) == FRESH_RAN && !there(".bestgres.fresh"),
	    "once a postmaster ran, the mark goes");
	(void)unlink(at("data/postmaster.opts"));
	CHECK(fresh_look(dir, NULL) == FRESH_UNKNOWN,
	    "and what stands there later is not ours to judge");
}

/* A symlink in a data directory leads elsewhere: what is there stays. */
static void
test_symlink(void)
{
	char target[256];

	make_dir("elsewhere");
	make_file("elsewhere/precious");
	(void)snprintf(target, sizeof(target), "%s/elsewhere", dir);
	(void)unlink(at("data/global/pg_control"));
	CHECK(symlink(target, at("data/pg_wal")) == 0 && fresh_mark(dir, NULL, &e) == 0 &&
		  fresh_look(dir, NULL) == FRESH_UNFINISHED && fresh_discard(dir, NULL, &e) == 0 &&
		  !there("data.unfinished") && there("elsewhere/precious"),
	    "the removal does not follow a symlink");
}

int
main(void)
{
	if (mkdtemp(dir) == NULL)
		return 1;
	test_unmarked();
	test_marked();
	test_ran();
	test_symlink();
	CHECK(fresh_mark("/nowhere", NULL, &e) == -1 && strstr(e.text, "/nowhere") != NULL,
	    "a mark that can not be set is an error");
	(void)unlink(at("elsewhere/precious"));
	(void)rmdir(at("elsewhere"));
	(void)unlink(at(".bestgres.fresh"));
	(void)rmdir(dir);
	return tap_done();
}
