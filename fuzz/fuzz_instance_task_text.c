/*
 * What psql, pgbench and pg_repack of a user's image print, and what a script holds (instance's
 * task_text.c, and psql_complaint). Oracles: what goes to the status is fit for the wire; a line
 * that is added counts for what it says; a log that is read as it grows gives the same as the whole
 * of it; a figure is the number that stands there; no script that could start a program passes.
 */
#include <ctype.h>
#include <stdlib.h>

#include "fuzz/fuzz.h"
#include "instance/task.h"

/* text and then more, in memory of just that size, so that ASan sees who reads past it. */
static struct str
with(struct str text, const char *more)
{
	size_t n = strlen(more);
	char *p = malloc(text.len + n + 1);

	memcpy(p, text.p, text.len);
	memcpy(p + text.len, more, n);
	p = realloc(p, text.len + n > 0 ? text.len + n : 1);
	return (struct str){p, text.len + n};
}

static void
drop(struct str s)
{
	free((void *)(uintptr_t)s.p);
}

static bool
has(struct str s, const char *word)
{
	return memmem(s.p, s.len, word, strlen(word)) != NULL;
}

/* --- Words. */

static void
check_hex(struct str text)
{
	static const char digits[] = "0123456789abcdef";
	char out[64];
	size_t n;

	if (task_hex_decode(text, out, sizeof(out)) == -1)
		return;
	n = strlen(out);
	MUST(n < sizeof(out) && 2 * n == text.len);
	for (size_t i = 0; i < n; i++)
		MUST(text.p[2 * i] == digits[(unsigned char)out[i] >> 4] &&
		     text.p[2 * i + 1] == digits[(unsigned char)out[i] & 15]);
}

static void
check_tail(struct str text)
{
	char out[TASK_OUTPUT_MAX + 1], again[TASK_OUTPUT_MAX + 1];
	struct str whole = text;
	size_t n;

	task_tail(text, out);
	n = strlen(out);
	MUST(n <= TASK_OUTPUT_MAX && charset_ok(CHARS_LINES, str_of(out)));
	MUST(n == 0 || !isspace((unsigned char)out[n - 1]));
	task_tail(str_of(out), again);
	MUST(strcmp(out, again) == 0);
	while (whole.len > 0 && isspace((unsigned char)whole.p[whole.len - 1]))
		whole.len--;
	if (whole.len <= TASK_OUTPUT_MAX)
		MUST(n == whole.len &&
		     (!charset_ok(CHARS_LINES, whole) || memcmp(out, whole.p, n) == 0));
}

static void
check_complaint(struct str text)
{
	char out[IPC_TEXT_MAX + 1];
	struct str more = with(text, "\nERROR:  division by zero\n");

	psql_complaint(text, out);
	MUST(strlen(out) <= IPC_TEXT_MAX && charset_ok(CHARS_TEXT, str_of(out)));
	psql_complaint(more, out);
	MUST(has(text, "ERROR:  ") || strcmp(out, "division by zero") == 0);
	drop(more);
}

static void
check_lost(struct str text)
{
	struct str more = with(text, "\nERROR:  division by zero\n"),
		   lost = with(text, "\nFATAL:  the database system is shutting down\n");

	MUST(task_connection_lost(more) == task_connection_lost(text));
	MUST(task_connection_lost(lost));
	drop(more);
	drop(lost);
}

/* --- Numbers. */

static uint64_t
removed(struct str text, size_t at_once)
{
	struct task_vacuumed v = {0};

	for (size_t i = 0; i < text.len; i += at_once)
		task_vacuum_read(
		    &v, (struct str){text.p + i, text.len - i < at_once ? text.len - i : at_once});
	MUST(v.n < sizeof(v.line));
	return v.tuples;
}

static void
check_tuples(struct str text)
{
	struct str more = with(text, "\nvacuuming \"x\"\ntuples: 5 removed, 1 remain\n");
	uint64_t n = removed(text, 7), all = removed(more, 4096);

	MUST(n == removed(text, 4096) && all <= INT64_MAX && all >= n);
	MUST(all == n + 5 || all > n || n > (uint64_t)INT64_MAX - 5);
	drop(more);
}

static void
check_progress(struct str text)
{
	struct str more = with(text, "\nprogress: 7.0 s, 991.5 tps, lat 1.008 ms\n");
	int64_t seconds = task_pgbench_progress(text);

	MUST(seconds >= -1 && seconds < 1000000);
	MUST(task_pgbench_progress(more) == 7);
	drop(more);
}

