/* The way down: who is asked what, in which order, and how force grows with the clock. */
#include "instance/instance.h"
#include "tests/unit/tap.h"

static struct stop s;

static enum stop_act
next(bool patroni, bool postmaster, bool agent, bool handed, int64_t now)
{
	const struct stop_seen seen = {patroni, postmaster, agent, handed};

	return stop_next(&s, &seen, (struct msec){now});
}

static void
begin(unsigned grace)
{
	memset(&s, 0, sizeof(s));
	stop_begin(&s, grace, (struct msec){0});
}

static void
test_orderly(void)
{
	memset(&s, 0, sizeof(s));
	CHECK(next(true, true, true, false, 0) == STOP_WAIT, "nothing before SIGTERM");
	begin(300);
	CHECK(next(true, true, true, false, 0) == STOP_ASK_HANDOVER,
	    "first the leadership is handed on");
	CHECK(next(true, true, true, false, 9999) == STOP_ASK_HANDOVER, "for ten seconds");
	CHECK(next(true, true, true, true, 10000) == STOP_TERM_PATRONI, "then Patroni is told");
	CHECK(next(true, true, true, true, 10001) == STOP_WAIT, "once");
	CHECK(next(true, false, true, true, 12000) == STOP_WAIT,
	    "PostgreSQL is down, Patroni releases its lock");
	CHECK(next(false, false, true, true, 13000) == STOP_EXIT, "both gone: the end");
	CHECK(s.force == STOP_WAIT, "without force");
}

static void
test_shortcuts(void)
{
	begin(300);
	CHECK(next(true, true, false, false, 0) == STOP_TERM_PATRONI, "no agent: no handing on");
	begin(300);
	CHECK(next(true, true, true, true, 100) == STOP_TERM_PATRONI,
	    "an answer, whatever it is: on");
	begin(300);
	CHECK(next(false, false, true, false, 0) == STOP_EXIT, "nothing runs: the end at once");
	begin(40);
	CHECK(next(true, true, true, false, 9999) == STOP_ASK_HANDOVER &&
		  next(true, true, true, false, 10000) == STOP_TERM_PATRONI,
	    "a quarter of the grace period at most");
	begin(20);
	CHECK(next(true, true, true, false, 5000) == STOP_TERM_PATRONI, "5 s of 20");
}

/* Paused Patroni leaves PostgreSQL running; so does a Patroni that was dead. */
static void
test_left_behind(void)
{
	begin(300);
	(void)next(true, true, true, true, 0);
	CHECK(next(false, true, true, true, 1000) == STOP_FAST,
	    "what Patroni leaves gets a fast shutdown from us");
	CHECK(next(false, true, true, true, 2000) == STOP_WAIT, "once");
	CHECK(next(false, false, true, true, 3000) == STOP_EXIT, "then the end");
	begin(300);
	CHECK(next(false, true, true, false, 0) == STOP_TERM_PATRONI,
	    "Patroni is dead already: nobody to ask");
	CHECK(next(false, true, true, false, 0) == STOP_FAST, "PostgreSQL alone");
}

static void
test_force(void)
{
	begin(300);
	(void)next(true, true, true, true, 0);
	CHECK(next(true, true, true, true, 289999) == STOP_WAIT,
	    "patience until 10 s before the end");
	CHECK(next(true, true, true, true, 290000) == STOP_IMMEDIATE, "then an immediate shutdown");
	CHECK(next(true, true, true, true, 296999) == STOP_WAIT, "once");
	CHECK(next(true, true, true, true, 297000) == STOP_KILL, "3 s before the end SIGKILL");
	CHECK(next(true, true, true, true, 300000) == STOP_WAIT, "once");
	CHECK(next(false, false, true, true, 300000) == STOP_EXIT && s.force == STOP_KILL,
	    "the end says that it was by force");
	begin(30);
	(void)next(true, true, true, true, 0);
	CHECK(
	    next(false, true, true, true, 21000) == STOP_IMMEDIATE, "late: no fast shutdown after");
	CHECK(next(false, true, true, true, 21000) == STOP_WAIT, "the immediate one");
	begin(9);
	CHECK(next(true, true, true, false, 6000) == STOP_IMMEDIATE,
	    "a short grace period: a third of it for force");
	CHECK(next(true, true, true, false, 6000) == STOP_WAIT, "and no handing on any more");
	CHECK(next(true, true, true, false, 8100) == STOP_KILL, "and a tenth for SIGKILL");
	begin(30);
	CHECK(next(true, true, true, false, 100000) == STOP_KILL,
	    "a sleep through all of it: SIGKILL");
}

/* What the pod's deletion said comes later, and may be less than the spec's. */
static void
test_limit(void)
{
	begin(60);
	(void)next(true, true, true, true, 0);
	CHECK(!stop_limit(&s, 600, (struct msec){0}) && !stop_limit(&s, 60, (struct msec){0}),
	    "never longer than the spec's");
	CHECK(stop_limit(&s, 10, (struct msec){0}) && s.grace_s == 10, "but shorter");
	CHECK(next(true, true, true, true, 6000) == STOP_WAIT, "in which Patroni has its time");
	CHECK(next(true, true, true, true, 6667) == STOP_IMMEDIATE, "then an immediate shutdown");
	CHECK(next(true, false, true, true, 8999) == STOP_WAIT, "in which Patroni ends");
	CHECK(next(true, true, true, true, 9000) == STOP_KILL, "and SIGKILL before the kubelet's");
	CHECK(!stop_limit(&s, 60, (struct msec){0}), "it never grows again");

	begin(60);
	(void)next(true, true, true, true, 0);
	CHECK(stop_limit(&s, 20, (struct msec){30000}) && s.kill_at.v == 48000,
	    "told again: from then on");
	CHECK(!stop_limit(&s, 29, (struct msec){31000}), "unless that ends later");
	memset(&s, 0, sizeof(s));
	CHECK(!stop_limit(&s, 10, (struct msec){0}), "nothing while nothing stops");
}

static void
test_hasty(void)
{
	begin(60);
	CHECK(next(true, true, true, false, 0) == STOP_ASK_HANDOVER, "as for a long one");
	CHECK(stop_limit(&s, 1, (struct msec){0}) && s.grace_s == 2, "the kubelet's least are 2 s");
	CHECK(next(true, true, true, false, 100) == STOP_TERM_PATRONI, "no handing on any more");
	CHECK(next(true, true, true, false, 100) == STOP_FAST, "PostgreSQL beside Patroni");
	CHECK(next(true, true, true, false, 1000) == STOP_WAIT, "has its time");
	CHECK(next(true, true, true, false, 1400) == STOP_IMMEDIATE, "as far as it goes");
	CHECK(next(true, true, true, false, 1500) == STOP_KILL, "half a second is for our own end");
	begin(60);
	CHECK(stop_limit(&s, 0, (struct msec){0}) && s.grace_s == 2, "by force: as 2 s");
	begin(4);
	CHECK(next(true, true, true, false, 0) == STOP_TERM_PATRONI &&
		  next(true, true, true, false, 0) == STOP_FAST,
	    "by the spec as well");
	begin(5);
	CHECK(next(true, true, true, false, 0) == STOP_ASK_HANDOVER, "5 s are enough for all");
}

int
main(void)
{
	test_orderly();
	test_shortcuts();
	test_left_behind();
	test_force();
	test_limit();
	test_hasty();
	return tap_done();
}
