/*
 * Whether a pod takes reads: with which label it goes on through a restart, a switchover and a
 * rolling change, and when that goes.
 */
#include "instance/view.h"
#include "tests/unit/tap.h"

#define MAX_LAG 1048576

static struct view v;
static struct reads r;
static struct msec now;
static bool accepts;

static enum may_read
look(int64_t later_ms)
{
	now.v += later_ms;
	return reads_look(&r, &v, MAX_LAG, accepts, now);
}

static void
is_starting(void)
{
	view_silent(&v);
	v.known = true;
	(void)snprintf(v.state, sizeof(v.state), "starting");
}

static void
runs(bool streaming)
{
	is_starting();
	(void)snprintf(v.state, sizeof(v.state), "running");
	v.running = v.cluster_known = v.has_leader = v.within = true;
	v.streaming = v.near = streaming;
	v.timeline = v.leader_timeline = 1;
}

static void
begin(void)
{
	view_silent(&v);
	r = (struct reads){0};
	now.v = 1000;
	accepts = false;
}

/* Pods are made with the label: a start in good order costs nothing. */
static void
test_start(void)
{
	begin();
	CHECK(look(0) == READS_AS_IS, "a new pod's label is left to it");
	is_starting();
	accepts = true;
	CHECK(look(5000) == READS_AS_IS, "while Patroni says that its server starts");
	runs(false);
	CHECK(look(1000) == READS_AS_IS, "and when it runs and is not behind, but about to stream");
	runs(true);
	CHECK(look(150) == READS_YES, "streaming it is fit");
}

/* Its agent may see the server before it has asked Patroni, and before it has its spec. */
static void
test_untold(void)
{
	begin();
	accepts = true;
	CHECK(look(0) == READS_AS_IS, "a server that is seen before Patroni was asked");
	runs(false);
	v.within = false;
	CHECK(reads_look(&r, &v, -1, true, now) == READS_AS_IS, "nor is the allowed lag known");
	CHECK(look(150) == READS_NO, "now both are, and it lags");
	begin();
	accepts = true;
	CHECK(
	    look(0) == READS_AS_IS && look(READS_LOST_MS - 1) == READS_AS_IS && look(1) == READS_NO,
	    "who is never told gives it up");
}

static void
test_lagging_start(void)
{
	begin();
	(void)look(0);
	runs(false);
	v.within = false;
	CHECK(look(3000) == READS_NO, "who is behind when its server runs loses it at once");
	runs(true);
	v.near = v.within = false;
	v.lag = MAX_LAG + 1;
	CHECK(look(150) == READS_NO, "and who streams but is still behind");
	v.lag = MAX_LAG;
	CHECK(look(150) == READS_YES, "up to the allowed lag");
}

/* What stopped long ago, or crashed as a primary that may have rows of its own. */
static void
test_stale(void)
{
	begin();
	r.stale = true;
	CHECK(look(0) == READS_NO, "stale data: before anything runs");
	runs(false);
	CHECK(look(1000) == READS_NO, "and it has no time to begin to stream");
	runs(true);
	CHECK(look(1000) == READS_YES && !r.stale, "fit is fit");
	runs(false);
	CHECK(look(1000) == READS_AS_IS, "from then on it is as any other");
	begin();
	(void)look(0);
	CHECK(look(READS_DOWN_MS - 1) == READS_AS_IS, "it takes its time to come up");
	CHECK(look(1) == READS_NO, "but not for ever");
	runs(false);
	CHECK(look(1) == READS_NO, "then it has to stream first");
}

static void
test_restart(void)
{
	begin();
	runs(true);
	(void)look(0);
	is_starting();
	CHECK(look(1000) == READS_AS_IS && look(20000) == READS_AS_IS, "its server restarts");
	runs(false);
	CHECK(look(1000) == READS_AS_IS, "runs again");
	CHECK(look(READS_LOST_MS - 1) == READS_AS_IS, "asks its primary again");
	CHECK(look(1) == READS_NO, "in vain");
	runs(true);
	CHECK(look(1000) == READS_YES, "streams");
	for (int64_t ms = 0; ms < READS_DOWN_MS - 2000; ms += 2000) {
		if (ms % 4000 == 0)
			is_starting();
		else
			runs(false);
		(void)look(2000);
	}
	CHECK(look(2000) == READS_NO, "who comes and goes and never streams loses it in the end");
}

static void
test_leader_changes(void)
{
	begin();
	runs(true);
	(void)look(0);
	runs(false);
	v.has_leader = false;
	CHECK(look(1000) == READS_AS_IS, "nobody leads for a moment: there is nothing newer");
	v.has_leader = true;
	v.leader_timeline = 2;
	CHECK(look(1000) == READS_AS_IS, "it turns to the new primary");
	v.within = false;
	CHECK(look(150) == READS_NO, "which writes much meanwhile");
	runs(true);
	v.leader_timeline = 2;
	v.streaming = v.near = false;
	CHECK(look(READS_LOST_MS) == READS_NO, "or can not be followed");
	runs(true);
	(void)look(150);
	v.primary = v.leads = true;
	v.streaming = v.near = v.within = false;
	CHECK(look(150) == READS_AS_IS && look(READS_DOWN_MS) == READS_AS_IS,
	    "a primary keeps it: nobody asks for it");
	is_starting();
	CHECK(look(1000) == READS_AS_IS, "it is demoted");
	runs(false);
	v.leader_timeline = 3;
	CHECK(look(1000) == READS_AS_IS, "turns to the one that leads now");
	CHECK(look(READS_LOST_MS) == READS_NO, "and loses it like any other");
}

static void
test_unknown(void)
{
	begin();
	runs(true);
	(void)look(0);
	view_silent(&v);
	accepts = true;
	CHECK(look(150) == READS_NO, "a server of which Patroni says nothing may be anywhere");
	accepts = false;
	CHECK(look(150) == READS_AS_IS, "no server has no readers");
	runs(true);
	CHECK(reads_look(&r, &v, -1, true, now) == READS_NO, "what lag is allowed is not known");
	CHECK(look(0) == READS_YES, "now it is");
}

int
main(void)
{
	test_start();
	test_untold();
	test_lagging_start();
	test_stale();
	test_restart();
	test_leader_changes();
	test_unknown();
	return tap_done();
}
