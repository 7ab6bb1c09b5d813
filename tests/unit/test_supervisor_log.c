/* supervisor/log.c, its pure parts: cutting, stamping, and a ring that never waits. */
#include "supervisor/supervisor.h"

#include "tests/unit/tap.h"

static char got[64 * 1024];
static unsigned lines_n;

static void
on_line(void *arg, struct str s)
{
	size_t len = strlen(got);

	(void)arg;
	lines_n++;
	snprintf(got + len, sizeof(got) - len, "[%.*s]", (int)s.len, s.p);
}

static void
push(struct log_lines *l, const char *p)
{
	supervisor_lines_push(l, p, strlen(p), on_line, NULL);
}

static void
start(void)
{
	got[0] = '\0';
	lines_n = 0;
}

static void
test_lines(void)
{
	static struct log_lines l;
	static char big[3 * LOG_LINE_SIZE];

	start();
	push(&l, "one\ntw");
	push(&l, "o\n\n\nthr");
	CHECK(strcmp(got, "[one][two]") == 0, "lines come whole, empty ones not at all");
	supervisor_lines_end(&l, on_line, NULL);
	CHECK(strcmp(got, "[one][two][thr]") == 0, "the last words of a dead worker");

	start();
	memset(big, 'x', sizeof(big) - 1);
	push(&l, big);
	CHECK(lines_n == 1 && strlen(got) == LOG_LINE_SIZE + 2, "an endless line is cut once");
	push(&l, "xxx\nnext\n");
	CHECK(lines_n == 2 && strcmp(got + LOG_LINE_SIZE + 2, "[next]") == 0,
	    "and its rest passed over");

	start();
	big[LOG_LINE_SIZE] = '\0';
	push(&l, big);
	CHECK(lines_n == 0, "a line of exactly the limit is not cut");
	push(&l, "\n");
	CHECK(lines_n == 1 && strlen(got) == LOG_LINE_SIZE + 2, "and comes whole");
}

static struct log_stamp who = {.proc = "watcher", .life = 3};

static const char *
stamp(struct str s)
{
	static char out[LOG_STAMPED_SIZE + 1];

	out[supervisor_line_stamp(out, &who, 1700000000042, s)] = '\0';
	return out;
}

static void
test_stamp(void)
{
	static char worst[LOG_LINE_SIZE + 10];

	CHECK(strcmp(stamp(STR("level=info event=x")),
		  "ts=2023-11-14T22:13:20.042Z proc=watcher life=3 level=info event=x\n") == 0,
	    "a line of ours");
	CHECK(strstr(stamp(STR("ERROR: \"AddressSanitizer\"")),
		  " level=warn event=output msg=\"ERROR: \\\"AddressSanitizer\\\"\"\n") != NULL,
	    "what is no line of ours is quoted");
	CHECK(strstr(stamp(STR("level=info a\nts=1 proc=executor")), "a\\x0ats=1") != NULL,
	    "a newline can not forge a line");
	CHECK(strstr(stamp(STR("level=info \x1b[2J\x7f")), "\\x1b[2J\\x7f\n") != NULL,
	    "nor a terminal's orders");
	CHECK(strstr(stamp(STR("level=info \xc2\x9b\xff")), "\\xc2\\x9b\\xff\n") != NULL,
	    "nor C1, nor bad UTF-8");
	CHECK(strstr(stamp(STR("level=info gr\xc3\xbc\xc3\x9f")), "gr\xc3\xbc\xc3\x9f\n") != NULL,
	    "UTF-8 stays");
	who.by_us = true;
	CHECK(strcmp(stamp(STR("level=info event=x")),
		  "ts=2023-11-14T22:13:20.042Z proc=watcher life=3 by=supervisor level=info "
		  "event=x\n") == 0,
	    "a line of ours about it");
	who = (struct log_stamp){.proc = "supervisor"};
	CHECK(strcmp(stamp(STR("level=info event=x")),
		  "ts=2023-11-14T22:13:20.042Z proc=supervisor level=info event=x\n") == 0,
	    "about ourselves");
	memset(worst, 1, sizeof(worst));
	CHECK(strlen(stamp((struct str){worst, sizeof(worst)})) < LOG_STAMPED_SIZE,
	    "the worst line fits");
}

static void
test_ring(void)
{
	static struct log_ring r;
	static char line[1000];
	unsigned put = 0, seen = 0;
	bool ok = true;

	memset(line, 'r', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	while (r.dropped == 0) {
		supervisor_ring_put(&r, line, sizeof(line));
		put++;
	}
	CHECK(put == LOG_RING_SIZE / sizeof(line) + 1 && r.len <= LOG_RING_SIZE,
	    "a full ring drops, and waits for nobody");
	supervisor_ring_put(&r, line, sizeof(line));
	CHECK(r.dropped == 2, "and counts");
	supervisor_ring_drop(&r, 2 * sizeof(line));
	supervisor_ring_put(&r, line, sizeof(line));
	CHECK(r.dropped == 0, "once there is room, it says so");
	while (r.len > 0) {
		struct str s = supervisor_ring_view(&r);
		size_t n = s.len < 777 ? s.len : 777; /* a reader that takes odd pieces */

		for (size_t i = 0; i < n; i++)
			seen += s.p[i] == '\n';
		supervisor_ring_drop(&r, n);
	}
	CHECK(seen == LOG_RING_SIZE / sizeof(line) - 2 + 2,
	    "every line that was kept comes out, and the note");
	for (int i = 0; i < 1000; i++) { /* round the corner many times, with a pattern */
		char c = (char)('a' + i % 26);
		size_t n = (size_t)(i * 37 % 997 + 1);

		memset(line, c, n);
		supervisor_ring_put(&r, line, n);
		while (r.len > 0) {
			struct str s = supervisor_ring_view(&r);

			for (size_t k = 0; k < s.len; k++)
				ok = ok && s.p[k] == c;
			supervisor_ring_drop(&r, s.len);
		}
	}
	CHECK(ok, "bytes stay in order round the corner");
	memset(line, 'z', sizeof(line));
	while (r.dropped < 3)
		supervisor_ring_put(&r, line, sizeof(line));
	supervisor_ring_drop(&r, r.len);
	supervisor_ring_put(&r, "level=x\n", 8);
	start();
	while (r.len > 0) {
		struct str s = supervisor_ring_view(&r);
		size_t len = strlen(got);

		snprintf(got + len, sizeof(got) - len, "%.*s", (int)s.len, s.p);
		supervisor_ring_drop(&r, s.len);
	}
	CHECK(strcmp(got, "proc=supervisor level=warn event=log_dropped dropped=3\nlevel=x\n") == 0,
	    "the note comes first");
}

int
main(void)
{
	test_lines();
	test_stamp();
	test_ring();
	return tap_done();
}
