/* A data directory gives way in one go, keeps its content where it is asked to, and never else. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "instance/instance.h"
#include "tests/unit/tap.h"
#include "tests/unit/volume.h"

static char dir[] = "/tmp/test_aside.XXXXXX";
static struct err e;

static void
make_link(const char *name, const char *to)
{
	char target[512];

	(void)snprintf(target, sizeof(target), "%s", to);
	if (symlink(target, at(dir, name)) == -1 && errno != EEXIST)
		die("symlink %s", path);
}

static void
make_data(void)
{
	make_dir(dir, "data");
	make_dir(dir, "data/global");
	make_dir(dir, "data/pg_tblspc");
	make_file(dir, "data/PG_VERSION");
	make_file(dir, "data/global/pg_control");
}

static void
test_standby(void)
{
	make_data();
	CHECK(!aside_is_standby(dir), "a primary's has no standby.signal");
	make_file(dir, "data/standby.signal");
	CHECK(aside_is_standby(dir), "a standby's has");
}

static void
test_unfit(void)
{
	CHECK(!aside_is_left(dir), "nothing was put aside yet");
	CHECK(aside_move(dir, "data", ASIDE_UNFIT, &e) == 0 && !there(dir, "data") &&
		  there(dir, ASIDE_UNFIT "/global/pg_control") && aside_is_left(dir),
	    "all of it has another name");
	make_data();
	CHECK(aside_move(dir, "data", ASIDE_UNFIT, &e) == -1 && there(dir, "data/PG_VERSION") &&
		  there(dir, ASIDE_UNFIT "/standby.signal"),
	    "what was put aside before is not overwritten");
	CHECK(aside_remove(dir, NULL, &e) == 0 && !aside_is_left(dir) &&
		  there(dir, "data/PG_VERSION"),
	    "only that is removed");
	CHECK(aside_remove(dir, NULL, &e) == 0, "and once is enough");
}

/* What a half finished removal left is not refused, nor is an empty directory replaced. */
static void
test_half(void)
{
	make_dir(dir, ASIDE_UNFIT);
	CHECK(aside_is_left(dir) && aside_move(dir, "data", ASIDE_UNFIT, &e) == -1,
	    "an empty one counts too");
	CHECK(aside_remove(dir, NULL, &e) == 0 && aside_move(dir, "data", ASIDE_UNFIT, &e) == 0,
	    "the removal is resumed first");
}

static void
test_tablespaces(void)
{
	char inside[512], outside[] = "/tmp/test_aside_out.XXXXXX", file[600];
	int fd;

	if (mkdtemp(outside) == NULL)
		die("mkdtemp");
	(void)snprintf(file, sizeof(file), "%s/precious", outside);
	fd = open(file, O_WRONLY | O_CREAT, 0600);
	(void)close(fd);
	make_dir(dir, "space");
	make_file(dir, "space/rows");
	make_dir(dir, "data");
	make_file(dir, "data/mine");
	(void)snprintf(inside, sizeof(inside), "%s/space", dir);
	make_link(ASIDE_UNFIT "/pg_tblspc/1", inside);
	make_link(ASIDE_UNFIT "/pg_tblspc/2", outside);
	(void)snprintf(inside, sizeof(inside), "%s/data", dir);
	make_link(ASIDE_UNFIT "/pg_tblspc/3", inside);
	(void)snprintf(inside, sizeof(inside), "%s/space/../data", dir);
	make_link(ASIDE_UNFIT "/pg_tblspc/4", inside);
	make_link(ASIDE_UNFIT "/pg_tblspc/5", dir);
	(void)snprintf(inside, sizeof(inside), "%s//data", dir);
	make_link(ASIDE_UNFIT "/pg_tblspc/6", inside);
	CHECK(aside_has_tablespaces(dir), "a tablespace in the volume is seen");
	CHECK(aside_remove(dir, NULL, &e) == 0 && !aside_is_left(dir) && !there(dir, "space"),
	    "a tablespace in the volume goes with it");
	CHECK(access(file, F_OK) == 0, "none elsewhere");
	CHECK(there(dir, "data/mine"), "and never what is a data directory now");
	(void)unlink(file);
	(void)rmdir(outside);
}

