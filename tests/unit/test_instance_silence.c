/*
 * When is a Patroni that does not answer killed? After loop_wait, and sooner when the fence comes
 * near.
 */
#include "instance/instance.h"
#include "tests/unit/tap.h"

static struct silence s;
static struct fence off, armed;

static struct msec
at(int64_t v)
{
	return (struct msec){v};
}

static void
miss(unsigned n)
{
	while (n-- > 0)
		silence_missed(&s);
}

int
main(void)
{
	fence_init(&off, at(0));
	fence_init(&armed, at(0));
	fence_feed(&armed, "Ctimeout=18\n", 12, at(0));
	silence_reset(&s, at(1000));
	miss(100);
	CHECK(!silence_over(&s, &off, 10, at(60999)), "before its first answer it has a minute");
	CHECK(!silence_over(&s, &armed, 10, at(17999)), "with the fence armed as well");
	CHECK(silence_over(&s, &off, 10, at(61000)), "and no more: it may have been frozen");
	silence_reset(&s, at(1000));
	miss(2);
	CHECK(!silence_over(&s, &off, 10, at(100000)), "nor without three misses");
	silence_heard(&s, at(1000));
	miss(2);
	CHECK(!silence_over(&s, &off, 1, at(100000)), "not after two misses, however long");
	miss(1);
	CHECK(!silence_over(&s, &off, 1, at(3999)), "not within three seconds");
	CHECK(silence_over(&s, &off, 1, at(4000)),
	    "three misses and three seconds, when loop_wait is shorter");
	CHECK(!silence_over(&s, &off, 10, at(10999)), "else loop_wait");
	CHECK(silence_over(&s, &off, 10, at(11000)), "is the limit");
	CHECK(!silence_over(&s, &armed, 100, at(13000)), "armed, 5 s to go: not yet");
	CHECK(silence_over(&s, &armed, 100, at(14000)),
	    "armed, 4 s to go: now, so that a new one can renew");
	CHECK(!silence_over(&s, &off, 100, at(14000)), "not without the fence");
	silence_heard(&s, at(14000));
	CHECK(!silence_over(&s, &armed, 100, at(15000)), "an answer takes it back");
	miss(3);
	CHECK(!silence_over(&s, &armed, 100, at(16900)), "and three seconds must pass again");
	silence_reset(&s, at(17000));
	miss(50);
	CHECK(!silence_over(&s, &armed, 1, at(17999)), "a new life has all its time");
	return tap_done();
}
