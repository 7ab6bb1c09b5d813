/* supervisor/poison.c: who is quarantined, when, and who makes room. */
#include "supervisor/supervisor.h"

#include "tests/unit/tap.h"

static struct tally tally;
static struct msg_quarantine q;

static struct ipc_poison
object(uint8_t id, uint64_t generation)
{
	struct ipc_poison p = {.generation = generation, .line = 99};

	p.uid.b[0] = id;
	p.uid.b[1] = 1;
	return p;
}

static bool
crash(struct ipc_poison p)
{
	return supervisor_tally_crash(&tally, &p, &q);
}

static unsigned
quarantined(void)
{
	unsigned n = 0;

	while (supervisor_tally_get(&tally, n, &q))
		n++;
	return n;
}

int
main(void)
{
	struct ipc_poison line = {.line = 5}, other = {.line = 6};

	CHECK(!crash(object(1, 1)) && !crash(object(2, 1)) && !crash(object(1, 1)),
	    "two crashes: not yet");
	CHECK(quarantined() == 0, "nobody is quarantined");
	CHECK(crash(object(1, 1)) && q.uid.b[0] == 1 && q.generation == 1 && q.line == 0,
	    "the third one");
	CHECK(!crash(object(1, 1)), "said once");
	CHECK(quarantined() == 1 && supervisor_tally_get(&tally, 0, &q) && q.uid.b[0] == 1,
	    "and remembered");
	CHECK(!crash(object(1, 2)) && quarantined() == 0, "a new generation is a new chance");
	CHECK(
	    !crash(object(1, 2)) && crash(object(1, 2)) && q.generation == 2, "three more for it");

	CHECK(!crash(line) && !crash(other) && !crash(line) && crash(line),
	    "by line, where no uid is known");
	CHECK(uid_none(&q.uid) && q.line == 5, "then the line is told");
	CHECK(quarantined() == 2, "both stand");

	for (unsigned i = 0; i < 2 * TALLY_MAX; i++) {
		struct ipc_poison p = object((uint8_t)(i + 10), 1);

		p.uid.b[2] = (uint8_t)(i >> 8);
		p.uid.b[3] = 7;
		for (int n = 0; n < POISON_CRASHES; n++)
			crash(p);
	}
	CHECK(quarantined() == TALLY_MAX, "the tally is bounded");
	CHECK(!crash(line), "what crashed longest ago made room and counts anew");
	return tap_done();
}
