/* How long a program that died stays away. */
#include "instance/instance.h"
#include "tests/unit/tap.h"

int
main(void)
{
	struct backoff b = {0};
	int64_t ms, last = 0;
	bool grows = true, bounded = true;

	CHECK(backoff_next_ms(&b, true, 7) == 0, "a productive life starts again at once");
	for (unsigned i = 0; i < 40; i++) {
		ms = backoff_next_ms(&b, false,
		    2 * 2000 / 5); /* no jitter in the middle of the range only for the cap */
		bounded = bounded && ms >= 8 && ms <= 6000;
		grows = grows && (i >= 9 || ms > last);
		last = ms;
	}
	CHECK(grows, "each unproductive life waits longer than the one before");
	CHECK(bounded, "between 8 ms and 6 s");
	b.deaths = 0;
	CHECK(backoff_next_ms(&b, false, 0) == 8, "10 ms less 20 %");
	b.deaths = 0;
	CHECK(backoff_next_ms(&b, false, 4) == 12, "10 ms and 20 %");
	b.deaths = 31;
	CHECK(backoff_next_ms(&b, false, UINT32_MAX) <= 6000, "at most 5 s and 20 %");
	CHECK(backoff_next_ms(&b, true, 0) == 0 && b.deaths == 0, "a productive life forgets");
	return tap_done();
}
