/*
 * The log line: what it looks like, that no payload can end it or begin a key, its size, and that
 * it is one write. Lines are read back from a SOCK_SEQPACKET pair in place of fd 2: one packet is
 * one write.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/base.h"
#include "tests/unit/forked.h"
#include "tests/unit/tap.h"

static int reader = -1, real_stderr = -1;
static char line[8192];

static void
capture_begin(void)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair) == -1)
		die("socketpair");
	reader = pair[0];
	real_stderr = dup(2);
	dup2(pair[1], 2);
	close(pair[1]);
}

static void
capture_end(void)
{
	dup2(real_stderr, 2);
	close(real_stderr);
	close(reader);
}

/* The next write to fd 2 into line; its length, or -1 if there was none. */
static ssize_t
next_line(void)
{
	ssize_t n = recv(reader, line, sizeof(line) - 1, 0);

	line[n < 0 ? 0 : n] = '\0';
	return n;
}

static bool
logged(const char *want)
{
	ssize_t n = next_line();

	if (n >= 0 && strcmp(line, want) == 0)
		return true;
	printf("# wanted: %s# got: %s\n", want, line);
	return false;
}

static size_t
count(char c)
{
	size_t n = 0;
	const char *p;

	for (p = line; *p != '\0'; p++)
		n += *p == c;
	return n;
}

static void
test_form(void)
{
	log_info("ready", NULL, "in %d ms", 12);
	CHECK(logged("level=info event=ready msg=\"in 12 ms\"\n"), "without an object");
	log_warn("patch", "BGCluster/b/demo", "refused");
	CHECK(logged("level=warn event=patch obj=BGCluster/b/demo msg=\"refused\"\n"), "with one");
	log_error("x", NULL, "%s", "");
	CHECK(logged("level=error event=x msg=\"\"\n"), "an empty message");
	log_info("x", "pod/b/d\xc3\xa9mo", "\xf0\x9f\x90\x98");
	CHECK(logged("level=info event=x obj=\"pod/b/d\xc3\xa9mo\" msg=\"\xf0\x9f\x90\x98\"\n"),
	    "UTF-8 as it is");
}

static void
test_levels(void)
{
	log_debug("x", NULL, "not wanted");
	CHECK(next_line() == -1, "debug is off at first");
	log_set_level(LOG_DEBUG);
	log_debug("x", NULL, "wanted");
	CHECK(logged("level=debug event=x msg=\"wanted\"\n"), "debug, once it is on");
	log_set_level(LOG_ERROR);
	log_warn("x", NULL, "not wanted");
	CHECK(next_line() == -1, "a warning below the level");
	log_error("x", NULL, "wanted");
	CHECK(logged("level=error event=x msg=\"wanted\"\n"), "errors always");
	log_set_level(LOG_INFO);
}

static const struct {
	const char *name, *payload, *want;
} injections[] = {
    {"a newline", "a\nlevel=error event=die", "a\\nlevel=error event=die"},
    {"a quote that ends the value", "a\" level=error x=\"", "a\\\" level=error x=\\\""},
    {"a backslash before the quote", "a\\\" x=1", "a\\\\\\\" x=1"},
    {"a backslash at the end", "a\\", "a\\\\"},
    {"CR and tab", "a\r\tb", "a\\x0d\\tb"},
    {"an escape sequence", "\x1b]0;owned\x07", "\\x1b]0;owned\\x07"},
    {"DEL", "a\x7f", "a\\x7f"},
    {"C1's CSI",
	"\xc2\x9b"
	"2J",
	"\\xc2\\x9b2J"},
    {"NEL", "\xc2\x85", "\\xc2\\x85"},
    {"U+2028", "a\xe2\x80\xa8z", "a\\xe2\\x80\\xa8z"},
    {"U+2029", "a\xe2\x80\xa9z", "a\\xe2\\x80\\xa9z"},
    {"a cut character", "a\xe2\x80", "a\\xe2\\x80"},
    {"an overlong newline", "\xc0\x8a", "\\xc0\\x8a"},
    {"0xff", "\xff", "\\xff"},
    {"percent signs", "%s%n%d", "%s%n%d"},
};

