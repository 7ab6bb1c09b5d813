/*
 * A clone that gets nothing is told from a slow one, and only what gets nothing at all is killed.
 */
#include "instance/instance.h"
#include "tests/unit/tap.h"

#define MINUTE 60000

static struct clone c;
static struct clone_seen seen;
static struct msec now;

static void
begin(void)
{
	c = (struct clone){0};
	seen = (struct clone_seen){
	    .runs = true, .streams = true, .sleeps = true, .work = 7, .wal = 8, .pids = {20, 21}};
	now.v = 1000000;
}

/* Looks for so long; was it to be killed at any of them? */
static bool
looks(int64_t ms, bool works, bool gets_wal)
{
	bool killed = false;

	for (int64_t t = 0; t < ms; t += CLONE_LOOK_MS) {
		now.v += CLONE_LOOK_MS;
		seen.work += works;
		seen.wal += gets_wal;
		killed = clone_look(&c, &seen, now) || killed;
	}
	return killed;
}

static void
test_stalls(void)
{
	begin();
	CHECK(!looks(600 * MINUTE, true, false) && !c.stalls, "ten hours, but it gets on");
	CHECK(!looks(MINUTE, false, false) && !c.stalls, "a minute without anything is nothing");
	(void)looks(2 * MINUTE, false, false);
	CHECK(c.stalls, "some more is worth a word");
	(void)looks(CLONE_LOOK_MS, true, false);
	CHECK(!c.stalls, "none any more once anything has come");
	for (unsigned i = 0; i < 200; i++)
		if (looks(MINUTE, false, false) || looks(CLONE_LOOK_MS, true, false) || c.stalls)
			break;
	CHECK(!c.stalls && c.kills == 0, "however slow: a packet a minute");
	(void)looks(10 * MINUTE, false, true);
	CHECK(c.stalls, "WAL that comes meanwhile is no file of the backup's");
	begin();
	seen.streams = false;
	seen.pids[1] = 0;
	(void)looks(5 * MINUTE, false, false);
	CHECK(!c.stalls, "the primary's checkpoint may take minutes");
	(void)looks(6 * MINUTE, false, false);
	CHECK(c.stalls, "but is worth a word then");
	seen.runs = false;
	(void)looks(CLONE_LOOK_MS, false, false);
	CHECK(!c.stalls, "nothing runs, nothing stalls");
}

static void
test_kill(void)
{
	begin();
	CHECK(!looks(15 * MINUTE, false, false), "not before TCP has given up");
	CHECK(looks(6 * MINUTE, false, false) && c.kills == 1, "then it is killed");
	seen.work = 70; /* Patroni's next one */
	CHECK(!looks(15 * MINUTE, false, false) && looks(6 * MINUTE, false, false) && c.kills == 2,
	    "so is the next one, as late");
	seen.work = 700;
	(void)looks(21 * MINUTE, false, false);
	CHECK(!looks(600 * MINUTE, false, false) && c.kills == CLONE_KILLS_MAX && c.stalls,
	    "not without end, and it goes on saying so");
	begin();
	CHECK(!looks(600 * MINUTE, false, true) && c.stalls,
	    "never while WAL comes: its first process may only wait for that");
	begin();
	seen.sleeps = false;
	CHECK(!looks(600 * MINUTE, false, false) && c.stalls,
	    "never while the kernel works for it: a disk that is slow, or hangs");
	begin();
	seen.pids[0] = seen.pids[1] = 0;
	CHECK(
	    !looks(600 * MINUTE, false, false) && c.stalls, "never another program of the user's");
	begin();
	(void)looks(19 * MINUTE, false, false);
	now.v += 60 * MINUTE;
	CHECK(!looks(19 * MINUTE, false, false),
	    "while we did not run, for whatever reason, nobody may have");
}

static void
test_tries(void)
{
	struct clone_tries t = {0};

	for (unsigned i = 0; i < 50; i++)
		clone_note(&t, "creating replica", false);
	CHECK(!clone_fails(&t), "one that lasts has not failed");
	for (unsigned i = 0; i < 2; i++) {
		clone_note(&t, "stopped", false);
		clone_note(&t, "stopped", false);
		clone_note(&t, "creating replica", false);
	}
	CHECK(!clone_fails(&t), "twice is no news");
	clone_note(&t, "stopped", false);
	CHECK(clone_fails(&t), "three times is");
	for (unsigned i = 0; i < 600; i++)
		clone_note(&t, i % 2 == 0 ? "creating replica" : "stopped", false);
	CHECK(clone_fails(&t), "and stays so");
	clone_note(&t, "running", true);
	CHECK(!clone_fails(&t), "until a server runs");
	clone_note(&t, "stopped", false);
	clone_note(&t, "starting", false);
	clone_note(&t, "stopped", false);
	CHECK(!clone_fails(&t), "a server that stops is no clone");
}

int
main(void)
{
	test_stalls();
	test_kill();
	test_tries();
	return tap_done();
}