/* The clone has filled the place already when a removal is resumed. */
static void
test_tablespace_in_use(void)
{
	char space[512];

	make_dir(dir, "space");
	make_file(dir, "space/rows");
	make_dir(dir, ASIDE_UNFIT);
	make_dir(dir, ASIDE_UNFIT "/pg_tblspc");
	CHECK(!aside_has_tablespaces(dir), "none in the volume");
	make_dir(dir, "data/pg_tblspc");
	(void)snprintf(space, sizeof(space), "%s/space", dir);
	make_link("data/pg_tblspc/1", space);
	make_link(ASIDE_UNFIT "/pg_tblspc/1", space);
	CHECK(aside_remove(dir, NULL, &e) == 0 && !aside_is_left(dir) && there(dir, "space/rows"),
	    "a tablespace that the data directory has now stays");
	(void)unlink(at(dir, "space/rows"));
	(void)rmdir(at(dir, "space"));
	(void)unlink(at(dir, "data/pg_tblspc/1"));
}

static void
test_kept(void)
{
	char name[ASIDE_NAME_SIZE], second[ASIDE_NAME_SIZE];

	aside_find_kept(dir, name);
	CHECK(name[0] == '\0', "nothing is kept");
	make_data();
	CHECK(aside_name(dir, NULL, 7460000000000000001u, name, &e) == 0 &&
		  strcmp(name, "data.kept-7460000000000000001-1") == 0 &&
		  aside_move(dir, "data", name, &e) == 0,
	    "kept under its own name");
	make_data();
	CHECK(aside_name(dir, NULL, 7460000000000000001u, second, &e) == 0 &&
		  strcmp(second, "data.kept-7460000000000000001-2") == 0,
	    "the next one beside it");
	CHECK(aside_remove(dir, NULL, &e) == 0 && there(dir, name), "what is kept is not removed");
	aside_find_kept(dir, second);
	CHECK(strcmp(name, second) == 0, "it is found");
	aside_find_kept("/nowhere", second);
	CHECK(second[0] == '\0', "elsewhere nothing is");
}

static void
make_tablespace(const char *link, const char *name)
{
	char place[512], row[64];

	make_dir(dir, name);
	(void)snprintf(row, sizeof(row), "%s/row", name);
	make_file(dir, row);
	(void)snprintf(place, sizeof(place), "%s/%s", dir, name);
	make_link(link, place);
}

/* A clone wants their places empty; killed between any two renames, the next start goes on. */
static void
test_kept_tablespaces(void)
{
	char name[ASIDE_NAME_SIZE], moved[ASIDE_NAME_SIZE + 32];
	char outside[] = "/tmp/test_aside_out.XXXXXX";

	if (mkdtemp(outside) == NULL)
		die("mkdtemp");
	make_data();
	make_tablespace("data/pg_tblspc/1", "space1");
	make_tablespace("data/pg_tblspc/2", "space2");
	make_link("data/pg_tblspc/3", outside);
	CHECK(aside_finish(dir, NULL, &e) == 0 && there(dir, "space1/row"),
	    "tablespaces stay with their PGDATA");
	CHECK(aside_name(dir, NULL, 9, name, &e) == 0 && aside_move(dir, "data", name, &e) == 0 &&
		  there(dir, "space1/row") && there(dir, "space2/row"),
	    "killed after the first step: they are in their places");
	(void)snprintf(moved, sizeof(moved), "%s/tablespaces", name);
	make_dir(dir, moved);
	(void)snprintf(moved, sizeof(moved), "%s/tablespaces/2", name);
	CHECK(aside_move(dir, "space2", moved, &e) == 0 && aside_finish(dir, NULL, &e) == 0 &&
		  !there(dir, "space1") && !there(dir, "space2") && access(outside, F_OK) == 0,
	    "killed between two of them: the rest follows, and none from elsewhere");
	(void)snprintf(moved, sizeof(moved), "%s/tablespaces/1/row", name);
	CHECK(there(dir, moved) && there(dir, name), "nothing of them is lost");
	make_data();
	make_tablespace("data/pg_tblspc/1", "space1");
	CHECK(aside_finish(dir, NULL, &e) == 0 && there(dir, "space1/row"),
	    "the clone's are its own");
	CHECK(aside_move(dir, "data", ASIDE_UNFIT, &e) == 0 && aside_finish(dir, NULL, &e) == 0 &&
		  there(dir, "space1/row"),
	    "also when it was put aside");
	CHECK(aside_remove(dir, NULL, &e) == 0 && !there(dir, "space1") && there(dir, moved),
	    "and what is kept is not removed with it");
	CHECK(aside_move(dir, name, ASIDE_UNFIT, &e) == 0 && aside_remove(dir, NULL, &e) == 0,
	    "one directory holds all that is kept");
	(void)rmdir(outside);
}

