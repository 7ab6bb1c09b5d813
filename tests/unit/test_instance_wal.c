/*
 * PGDATA and its WAL on two volumes: what is there together works, what is apart is told and never
 * touched, and only WAL that bears the mark of an unfinished data directory goes with that.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "instance/instance.h"
#include "tests/unit/tap.h"
#include "tests/unit/volume.h"

#define SEGMENT "000000010000000000000001"

static char root[] = "/tmp/test_wal.XXXXXX";
static char data[64], wal[64], text[IPC_TEXT_MAX + 1];
static struct err e;

/* Two new volumes. */
static void
renew(void)
{
	(void)tree_remove(data);
	(void)tree_remove(wal);
	make_dir(root, "pgdata");
	make_dir(root, "pgwal");
}

/* What initdb --waldir or pg_basebackup --waldir leaves. */
static void
make_data(bool ran)
{
	char target[128];

	make_dir(data, "data");
	make_dir(data, "data/global");
	make_file(data, "data/PG_VERSION");
	make_dir(wal, "pg_wal");
	make_file(wal, "pg_wal/" SEGMENT);
	(void)snprintf(target, sizeof(target), "%s/pg_wal", wal);
	if (symlink(target, at(data, "data/pg_wal")) == -1 && errno != EEXIST)
		die("link %s", path);
	if (ran)
		make_file(data, "data/postmaster.opts");
}

static void
test_together(void)
{
	renew();
	CHECK(wal_look(data, wal, text) == WAL_TOGETHER && wal_is_empty(wal), "two new volumes");
	make_dir(wal, "lost+found");
	make_dir(wal, "pg_wal");
	CHECK(wal_is_empty(wal) && wal_is_empty(NULL), "what mkfs leaves is not in the directory");
	make_data(true);
	CHECK(wal_look(data, wal, text) == WAL_TOGETHER && !wal_is_empty(wal),
	    "a link that leads there");
	CHECK(wal_mount() == NULL && setenv("BESTGRES_WAL", "/pgwal", 1) == 0 &&
		  strcmp(wal_mount(), "/pgwal") == 0,
	    "the environment says whether there is one");
}

static void
test_apart(void)
{
	renew();
	make_data(true);
	(void)tree_remove(wal);
	make_dir(root, "pgwal");
	CHECK(
	    wal_look(data, wal, text) == WAL_MISSING && strstr(text, "not in volume pgwal") != NULL,
	    "PGDATA beside a new, empty volume");
	make_dir(wal, "pg_wal");
	make_file(wal, "pg_wal/notes.txt");
	CHECK(wal_look(data, wal, text) == WAL_MISSING, "or one without any segment");
	make_file(data, "data/backup_label");
	CHECK(wal_look(data, wal, text) == WAL_TOGETHER, "but for a base backup that was restored");
	(void)unlink(at(data, "data/backup_label"));
	CHECK(wal_look(data, NULL, text) == WAL_MISSING && strstr(text, "spec.walStorage") != NULL,
	    "a pod without the volume");
	make_file(wal, "pg_wal/" SEGMENT);
	CHECK(wal_look(data, wal, text) == WAL_TOGETHER, "the right one again");
	(void)tree_remove(at(data, "data"));
	CHECK(wal_look(data, wal, text) == WAL_ALONE && strstr(text, "docs/storage.md") != NULL,
	    "WAL beside an empty PGDATA");
	CHECK(fresh_look(data, wal) == FRESH_EMPTY && fresh_mark(data, wal, &e) == -1 &&
		  !there(data, ".bestgres.fresh") && !there(wal, ".bestgres.fresh"),
	    "is nobody's to mark,");
	CHECK(fresh_look(data, wal) == FRESH_EMPTY && there(wal, "pg_wal/" SEGMENT), "and stays");
	CHECK(wal_look(data, NULL, text) == WAL_TOGETHER, "who has no such volume does not look");
}

static void
test_inside(void)
{
	renew();
	make_dir(data, "data");
	make_file(data, "data/PG_VERSION");
	CHECK(wal_look(data, wal, text) == WAL_TOGETHER, "a data directory in the making");
	make_dir(data, "data/pg_wal");
	CHECK(wal_look(data, wal, text) == WAL_INSIDE && strstr(text, "in PGDATA") != NULL,
	    "WAL in PGDATA, though it has a volume");
	CHECK(wal_look(data, NULL, text) == WAL_TOGETHER, "as it is without one");
	(void)tree_remove(at(data, "data/pg_wal"));
	make_dir(data, "elsewhere");
	make_file(data, "elsewhere/" SEGMENT);
	CHECK(symlink("../elsewhere", at(data, "data/pg_wal")) == 0 &&
		  wal_look(data, wal, text) == WAL_INSIDE &&
		  wal_look(data, NULL, text) == WAL_TOGETHER,
	    "a link of somebody's that leads elsewhere works");
}

