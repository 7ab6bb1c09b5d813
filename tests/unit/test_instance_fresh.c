/*
 * A data directory that never ran is put aside, and only with the mark; one that ran, or that was
 * put there by somebody, never.
 */
#include <unistd.h>

#include "instance/instance.h"
#include "tests/unit/tap.h"
#include "tests/unit/volume.h"

static char dir[] = "/tmp/test_fresh.XXXXXX";
static struct err e;

/* What initdb leaves when it is killed early, and late. */
static void
make_data(bool late)
{
	make_dir(dir, "data");
	make_dir(dir, "data/global");
	make_dir(dir, "data/base");
	make_dir(dir, "data/base/1");
	make_file(dir, "data/PG_VERSION");
	make_file(dir, "data/base/1/1259");
	if (late)
		make_file(dir, "data/global/pg_control");
}

static void
test_unmarked(void)
{
	make_data(true);
	CHECK(fresh_look(dir, NULL) == FRESH_UNKNOWN,
	    "without the mark it is somebody's, though no postmaster ran");
	make_file(dir, "data/postmaster.opts");
	CHECK(fresh_look(dir, NULL) == FRESH_RAN, "one ran");
	CHECK(!fresh_is_empty(at(dir, "data")), "and it is not empty");
	CHECK(fresh_discard(dir, NULL, &e) == 0 && !there(dir, "data") &&
		  there(dir, "data.unfinished/base/1/1259"),
	    "(put aside for the next test)");
}

static void
test_marked(void)
{
	CHECK(fresh_look(dir, NULL) == FRESH_EMPTY && fresh_mark(dir, NULL, &e) == 0 &&
		  fresh_mark(dir, NULL, &e) == 0,
	    "an absent one is empty, and is marked, twice too");
	make_dir(dir, "data");
	make_dir(dir, "data/lost+found");
	make_file(dir, "data/.hidden");
	CHECK(
	    fresh_look(dir, NULL) == FRESH_EMPTY, "what does not count for Patroni does not count");
	make_data(false);
	CHECK(fresh_look(dir, NULL) == FRESH_UNFINISHED, "marked and filled, but never started");
	CHECK(fresh_discard(dir, NULL, &e) == 0 && !there(dir, "data") &&
		  !there(dir, "data.unfinished"),
	    "without pg_control it is removed, and the earlier one with it");
	CHECK(fresh_look(dir, NULL) == FRESH_EMPTY && there(dir, ".bestgres.fresh"),
	    "the mark stays");
	make_data(true);
	make_file(dir, "data/backup_manifest");
	CHECK(fresh_look(dir, NULL) == FRESH_UNKNOWN, "a complete base backup is left to Patroni");
	(void)unlink(at(dir, "data/backup_manifest"));
	CHECK(fresh_look(dir, NULL) == FRESH_UNFINISHED && fresh_discard(dir, NULL, &e) == 0 &&
		  there(dir, "data.unfinished/global/pg_control"),
	    "with pg_control it is kept aside");
}

/* Somebody's backup in the place of a database that ran must never be taken for debris. */
static void
test_ran(void)
{
	make_data(true);
	make_file(dir, "data/postmaster.opts");
	CHECK(fresh_look(dir, NULL) == FRESH_RAN && !there(dir, ".bestgres.fresh"),
	    "once a postmaster ran, the mark goes");
	(void)unlink(at(dir, "data/postmaster.opts"));
	CHECK(fresh_look(dir, NULL) == FRESH_UNKNOWN,
	    "and what stands there later is not ours to judge");
}

/* A symlink in a data directory leads elsewhere: what is there stays. */
static void
test_symlink(void)
{
	char target[256];

	make_dir(dir, "elsewhere");
	make_file(dir, "elsewhere/precious");
	(void)snprintf(target, sizeof(target), "%s/elsewhere", dir);
	(void)unlink(at(dir, "data/global/pg_control"));
	CHECK(symlink(target, at(dir, "data/pg_wal")) == 0 && fresh_mark(dir, NULL, &e) == 0 &&
		  fresh_look(dir, NULL) == FRESH_UNFINISHED && fresh_discard(dir, NULL, &e) == 0 &&
		  !there(dir, "data.unfinished") && there(dir, "elsewhere/precious"),
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
	(void)unlink(at(dir, "elsewhere/precious"));
	(void)rmdir(at(dir, "elsewhere"));
	(void)unlink(at(dir, ".bestgres.fresh"));
	(void)rmdir(dir);
	return tap_done();
}
