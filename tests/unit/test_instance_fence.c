/*
 * The watchdog protocol as Patroni speaks it, cut anywhere, with garbage; and the way from the
 * deadline to the end.
 */
#include "instance/instance.h"
#include "tests/unit/tap.h"

static struct fence f;

static struct msec
at(int64_t v)
{
	return (struct msec){v};
}

static void
feed(const char *text, int64_t now)
{
	fence_feed(&f, text, strlen(text), at(now));
}

static void
armed_at(int64_t now)
{
	fence_init(&f, at(now));
	feed("Ctimeout=13\n", now);
}

static void
test_arming(void)
{
	fence_init(&f, at(1000));
	CHECK(fence_next(&f, true, at(10000000)) == FENCE_NOTHING, "off: nothing, ever");
	armed_at(1000);
	CHECK(f.armed && f.timeout_s == 13 && f.deadline.v == 14000, "Ctimeout=13 arms for 13 s");
	CHECK(
	    fence_next(&f, true, at(13999)) == FENCE_NOTHING, "a millisecond before the deadline");
	CHECK(fence_next(&f, true, at(14000)) == FENCE_QUIT, "at the deadline");
	armed_at(1000);
	feed("1", 1000);
	feed("V", 2000);
	CHECK(!f.armed, "V disarms");
	CHECK(fence_next(&f, true, at(10000000)) == FENCE_NOTHING, "disarmed: nothing");
	feed("Ctimeout=20\n", 10000000);
	CHECK(f.armed && f.timeout_s == 20, "armed again with another timeout");
	fence_init(&f, at(0));
	feed("1", 5);
	CHECK(!f.armed && f.feeds == 1, "a renewal without any timeout known arms nothing");
	armed_at(0);
	feed("V", 1);
	feed("1", 2);
	CHECK(f.armed, "a renewal after V arms again: Patroni says that it leads");
}

/* A renewal counts from the look before, since it may have been written right after that. */
static void
test_renewal(void)
{
	armed_at(1000);
	feed("", 5000);
	feed("1", 5250);
	CHECK(f.deadline.v == 5000 + 13000, "1 renews, from the look before");
	feed("x", 6000);
	CHECK(f.deadline.v == 5250 + 13000, "any other byte renews");
	(void)fence_next(&f, true, at(9000));
	feed("1", 9100);
	CHECK(f.deadline.v == 9000 + 13000, "fence_next is a look too");
	feed("1", 50000);
	CHECK(f.deadline.v == 9000 + 13000, "a renewal read after the deadline is too late");
	CHECK(fence_next(&f, true, at(50000)) == FENCE_QUIT, "and the fence falls");
	feed("V", 50001);
	CHECK(
	    f.armed && fence_next(&f, true, at(51000)) == FENCE_KILL, "V can not stop it any more");
	armed_at(0);
	feed("V", 13000);
	CHECK(f.armed, "V at the deadline is too late");
}

/* A replica's Patroni writes nothing for days, and then becomes the leader. */
static void
test_idle(void)
{
	fence_init(&f, at(0));
	feed("Ctimeout=13\n", 1000000);
	CHECK(f.deadline.v == 1013000, "armed after a long idle time, it has all its time");
	CHECK(fence_next(&f, true, at(1000000)) == FENCE_NOTHING, "and does not fall at once");
	feed("V", 1001000);
	feed("Ctimeout=13\n1", 9001000);
	CHECK(f.deadline.v == 9014000, "the same after V");
}

static void
test_every_cut(void)
{
	static const char stream[] = "Ctimeout=13\n1Ctimeout=30\n1";
	bool same = true;

	for (size_t a = 0; a < sizeof(stream); a++)
		for (size_t b = a; b < sizeof(stream); b++) {
			fence_init(&f, at(0));
			fence_feed(&f, stream, a, at(0));
			fence_feed(&f, stream + a, b - a, at(0));
			fence_feed(&f, stream + b,
			    sizeof(stream) - 1 - (b < sizeof(stream) ? b : 0), at(0));
			if (b < sizeof(stream))
				same = same && f.armed && f.timeout_s == 30 && f.feeds == 2 &&
				       f.garbage == 0;
		}
	CHECK(same, "the stream may be cut at any two places");
}

