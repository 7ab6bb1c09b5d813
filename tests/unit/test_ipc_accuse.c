/* How many accusations one life has. */
#include "ipc/ipc.h"
#include "tests/unit/tap.h"

int
main(void)
{
	struct ipc_accuser a = {0};
	struct msec now = {ACCUSATIONS_WINDOW_MS};
	bool often = false;

	for (unsigned i = 0; i < ACCUSATIONS_MAX; i++)
		often = ipc_accuses_too_often(&a, now) || often;
	CHECK(!often, "as many as there may be");
	CHECK(ipc_accuses_too_often(&a, now), "one more is too much");
	now.v += ACCUSATIONS_WINDOW_MS;
	CHECK(ipc_accuses_too_often(&a, now), "as long as the window holds the others");
	a = (struct ipc_accuser){0};
	for (unsigned i = 0; i < 50; i++) {
		now.v += ACCUSATIONS_WINDOW_MS / ACCUSATIONS_MAX + 1;
		often = ipc_accuses_too_often(&a, now) || often;
	}
	CHECK(!often, "one now and then, however long");
	now.v += ACCUSATIONS_WINDOW_MS + 1;
	for (unsigned i = 0; i < ACCUSATIONS_MAX; i++)
		often = ipc_accuses_too_often(&a, now) || often;
	CHECK(!often && ipc_accuses_too_often(&a, now), "and then many at once: too much");
	return tap_done();
}