/* Of two that are kept, the older one's tablespace was gone when it was put aside. */
static void
test_another_ones_tablespace(void)
{
	char older[ASIDE_NAME_SIZE], later[ASIDE_NAME_SIZE], row[ASIDE_NAME_SIZE + 32];

	make_data();
	make_tablespace("data/pg_tblspc/1", "space1");
	CHECK(aside_move(dir, "space1", "gone", &e) == 0 &&
		  aside_name(dir, NULL, 5, older, &e) == 0 &&
		  aside_move(dir, "data", older, &e) == 0 && aside_finish(dir, NULL, &e) == 0,
	    "one whose tablespace is not there");
	make_data();
	make_tablespace("data/pg_tblspc/2", "space1");
	CHECK(aside_name(dir, NULL, 6, later, &e) == 0 && aside_move(dir, "data", later, &e) == 0 &&
		  aside_finish(dir, NULL, &e) == 0,
	    "a later one with another at its place");
	(void)snprintf(row, sizeof(row), "%s/tablespaces/2/row", later);
	CHECK(there(dir, row), "has what is its own");
	(void)snprintf(row, sizeof(row), "%s/tablespaces", older);
	CHECK(!there(dir, row), "and the older one takes nothing");
	(void)snprintf(row, sizeof(row), "%s/tablespaces/2", later);
	CHECK(aside_move(dir, row, "space1", &e) == 0 && aside_move(dir, later, "data", &e) == 0 &&
		  aside_move(dir, "data", later, &e) == 0 && aside_finish(dir, NULL, &e) == 0 &&
		  there(dir, row),
	    "somebody went back to it: put aside again it takes its own again");
	CHECK(aside_move(dir, older, ASIDE_UNFIT, &e) == 0 && aside_remove(dir, NULL, &e) == 0 &&
		  aside_move(dir, later, ASIDE_UNFIT, &e) == 0 &&
		  aside_remove(dir, NULL, &e) == 0 &&
		  aside_move(dir, "gone", ASIDE_UNFIT, &e) == 0 && aside_remove(dir, NULL, &e) == 0,
	    "that was all");
}

