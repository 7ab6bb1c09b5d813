/* A server that does not come up: what Patroni's states make of it, and when that is said. */
#include "instance/instance.h"
#include "tests/unit/tap.h"

static struct start_track t;

static enum choice_reason
note(const char *state, int64_t s)
{
	start_note(&t, state, strcmp(state, "running") == 0, (struct msec){s * 1000});
	return start_reason(&t, (struct msec){s * 1000});
}

static void
test_fails(void)
{
	t = (struct start_track){0};
	CHECK(note("running", 1) == REASON_NONE && note("restarting", 2) == REASON_NONE,
	    "a restart is no news");
	CHECK(note("restart failed (start failed)", 100) == REASON_NONE, "nor its failure at once");
	CHECK(note("starting", 105) == REASON_NONE, "the next attempt may do better");
	CHECK(note("start failed", 110) == REASON_START_FAILED, "it does not");
	CHECK(note("starting", 112) == REASON_START_FAILED &&
		  note("stopped", 113) == REASON_START_FAILED,
	    "nor do the next ones");
	CHECK(note("starting", 170) == REASON_STARTS_LONG, "one that lasts recovers, perhaps");
	CHECK(note("start failed", 171) == REASON_STARTS_LONG &&
		  note("starting", 181) == REASON_START_FAILED,
	    "or fails as well");
	CHECK(note("running", 190) == REASON_NONE && note("starting", 191) == REASON_NONE,
	    "until it runs");
}

static void
test_hangs(void)
{
	t = (struct start_track){0};
	(void)note("starting", 10);
	CHECK(note("starting", 129) == REASON_NONE, "recovery takes its time");
	CHECK(note("starting", 130) == REASON_STARTS_LONG, "which is said after two minutes");
	CHECK(start_lasts(&t, 120000, (struct msec){130000}) &&
		  !start_lasts(&t, 120001, (struct msec){130000}),
	    "since it began");
	CHECK(note("creating replica", 131) == REASON_NONE, "a clone is something else");
	CHECK(note("initializing new cluster", 500) == REASON_NONE &&
		  note("stopped", 900) == REASON_NONE && note("stopping", 901) == REASON_NONE,
	    "so are an initdb, and a server that stops or rests");
}

int
main(void)
{
	test_fails();
	test_hangs();
	return tap_done();
}
