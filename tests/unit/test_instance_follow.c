/* What counts as certain of a replica that does not stream, and what never does. */
#include "instance/instance.h"
#include "tests/unit/tap.h"

static struct follow_self self = {
    .system_identifier = 42, .received = 0x3000100, .replayed = 0x3000100, .timeline = 2};
static bool lost;

static enum choice_follow
judge(const char *printed)
{
	return follow_judge(&self, str_of(printed), &lost);
}

static void
test_same_timeline(void)
{
	CHECK(judge("primary|42|2|1|33554432|1|1|1|0|0\n") == CHOICE_follow_CAN && !lost,
	    "the primary has the segment");
	CHECK(judge("primary|42|2|1|33554432|1|1|0|1|0\n") == CHOICE_follow_WAL_GONE && lost,
	    "it has gone on and has it not, nor does our slot hold anything");
	CHECK(judge("primary|42|2|1|33554432|1|1|0|0|0\n") == CHOICE_follow_WAL_GONE && !lost,
	    "there may be another slot by now");
	CHECK(judge("primary|42|2|1|33554432|1|0|0|0|0\n") == CHOICE_follow_CAN,
	    "a segment that is not written yet is not gone");
}

static void
test_history(void)
{
	CHECK(judge("primary|42|3|1|50331904|1|1|1|0|0") == CHOICE_follow_CAN,
	    "its timeline ended in this history just where it is");
	CHECK(judge("primary|42|3|1|50331903|1|1|1|0|0") == CHOICE_follow_DIVERGED,
	    "it has replayed more than that");
	self.received = 0x5000000;
	CHECK(judge("primary|42|3|1|50331904|1|1|1|0|0") == CHOICE_follow_CAN,
	    "what it only received does not count");
	self.received = self.replayed;
	CHECK(judge("primary|42|3|1|-|1|1|1|0|0") == CHOICE_follow_DIVERGED,
	    "its timeline is not in the history");
	CHECK(judge("primary|42|3|0|-|1|1|0|0|0") == CHOICE_follow_UNKNOWN,
	    "a history that can not be read says nothing");
	CHECK(judge("primary|42|3|1|50331904|1|1|0|0|0") == CHOICE_follow_WAL_GONE,
	    "of an earlier timeline too WAL can be gone");
	CHECK(judge("primary|42|3|1|50331903|0|1|1|0|0") == CHOICE_follow_CAN,
	    "a primary without a checkpoint since then: pg_rewind still waits for that");
	CHECK(judge("primary|42|1|0|-|1|1|1|0|0") == CHOICE_follow_DIVERGED,
	    "it is on a timeline that the primary never had");
}

static void
test_silence(void)
{
	static const char *const nothing[] = {"", "\n", "primary", "primary|42|2|1|-|1|1|0|0",
	    "primary|42|2|1|-|1|1|0|0|0|0", "primary|42|2|1|x|1|1|0|0|0",
	    "replica|42|2|1|-|1|1|0|0|0", "primary|42|2|1|-|1|1|0|0|", "primary|43|2|1|-|1|1|0|0|0",
	    "primary|42|-2|1|-|1|1|0|0|0",
	    "primary|42|2|1|-|1|1|0|0|0\nprimary|42|2|1|-|1|1|0|0|0"};

	for (unsigned i = 0; i < sizeof(nothing) / sizeof(nothing[0]); i++)
		if (!CHECK(judge(nothing[i]) == CHOICE_follow_UNKNOWN && !lost, "nothing certain"))
			printf("# %s\n", nothing[i]);
	self.timeline = 0;
	CHECK(judge("primary|42|2|1|-|1|1|0|0|0") == CHOICE_follow_UNKNOWN,
	    "nor while it does not know its own timeline");
	self.timeline = 2;
}