static void
test_garbage(void)
{
	static const char *const bad[] = {"C\n", "Ctimeout=\n", "Ctimeout=0\n", "Ctimeout=3601\n",
	    "Ctimeout=-5\n", "Ctimeout=99999999999999999999\n", "Ctimeout=13 \n", "Ctimeout 13\n",
	    "CTIMEOUT=13\n", "Ctimeout=1111111111111111111111111111111111111\n"};
	bool all = true;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		armed_at(0);
		feed(bad[i], 5000);
		/* what overflows a command continues as renewals, which is what any write is */
		all = all && f.armed && f.timeout_s == 13 && f.garbage > 0 && !f.in_command;
	}
	CHECK(all, "a command that is none changes no timeout");
	armed_at(0);
	feed("Cgarbage\n", 5000);
	CHECK(f.deadline.v == 13000, "nor does it renew");
	fence_init(&f, at(0));
	feed("CtimeoutCtimeout=13\n", 0);
	CHECK(f.armed && f.timeout_s == 13,
	    "a command begun by a Patroni that died is forgotten at the next C");
	armed_at(0);
	fence_feed(&f, "\0\xff\n", 3, at(100));
	CHECK(f.armed && f.feeds == 3, "NUL, 0xff and a newline are renewals");
	fence_init(&f, at(0));
	feed("Ctimeout=3600\n", 0);
	CHECK(f.deadline.v == 3600000, "the longest timeout");
}

static void
test_ending(void)
{
	armed_at(0);
	CHECK(fence_next(&f, true, at(13000)) == FENCE_QUIT, "first SIGQUIT");
	CHECK(fence_next(&f, true, at(13000)) == FENCE_NOTHING, "once");
	CHECK(fence_next(&f, true, at(13999)) == FENCE_NOTHING, "within a second nothing more");
	CHECK(fence_next(&f, true, at(14000)) == FENCE_KILL, "after one second SIGKILL");
	CHECK(fence_next(&f, true, at(14999)) == FENCE_NOTHING, "then waiting");
	CHECK(fence_next(&f, true, at(15000)) == FENCE_EXIT,
	    "after two seconds the end, alive or not");
	armed_at(0);
	(void)fence_next(&f, true, at(13000));
	CHECK(
	    fence_next(&f, false, at(13250)) == FENCE_EXIT, "the end at once when nothing is left");
	armed_at(0);
	(void)fence_next(&f, true, at(13000));
	(void)fence_next(&f, true, at(14000));
	CHECK(fence_next(&f, false, at(14100)) == FENCE_EXIT, "or when SIGKILL did it");
	armed_at(0);
	CHECK(fence_next(&f, true, at(100000)) == FENCE_QUIT,
	    "a machine that slept through it: first SIGQUIT still");
}

static void
test_by_self(void)
{
	fence_init(&f, at(0));
	fence_arm_self(&f, 0, at(0));
	CHECK(!f.armed, "no timeout known: not armed");
	fence_arm_self(&f, 13, at(1000));
	CHECK(f.armed && f.by_self && f.deadline.v == 14000, "armed by init");
	fence_disarm_self(&f);
	CHECK(!f.armed, "off again when Patroni is back");
	fence_arm_self(&f, 13, at(1000));
	feed("Ctimeout=20\n", 2000);
	fence_disarm_self(&f);
	CHECK(
	    f.armed && !f.by_self && f.timeout_s == 20, "what Patroni armed, only Patroni disarms");
	armed_at(0);
	fence_arm_self(&f, 100, at(5000));
	CHECK(f.deadline.v == 13000 && !f.by_self,
	    "an armed fence is not armed anew: no time is won by dying");
	fence_init(&f, at(0));
	fence_arm_self(&f, 13, at(0));
	CHECK(fence_next(&f, true, at(13000)) == FENCE_QUIT, "it falls like any other");
	fence_disarm_self(&f);
	CHECK(f.armed, "and can not be called off then");
}

int
main(void)
{
	test_arming();
	test_renewal();
	test_idle();
	test_every_cut();
	test_garbage();
	test_ending();
	test_by_self();
	return tap_done();
}
