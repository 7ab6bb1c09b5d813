/* A data directory gives way only when nothing runs on it, and never a leader's. */
#include "instance/instance.h"
#include "tests/unit/tap.h"

static const struct msec now = {100000};

static struct renew_seen
seen_of(unsigned bits)
{
	return (struct renew_seen){.stopping = bits & 1,
	    .armed = bits & 2,
	    .patroni = bits & 4,
	    .postmaster = bits & 8,
	    .standby = bits & 16,
	    .left = bits & 32,
	    .removing = bits & 64,
	    .quit_at.v = bits & 128 ? now.v - 5000 : 0};
}

static void
test_all(void)
{
	bool moves = true, kills = true, signals = true, removes = true;

	for (unsigned bits = 0; bits < 256; bits++) {
		struct renew_seen s = seen_of(bits);
		enum renew_act act = renew_next(&s, now);
		bool leads = s.armed || (s.postmaster && !s.standby);

		if (act == RENEW_MOVE)
			moves = moves && !s.stopping && !leads && !s.patroni && !s.postmaster &&
			        !s.left && !s.removing;
		if (act == RENEW_KILL_PATRONI)
			kills =
			    kills && s.patroni && !leads && !s.stopping && !s.left && !s.removing;
		if (act == RENEW_QUIT || act == RENEW_KILL)
			signals = signals && s.postmaster && !s.patroni && !leads && !s.stopping &&
			          !s.left && !s.removing;
		removes = removes &&
		          (act == RENEW_REMOVE) == (s.left && !s.removing && !leads && !s.stopping);
	}
	CHECK(moves, "it moves only when nothing runs and nothing is in its place");
	CHECK(kills, "a leader's Patroni is never killed");
	CHECK(signals, "PostgreSQL is stopped after Patroni, and no primary is");
	CHECK(removes, "what an earlier one left is removed first, and never a leader's");
}

static void
test_order(void)
{
	struct renew_seen s = {.patroni = true, .postmaster = true, .standby = true, .left = true};

	CHECK(renew_next(&s, now) == RENEW_REMOVE, "what an earlier one left first");
	s.removing = true;
	CHECK(renew_next(&s, now) == RENEW_WAIT, "which takes its time, while all runs");
	s.left = false;
	CHECK(renew_next(&s, now) == RENEW_WAIT, "until its remover has ended");
	s.removing = false;
	CHECK(renew_next(&s, now) == RENEW_KILL_PATRONI, "then Patroni");
	s.patroni = false;
	CHECK(renew_next(&s, now) == RENEW_QUIT, "then PostgreSQL");
	s.quit_at.v = now.v - 9999;
	CHECK(renew_next(&s, now) == RENEW_WAIT, "which has its time");
	s.quit_at.v = now.v - 10000;
	CHECK(renew_next(&s, now) == RENEW_KILL, "and no more");
	s.postmaster = false;
	CHECK(renew_next(&s, now) == RENEW_MOVE, "then it gives way");
	s.armed = true;
	CHECK(renew_next(&s, now) == RENEW_LEADS, "not once it leads");
	s.stopping = true;
	CHECK(renew_next(&s, now) == RENEW_STOPPING, "nor while it stops");
}

int
main(void)
{
	test_all();
	test_order();
	return tap_done();
}