static const char *
moved(void)
{
	static char out[96];

	(void)snprintf(out, sizeof(out), "%s/moved", root);
	return out;
}

/* Killed at each point of a first start. */
static void
test_unfinished(void)
{
	renew();
	CHECK(fresh_look(data, wal) == FRESH_EMPTY && fresh_mark(data, wal, &e) == 0 &&
		  fresh_mark(data, wal, &e) == 0 && there(data, ".bestgres.fresh") &&
		  there(wal, ".bestgres.fresh"),
	    "both are marked, twice too");
	make_data(false);
	CHECK(fresh_look(data, wal) == FRESH_UNFINISHED && fresh_discard(data, wal, &e) == 0 &&
		  !there(data, "data") && !there(data, "data.unfinished") &&
		  !there(wal, "pg_wal") && !there(wal, "pg_wal.unfinished"),
	    "filled but never started: both go");
	make_data(false);
	make_file(data, "data/global/pg_control");
	CHECK(fresh_look(data, wal) == FRESH_UNFINISHED && fresh_discard(data, wal, &e) == 0 &&
		  there(data, "data.unfinished/global/pg_control") &&
		  there(wal, "pg_wal.unfinished/" SEGMENT) && wal_is_empty(wal),
	    "with pg_control both are kept aside");
	make_data(false);
	CHECK(rename(at(wal, "pg_wal"), moved()) == 0 &&
		  fresh_look(data, wal) == FRESH_UNFINISHED && fresh_discard(data, wal, &e) == 0 &&
		  !there(data, "data") && !there(wal, "pg_wal.unfinished"),
	    "killed after the WAL was put aside: goes on");
	make_dir(wal, "pg_wal");
	make_file(wal, "pg_wal/" SEGMENT);
	CHECK(fresh_look(data, wal) == FRESH_UNFINISHED && fresh_discard(data, wal, &e) == 0 &&
		  wal_is_empty(wal) && wal_look(data, wal, text) == WAL_TOGETHER,
	    "WAL that a failed base backup left");
	(void)tree_remove(moved());
	make_data(true);
	CHECK(fresh_look(data, wal) == FRESH_RAN && !there(data, ".bestgres.fresh") &&
		  !there(wal, ".bestgres.fresh"),
	    "once a postmaster ran, both marks go");
}

/* Its marks must be the same: a volume of another pair is not ours to judge. */
static void
test_other_pair(void)
{
	renew();
	CHECK(fresh_mark(data, wal, &e) == 0, "one pair is marked,");
	make_data(false);
	(void)tree_remove(wal);
	make_dir(root, "pgwal");
	make_file(wal, ".bestgres.fresh");
	make_dir(wal, "pg_wal");
	make_file(wal, "pg_wal/" SEGMENT);
	CHECK(fresh_look(data, wal) == FRESH_UNFINISHED && fresh_discard(data, wal, &e) == 0 &&
		  !there(data, "data") && there(wal, "pg_wal/" SEGMENT),
	    "another volume's WAL stays, whatever mark it has");
	CHECK(fresh_look(data, wal) == FRESH_EMPTY && wal_look(data, wal, text) == WAL_ALONE,
	    "and is told of");
	(void)tree_remove(at(wal, "pg_wal"));
	CHECK(fresh_look(data, wal) == FRESH_EMPTY && fresh_mark(data, wal, &e) == 0,
	    "an empty one is marked anew");
	make_data(false);
	CHECK(fresh_discard(data, wal, &e) == 0 && wal_is_empty(wal), "with the same mark");
}

int
main(void)
{
	if (mkdtemp(root) == NULL)
		return 1;
	(void)snprintf(data, sizeof(data), "%s/pgdata", root);
	(void)snprintf(wal, sizeof(wal), "%s/pgwal", root);
	test_together();
	test_apart();
	test_inside();
	test_unfinished();
	test_other_pair();
	(void)tree_remove(root);
	return tap_done();
}