static void
test_lasts(void)
{
	struct follow_track t = {0};

	follow_note(&t, CHOICE_follow_WAL_GONE, (struct msec){1000});
	CHECK(!follow_is_certain(&t, (struct msec){30999}), "not at once");
	follow_note(&t, CHOICE_follow_WAL_GONE, (struct msec){11000});
	CHECK(follow_is_certain(&t, (struct msec){31000}), "when it has lasted");
	follow_note(&t, CHOICE_follow_UNKNOWN, (struct msec){31000});
	CHECK(!follow_is_certain(&t, (struct msec){99000}), "an answer that fails ends it");
	follow_note(&t, CHOICE_follow_WAL_GONE, (struct msec){99000});
	CHECK(!follow_is_certain(&t, (struct msec){100000}), "and it starts anew");
	follow_note(&t, CHOICE_follow_DIVERGED, (struct msec){200000});
	CHECK(!follow_is_certain(&t, (struct msec){260000}) &&
		  follow_is_certain(&t, (struct msec){320000}),
	    "pg_rewind has its time first");
	follow_note(&t, CHOICE_follow_CAN, (struct msec){320000});
	CHECK(!follow_is_certain(&t, (struct msec){999999}), "who can follow is left to it");
}

/* Two were promoted apart to the same timeline. */
static void
test_forked(void)
{
	struct follow_track t = {0};

	CHECK(judge("primary|42|2|1|33554432|1|0|0|0|1") == CHOICE_follow_FORKED,
	    "it has more than the primary of the same timeline");
	CHECK(judge("primary|42|3|1|50331904|1|0|0|0|1") != CHOICE_follow_FORKED,
	    "of another timeline that says nothing");
	follow_note(&t, CHOICE_follow_FORKED, (struct msec){1000});
	follow_note(&t, CHOICE_follow_CAN, (struct msec){60000});
	follow_note(&t, CHOICE_follow_UNKNOWN, (struct msec){70000});
	follow_note(&t, CHOICE_follow_CAN, (struct msec){110000});
	follow_note(&t, CHOICE_follow_DIVERGED, (struct msec){120000});
	CHECK(!follow_is_certain(&t, (struct msec){120999}) &&
		  follow_is_certain(&t, (struct msec){121000}) && t.finding == CHOICE_follow_FORKED,
	    "that the primary has written on since does not undo it");
	follow_note(&t, CHOICE_follow_UNKNOWN, (struct msec){200000});
	follow_note(&t, CHOICE_follow_UNKNOWN, (struct msec){259999});
	CHECK(follow_is_certain(&t, (struct msec){259999}), "nor a moment in which it streams,");
	follow_note(&t, CHOICE_follow_UNKNOWN, (struct msec){260000});
	CHECK(!follow_is_certain(&t, (struct msec){999999}), "but that it streams for good");
}

static void
test_question(void)
{
	char slot[64];
	struct buf b;

	follow_slot("my-db-10", slot);
	CHECK(strcmp(slot, "my_db_10") == 0, "the slot's name is Patroni's");
	buf_init(&b, 8192);
	follow_sql(&self, str_of(slot), &b);
	buf_put(&b, "", 1);
	CHECK(!b.full && strstr(b.p, "slot_name = 'my_db_10'") != NULL &&
		  strstr(b.p, "'\\t', 1) = '2'") != NULL &&
		  strstr(b.p, "least(50331904::numeric") != NULL &&
		  strstr(b.p, "< 50331904)::int") != NULL,
	    "it asks for this replica's place");
	buf_reset(&b);
	self.received = 0x4000000;
	follow_sql(&self, str_of(slot), &b);
	buf_put(&b, "", 1);
	CHECK(strstr(b.p, "least(67108864::numeric") != NULL,
	    "that is the segment it asked for, if it has replayed less");
	buf_reset(&b);
	self.received = 0x3000000;
	follow_sql(&self, str_of(slot), &b);
	buf_put(&b, "", 1);
	CHECK(strstr(b.p, "least(50331904::numeric") != NULL, "or what it has replayed");
	buf_free(&b);
}

int
main(void)
{
	test_same_timeline();
	test_history();
	test_silence();
	test_lasts();
	test_forked();
	test_question();
	return tap_done();
}
