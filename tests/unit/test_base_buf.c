/*
 * Buffers: growth to the maximum and not one byte further, full that stays, drop, reset; and that
 * one for secrets leaves nothing behind.
 */
#include "base/base.h"
#include "tests/unit/forked.h"
#include "tests/unit/freed.h"
#include "tests/unit/tap.h"

static int
drop_too_much(void *arg)
{
	struct buf b;

	(void)arg;
	buf_init(&b, 10);
	buf_puts(&b, "abc");
	buf_drop(&b, 4);
	return 0;
}

static void
test_full(void)
{
	struct buf b;

	buf_init(&b, 5);
	buf_puts(&b, "abc");
	buf_puts(&b, "de");
	CHECK(!b.full && str_is(buf_view(&b), "abcde"), "exactly the maximum");
	buf_puts(&b, "");
	CHECK(!b.full, "nothing more is not too much");
	buf_puts(&b, "f");
	CHECK(b.full && b.len == 5, "one byte more: full, nothing written");
	buf_drop(&b, 5);
	buf_puts(&b, "x");
	CHECK(b.full && b.len == 0, "full stays, even with room again");
	buf_reset(&b);
	buf_puts(&b, "again");
	CHECK(!b.full && str_is(buf_view(&b), "again"), "reset makes it usable again");
	buf_free(&b);
	CHECK(b.p == NULL && b.len == 0 && b.max == 5, "free keeps the maximum");
	buf_puts(&b, "more");
	CHECK(str_is(buf_view(&b), "more"), "usable after free");
	buf_free(&b);
}

static void
test_parts_never_written(void)
{
	struct buf b;

	buf_init(&b, 10);
	buf_puts(&b, "12345678");
	buf_printf(&b, "%d", 900);
	CHECK(b.full && b.len == 8, "printf that does not fit writes nothing");
	buf_free(&b);
	buf_init(&b, 10);
	buf_printf(&b, "%s=%d", "size", 12345);
	CHECK(!b.full && str_is(buf_view(&b), "size=12345"), "printf that just fits");
	CHECK(b.p[b.len] == '\0', "a NUL stands behind");
	buf_free(&b);
	buf_init(&b, SIZE_MAX);
	buf_puts(&b, "x");
	CHECK(!b.full && b.len == 1, "no maximum to speak of");
	buf_free(&b);
}

static void
test_growth(void)
{
	struct buf b;
	bool same = true;
	size_t i;

	buf_init(&b, 100000);
	for (i = 0; i < 100000; i++) {
		char c = (char)('a' + i % 26);

		buf_put(&b, &c, 1);
	}
	CHECK(!b.full && b.len == 100000, "100000 single bytes");
	for (i = 0; i < b.len; i++)
		same = same && b.p[i] == (char)('a' + i % 26);
	CHECK(same, "and each is there");
	buf_drop(&b, 99998);
	CHECK(b.len == 2 && b.p[0] == 'a' + 99998 % 26 && b.p[2] == '\0', "drop keeps the rest");
	buf_drop(&b, 0);
	buf_str(&b, (struct str){NULL, 0});
	CHECK(b.len == 2, "dropping and adding nothing");
	buf_free(&b);
}

static void
test_empty(void)
{
	struct buf b;

	buf_init(&b, 0);
	CHECK(buf_view(&b).len == 0 && buf_view(&b).p != NULL, "the view of an empty buffer");
	buf_reset(&b);
	buf_drop(&b, 0);
	buf_puts(&b, "");
	CHECK(!b.full && b.p == NULL, "nothing asked, nothing allocated");
	buf_puts(&b, "x");
	CHECK(b.full, "a maximum of 0");
	buf_free(&b);
}

/* Grown several times with a password in it, used again, freed. */
static void
fill_and_free(bool wipe)
{
	struct buf b;

	buf_init(&b, 100000);
	b.wipe = wipe;
	buf_puts(&b, "password=hunter2");
	for (int i = 0; i < 1000; i++)
		buf_puts(&b, "more");
	if (!wipe)
		buf_drop(&b, b.len); /* the growth alone is enough */
	CHECK(!b.full && b.len == (wipe ? 4016u : 0u), "all of it is there");
	buf_free(&b);
	CHECK(b.wipe == wipe, "it stays what it is");
}

static void
test_wipe(void)
{
	CHECK(freed_watch("hunter2"), "a hook on free");
	fill_and_free(false);
	CHECK(freed_found > 0, "growing leaves copies behind");
	freed_found = 0;
	fill_and_free(true);
	CHECK(freed_found == 0, "unless the buffer wipes");
}

int
main(void)
{
	test_full();
	test_parts_never_written();
	test_growth();
	test_empty();
	test_wipe();
	CHECK(forked(drop_too_much, NULL) == EXIT_BUG, "dropping more than there is: a bug");
	return tap_done();
}