/* The WAL's volume is beside it here, as "wal". */
static void
test_wal(void)
{
	char wal[300], target[400], name[ASIDE_NAME_SIZE];

	(void)snprintf(wal, sizeof(wal), "%s/wal", dir);
	(void)snprintf(target, sizeof(target), "%s/wal/pg_wal", dir);
	make_dir(dir, "wal");
	make_dir(dir, "wal/pg_wal");
	make_file(dir, "wal/pg_wal/000000010000000000000001");
	make_data();
	make_link("data/pg_wal", target);
	CHECK(aside_finish(dir, wal, &e) == 0 && there(dir, "wal/pg_wal/000000010000000000000001"),
	    "WAL stays with its PGDATA");
	CHECK(aside_move(dir, "data", ASIDE_UNFIT, &e) == 0 &&
		  there(dir, "wal/pg_wal/000000010000000000000001"),
	    "killed in between: WAL without PGDATA");
	CHECK(aside_finish(dir, wal, &e) == 0 && !there(dir, "wal/pg_wal") &&
		  there(dir, "wal/pg_wal.unfit/000000010000000000000001"),
	    "the link says whose it is, and it follows");
	make_dir(dir, "wal/pg_wal");
	make_file(dir, "wal/pg_wal/000000010000000000000002");
	CHECK(aside_finish(dir, wal, &e) == 0 && there(dir, "wal/pg_wal/000000010000000000000002"),
	    "a clone's is not taken for it");
	CHECK(aside_remove(dir, wal, &e) == 0 && !aside_is_left(dir) &&
		  !there(dir, "wal/pg_wal.unfit") &&
		  there(dir, "wal/pg_wal/000000010000000000000002"),
	    "only its own is removed with it");
	CHECK(aside_finish(dir, wal, &e) == 0 && there(dir, "wal/pg_wal/000000010000000000000002"),
	    "nobody's WAL is left alone");
	make_data();
	make_link("data/pg_wal", target);
	CHECK(aside_name(dir, wal, 7, name, &e) == 0 && aside_move(dir, "data", name, &e) == 0 &&
		  aside_finish(dir, wal, &e) == 0 &&
		  there(dir, "wal/pg_wal.kept-7-1/000000010000000000000002") &&
		  aside_remove(dir, wal, &e) == 0 && there(dir, "wal/pg_wal.kept-7-1") &&
		  there(dir, name),
	    "what is kept is kept with its WAL");
	CHECK(aside_move(dir, name, "moved", &e) == 0 && aside_name(dir, wal, 7, name, &e) == 0 &&
		  strcmp(name, "data.kept-7-2") == 0 &&
		  aside_move(dir, "moved", "data.kept-7-1", &e) == 0 &&
		  aside_name(dir, wal, 7, name, &e) == 0 && strcmp(name, "data.kept-7-2") == 0,
	    "a name that only the WAL's volume has is taken as well");
	CHECK(aside_move(dir, "data.kept-7-1", ASIDE_UNFIT, &e) == 0 &&
		  aside_move(wal, "pg_wal.kept-7-1", "pg_wal.unfit", &e) == 0 &&
		  aside_remove(dir, wal, &e) == 0 && rmdir(wal) == 0,
	    "that was all");
}

static void
test_trouble(void)
{
	CHECK(aside_move("/nowhere", "data", ASIDE_UNFIT, &e) == -1 && e.code == ERR_RETRY,
	    "no volume");
	CHECK(aside_move(dir, "absent", ASIDE_UNFIT, &e) == -1 && !aside_is_left(dir),
	    "nothing to put aside");
	CHECK(!aside_fits_twice("/nowhere") && !aside_is_in_the_way("/nowhere"),
	    "what can not be asked for its room");
}

int
main(void)
{
	static const char *const left[] = {"data", "data.kept-7460000000000000001-1"};

	if (mkdtemp(dir) == NULL)
		return 1;
	test_standby();
	test_unfit();
	test_half();
	test_tablespaces();
	test_tablespace_in_use();
	test_kept();
	test_kept_tablespaces();
	test_another_ones_tablespace();
	test_trouble();
	test_wal();
	for (unsigned i = 0; i < 2; i++)
		if (there(dir, left[i]) && (aside_move(dir, left[i], ASIDE_UNFIT, &e) == -1 ||
					       aside_remove(dir, NULL, &e) == -1))
			printf("# %s\n", e.text);
	CHECK(rmdir(dir) == 0, "nothing else is left");
	return tap_done();
}