static void
test_injection(void)
{
	char want[256], name[64];
	size_t i;

	for (i = 0; i < sizeof(injections) / sizeof(injections[0]); i++) {
		log_info("x", NULL, "%s", injections[i].payload);
		snprintf(want, sizeof(want), "level=info event=x msg=\"%s\"\n", injections[i].want);
		CHECK(logged(want), injections[i].name);
		snprintf(name, sizeof(name), "%s, in the object", injections[i].name);
		log_info("x", injections[i].payload, "m");
		snprintf(want, sizeof(want), "level=info event=x obj=\"%s\" msg=\"m\"\n",
		    injections[i].want);
		CHECK(logged(want), name);
	}
	log_info("x level=error", "", "m");
	CHECK(logged("level=info event=\"x level=error\" obj=\"\" msg=\"m\"\n"),
	    "a space and an empty object are quoted");
	log_info("x", "a=b", "m");
	CHECK(logged("level=info event=x obj=\"a=b\" msg=\"m\"\n"), "an equals sign is quoted");
}

/* Whatever is repeated, the line has its limit, its end and no raw quote but its own. */
static bool
bounded(const char *unit, size_t times)
{
	struct buf b;
	size_t i;
	ssize_t n;

	buf_init(&b, SIZE_MAX);
	for (i = 0; i < times; i++)
		buf_puts(&b, unit);
	log_info("x", b.p, "%s", b.p);
	buf_free(&b);
	n = next_line();
	if (n <= 0 || n > 4096 || count('\n') != 1 || line[n - 1] != '\n')
		return false;
	return strcmp(line + n - 5, "...\"\n") == 0 && utf8_valid((struct str){line, (size_t)n});
}

static void
test_size(void)
{
	char text[4096];
	size_t fits = 4096 - strlen("level=info event=x msg=\"\"\n") - 3;
	bool shorter = true;
	size_t pad;

	memset(text, 'y', sizeof(text));
	text[fits] = '\0';
	log_info("x", NULL, "%s", text);
	CHECK(
	    next_line() == 4096 - 3 && strstr(line, "...") == NULL, "the longest that is not cut");
	text[fits] = 'y';
	text[fits + 1] = '\0';
	log_info("x", NULL, "%s", text);
	CHECK(next_line() == 4096 && strcmp(line + 4091, "...\"\n") == 0, "one byte more is cut");
	CHECK(bounded("y", 20000), "20000 letters");
	CHECK(bounded("\"", 20000), "20000 quotes");
	CHECK(bounded("\n", 20000), "20000 newlines");
	CHECK(bounded("\xff", 20000), "20000 bad bytes");
	for (pad = 0; pad < 4; pad++) {
		snprintf(text, sizeof(text), "%.*s%s", (int)pad, "yyyy", "\xf0\x9f\x90\x98");
		shorter = shorter && bounded(text, 5000);
	}
	CHECK(shorter, "a cut is never inside a character");
}

static int
dies(void *arg)
{
	(void)arg;
	die("broken: %s", "a\nlevel=info");
}

static void
test_die(void)
{
	errno = EXDEV;
	log_info("x", NULL, "m");
	CHECK(errno == EXDEV && next_line() > 0, "errno is kept");
	CHECK(forked(dies, NULL) == EXIT_BUG, "die leaves with 70");
	CHECK(logged("level=error event=die msg=\"broken: a\\nlevel=info\"\n"), "and says why");
}

static void
test_stalled_reader(void)
{
	size_t i, n = 0;

	for (i = 0; i < 10000; i++)
		log_info("flood", NULL, "%zu", i);
	while (next_line() > 0)
		n++;
	CHECK(n > 0 && n < 10000, "a reader that stalls loses lines and stops nobody");
	log_info("after", NULL, "m");
	CHECK(logged("level=info event=after msg=\"m\"\n"), "whole lines again afterwards");
}

int
main(void)
{
	capture_begin();
	test_form();
	test_levels();
	test_injection();
	test_size();
	test_die();
	test_stalled_reader();
	capture_end();
	return tap_done();
}