/* A figure is empty, or a number that stands behind that mark. */
static void
check_figure(struct str text, const char *mark, const char *figure)
{
	const char *at = memmem(text.p, text.len, mark, strlen(mark));
	char there[64];
	size_t n = 0;

	MUST(strlen(figure) <= 16);
	if (figure[0] == '\0')
		return;
	MUST(isdigit((unsigned char)figure[0]) && at != NULL);
	at += strlen(mark);
	while (n < sizeof(there) - 1 && at + n < text.p + text.len &&
	       (isdigit((unsigned char)at[n]) || at[n] == '.'))
		n++;
	memcpy(there, at, n);
	there[n] = '\0';
	MUST(strtod(figure, NULL) <= strtod(there, NULL) &&
	     strtod(figure, NULL) > strtod(there, NULL) - 0.0011);
}

static void
check_report(struct str text)
{
	static const char lines[] =
	    "\nlatency average = 1.2345 ms\nlatency stddev = 0.5 ms\ntps = 12.5 (without)\n";
	struct msg_task_state m = {0};
	struct str more = with(text, lines);

	MUST(task_pgbench_report(text, &m) == (m.tps[0] != '\0'));
	check_figure(text, "tps = ", m.tps);
	check_figure(text, "latency average = ", m.latency_avg);
	check_figure(text, "latency stddev = ", m.latency_stddev);
	MUST(has(text, "tps = ") || (task_pgbench_report(more, &m) && strcmp(m.tps, "12.5") == 0));
	MUST(has(text, "latency average = ") || !task_pgbench_report(more, &m) ||
	     strcmp(m.latency_avg, "1.234") == 0);
	drop(more);
}

/* --- pgbench's log: read whole, and as it grows. */

static void
read_growing(struct latencies *l, struct str text, uint32_t seed)
{
	size_t done = 0, seen = 0;

	while (seen < text.len) {
		size_t lines;

		seed = seed * 1103515245u + 12345u;
		seen += 1 + (seed >> 16) % 64;
		seen = seen < text.len ? seen : text.len;
		lines = task_latency_read(l, (struct str){text.p + done, seen - done});
		MUST(lines <= seen - done && (lines == 0 || text.p[done + lines - 1] == '\n'));
		done += lines;
		MUST(memchr(text.p + done, '\n', seen - done) == NULL);
	}
}

static void
check_latencies(struct str text, uint32_t seed)
{
	static struct latencies whole, grown;
	static const unsigned percents[] = {50, 95, 99, 100};
	double before = 0;
	uint64_t n = 0;
	char out[17];

	memset(&whole, 0, sizeof(whole));
	memset(&grown, 0, sizeof(grown));
	(void)task_latency_read(&whole, text);
	read_growing(&grown, text, seed);
	MUST(memcmp(&whole, &grown, sizeof(whole)) == 0);
	for (size_t i = 0; i < sizeof(whole.bucket) / sizeof(whole.bucket[0]); i++)
		n += whole.bucket[i];
	MUST(n == whole.n);
	for (size_t i = 0; i < sizeof(percents) / sizeof(percents[0]); i++) {
		task_latency_text(&whole, percents[i], out);
		MUST((out[0] == '\0') == (n == 0) && strlen(out) <= 16);
		MUST(strtod(out, NULL) >= before);
		before = strtod(out, NULL);
	}
}

/* --- Scripts. */

static bool
is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

/* Is what stands behind every backslash one of the words? */
static bool
only_computes(struct str script)
{
	static const char *const words[] = {"set", "sleep", "if", "elif", "else", "endif", "gset",
	    "aset", "startpipeline", "syncpipeline", "endpipeline"};

	for (size_t i = 0; i < script.len; i++) {
		struct str word = {script.p + i + 1, 0};
		bool found = false;

		if (script.p[i] != '\\')
			continue;
		while (i + 1 + word.len < script.len && is_word(word.p[word.len]))
			word.len++;
		for (size_t k = 0; k < sizeof(words) / sizeof(words[0]); k++)
			found |= str_is(word, words[k]);
		if (!found)
			return false;
	}
	return true;
}

static void
check_script(struct str text)
{
	struct str more = with(text, "\n\\setshell x touch /tmp/y\n");
	char name[32], longer[33];
	const char *refused = task_pgbench_refused(text, name);

	MUST((refused == NULL) == only_computes(text));
	if (refused != NULL) {
		(void)snprintf(longer, sizeof(longer), "\\%s", refused);
		MUST(refused == name && strlen(name) < sizeof(name) && has(text, longer) &&
		     charset_ok(CHARS_PRINT, str_of(name)));
	}
	MUST(task_pgbench_refused(more, name) != NULL &&
	     (refused != NULL || strcmp(name, "setshell") == 0));
	MUST(task_script_needs_restrict(text) == has(text, "\\"));
	drop(more);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text;

	if (size < 1)
		return 0;
	text = with((struct str){(const char *)data + 1, size - 1}, "");
	check_hex(text);
	check_tail(text);
	check_complaint(text);
	check_lost(text);
	check_tuples(text);
	check_progress(text);
	check_report(text);
	check_latencies(text, data[0]);
	check_script(text);
	drop(text);
	return 0;
}
