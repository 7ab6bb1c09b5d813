/*
 * What the programs of a task print, and what a script may hold. Pure; pgctl parses output of the
 * user's image, so every number is checked and nothing is believed to be there.
 */
#include <ctype.h>
#include <math.h>

#include "instance/task.h"

#define FIGURE_WHOLE 12 /* digits of tps and latencies; with the decimals they fit msg.def's 16 */
#define FIGURE_DECIMALS 3

static int
digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void
task_dbname(const char *database, char out[TASK_DBNAME_SIZE])
{
	size_t n = (size_t)snprintf(out, TASK_DBNAME_SIZE, "dbname='");

	if (strlen(database) > 63)
		die("task: a database's name is too long");
	for (const char *p = database; *p != '\0'; p++) {
		if (*p == '\'' || *p == '\\')
			out[n++] = '\\';
		out[n++] = *p;
	}
	out[n++] = '\'';
	out[n] = '\0';
}

void
task_read_backend(struct str out, struct task_backend *b)
{
	int pid;
	long long started_us;

	if (out.len > 0 && sscanf(out.p, "%9d|%19lld", &pid, &started_us) == 2 && pid > 0)
		*b = (struct task_backend){pid, started_us};
}

int
task_hex_decode(struct str hex, char *out, size_t size)
{
	if (hex.len % 2 != 0 || hex.len / 2 >= size)
		return -1;
	for (size_t i = 0; i < hex.len; i += 2) {
		int high = digit(hex.p[i]), low = digit(hex.p[i + 1]);

		if (high < 0 || low < 0 || (high == 0 && low == 0))
			return -1;
		out[i / 2] = (char)(high * 16 + low);
	}
	out[hex.len / 2] = '\0';
	return 0;
}

/* The number between those words; 0: there is none. */
static uint64_t
between(const char *line, const char *mark, const char *end)
{
	const char *at = strstr(line, mark);
	struct str digits = {at, 0};
	uint64_t n;

	if (at == NULL)
		return 0;
	digits.p += strlen(mark);
	digits.len = strspn(digits.p, "0123456789");
	if (!str_starts(str_of(digits.p + digits.len), end) || str_to_u64(digits, &n) == -1)
		return 0;
	return n;
}

/* "tuples: 5 removed" from version 15 on, "found 5 removable" before and of VACUUM FULL. */
static void
read_vacuum_line(struct task_vacuumed *v)
{
	uint64_t n;

	if (strstr(v->line, "vacuuming \"") != NULL)
		v->toast = strstr(v->line, "pg_toast.pg_toast_") != NULL;
	n = between(v->line, "tuples: ", " removed");
	if (n == 0)
		n = between(v->line, ": found ", " removable");
	if (!v->toast && n <= (uint64_t)INT64_MAX - v->tuples)
		v->tuples += n;
}

void
task_vacuum_read(struct task_vacuumed *v, struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] != '\n') {
			if (v->n < sizeof(v->line) - 1)
				v->line[v->n++] = s.p[i];
			continue;
		}
		v->line[v->n] = '\0';
		read_vacuum_line(v);
		v->n = 0;
	}
}

/* As libpq, pgbench and the server say it with LC_ALL=C. */
static bool
says_lost(struct str s)
{
	static const char *const words[] = {"server closed the connection",
	    "connection to server was lost", "no connection to the server",
	    "perhaps the backend died while processing", "terminating connection due to",
	    "terminating connection because of crash", "the database system is ",
	    "failed: No such file or directory", "failed: Connection refused"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (memmem(s.p, s.len, words[i], strlen(words[i])) != NULL)
			return true;
	return false;
}

/* What of a line is a program's own, or the server's last word; the rest can be a script's. */
static struct str
own_part(struct str line, bool *is_error)
{
	static const char *const said[] = {
	    "ERROR:  ", "WARNING:  ", "NOTICE:  ", "INFO:  ", "LOG:  ", "DEBUG:  "};
	const char *at;

	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++)
		if ((at = memmem(line.p, line.len, said[i], strlen(said[i]))) != NULL) {
			*is_error |= i == 0;
			line.len = (size_t)(at - line.p);
		}
	return line;
}

bool
task_connection_lost(struct str s)
{
	static const char *const begins[] = {"psql:", "pgbench:", "FATAL: ", "ERROR: "};
	bool more = false; /* of a message of several lines */

	while (s.len > 0) {
		const char *end = memchr(s.p, '\n', s.len);
		struct str line = {s.p, end == NULL ? s.len : (size_t)(end - s.p)};
		size_t used = end == NULL ? line.len : line.len + 1;

		for (size_t i = 0; i < sizeof(begins) / sizeof(begins[0]); i++)
			more &= !str_starts(line, begins[i]);
		if (!more && says_lost(own_part(line, &more)))
			return true;
		s = (struct str){s.p + used, s.len - used};
	}
	return false;
}

/*
 * « or », or a character from U+2000 on, where the quotes and the Japanese begin, outside of what
 * stands in English quotes; or one of those without its end, behind which that can follow. Spanish
 * and Japanese call the severities as English does.
 */
static bool
has_foreign(struct str said)
{
	bool quoted = false;

	for (size_t i = 0; i < said.len; i++) {
		unsigned char c = (unsigned char)said.p[i],
			      next = i + 1 < said.len ? (unsigned char)said.p[i + 1] : 0;

		quoted ^= c == '"';
		if (!quoted && (c >= 0xe2 || (c == 0xc2 && (next == 0xab || next == 0xbb))))
			return true;
	}
	return quoted;
}

/* The server's words are in English: only then is it known what of them is a script's. */
static bool
is_english(struct str said)
{
	static const char *const severity[] = {"ERROR:  ", "FATAL:  ", "PANIC:  ", "WARNING:  ",
	    "NOTICE:  ", "INFO:  ", "LOG:  ", "DEBUG:  ", "error: "};

	for (size_t i = 0; i < sizeof(severity) / sizeof(severity[0]); i++)
		if (str_starts(said, severity[i]))
			return !has_foreign(said);
	return false;
}

/* Does a message begin there, as every one of the server's does, that is not in English? */
static bool
is_foreign(struct str said)
{
	const char *colon = memmem(said.p, said.len, ":  ", 3);
	size_t word = colon == NULL ? 0 : (size_t)(colon - said.p);

	if (str_starts(said, "psql: error: ") || is_english(said))
		return false;
	return has_foreign(said) || (word > 0 && memchr(said.p, ' ', word) == NULL);
}

/* Of a shorter text the beginning is there: run.c drops half of what has grown too long. */
#define CUT_MIN (RUN_OUTPUT_MAX / 4)

/* "psql:<stdin>:12: ": how long that is; 0 = the line begins otherwise. */
static size_t
psql_place(struct str line)
{
	static const char begins[] = "psql:<stdin>:";
	size_t n = sizeof(begins) - 1;

	if (!str_starts(line, begins))
		return 0;
	while (n < line.len && isdigit((unsigned char)line.p[n]))
		n++;
	return n + 1 < line.len && line.p[n] == ':' && line.p[n + 1] == ' ' ? n + 2 : 0;
}

/* Of pgbench: its own lines, with the first one of the server's message. */
static bool
pgbench_may_tell(struct str line)
{
	static const char query[] = " query ";
	const char *at = memmem(line.p, line.len, query, sizeof(query) - 1);
	struct str said = {line.p + line.len, 0};

	if (!str_starts(line, "pgbench: ") || str_starts(line, "pgbench: detail: "))
		return false;
	if (memmem(line.p, line.len, "aborted in command", 18) == NULL ||
	    memmem(line.p, line.len, "perhaps the backend died", 24) != NULL)
		return true;
	if (at != NULL)
		at = memmem(at, (size_t)(said.p - at), ": ", 2);
	if (at != NULL)
		said = (struct str){at + 2, (size_t)(said.p - at) - 2};
	return is_english(said);
}

/* hidden: the message under way; a message of several lines has a place in its first alone. */
static void
put_scrubbed(struct str line, size_t cut, bool *hidden, struct buf *out)
{
	size_t place = psql_place(line);
	struct str said = {line.p + place, line.len - place - cut};

	if (place == 0 && *hidden)
		return;
	*hidden = place == 0
	              ? is_foreign(said)
	              : !is_english(said) && !str_starts(said, "server closed the connection");
	if (*hidden)
		line.len = place;
	buf_str(out, line);
	buf_puts(
	    out, *hidden ? "ERROR:  in the server's language, which may quote the script\n" : "\n");
}

/* " at character 12", with which terse messages end; else nothing. */
static struct str
character_of(struct str s)
{
	static const char mark[] = "\" at character ";
	size_t n;

	while (s.len > 0 && isspace((unsigned char)s.p[s.len - 1]))
		s.len--;
	for (n = 0; n < s.len && isdigit((unsigned char)s.p[s.len - n - 1]);)
		n++;
	if (n == 0 || s.len < n + sizeof(mark) - 1 ||
	    memcmp(s.p + s.len - n - (sizeof(mark) - 1), mark, sizeof(mark) - 1) != 0)
		return STR("");
	n += sizeof(mark) - 2;
	return (struct str){s.p + s.len - n, n};
}

/* From the error on, with which a script ends: a notice of before may hold any words. */
static struct str
error_in(struct str s)
{
	while (s.len > 0) {
		const char *end = memchr(s.p, '\n', s.len);
		struct str line = {s.p, end == NULL ? s.len : (size_t)(end - s.p)};
		size_t place = psql_place(line);

		if (str_starts((struct str){line.p + place, line.len - place}, "ERROR:  "))
			break;
		line.len += end == NULL ? 0 : 1;
		s = (struct str){s.p + line.len, s.len - line.len};
	}
	return s;
}

/* What the server could not take: where its first quote has just begun; NULL = nothing. */
static const char *
token_in(struct str s)
{
	static const char *const before[] = {"at or near \"", "unrecognized role option \"", ": \"",
	    "missing \"=\" after \"", "value \""};
	const char *first = NULL, *at;

	for (size_t i = 0; i < sizeof(before) / sizeof(before[0]); i++)
		if ((at = memmem(s.p, s.len, before[i], strlen(before[i]))) != NULL &&
		    (first == NULL || at + strlen(before[i]) < first))
			first = at + strlen(before[i]);
	return first;
}

/*
 * A token can be as long as the script, of many lines, when it is a string without an end: all that
 * follows such words goes, the last ones that a program says.
 */
void
task_scrub(struct str s, bool by_pgbench, struct buf *out)
{
	const char *token = token_in(by_pgbench ? s : error_in(s));
	struct str tail = {s.p + s.len, 0};
	bool placed = by_pgbench || s.len < CUT_MIN, hidden = false;

	if (token != NULL) {
		tail = (struct str){token, (size_t)(s.p + s.len - token)};
		s.len = (size_t)(token - s.p);
	}
	while (s.len > 0) {
		const char *end = memchr(s.p, '\n', s.len);
		struct str line = {s.p, end == NULL ? s.len : (size_t)(end - s.p)};
		size_t used = end == NULL ? line.len : line.len + 1;

		size_t cut = end == NULL && token != NULL ? 1 : 0; /* its quote has no end */

		placed |= psql_place(line) > 0;
		if (by_pgbench && pgbench_may_tell((struct str){line.p, line.len - cut})) {
			buf_str(out, line);
			buf_puts(out, "\n");
		} else if (!by_pgbench && placed) {
			put_scrubbed(line, cut, &hidden, out);
		}
		s = (struct str){s.p + used, s.len - used};
	}
	if (token == NULL || out->len < 2 || out->p[out->len - 2] != '"')
		return;
	out->len--; /* the line's end */
	buf_puts(out, "...\"");
	buf_str(out, character_of(tail));
	buf_puts(out, "\n");
}

void
task_failure(const struct run_result *r, const char *program, const char *complaint,
    char out[TASK_FAILURE_MAX])
{
	if (r->signal != 0)
		(void)snprintf(out, TASK_FAILURE_MAX, "interrupted: %s was ended by signal %d",
		    program, r->signal);
	else if (task_connection_lost(r->err))
		(void)snprintf(
		    out, TASK_FAILURE_MAX, "interrupted: PostgreSQL ended: %s", complaint);
	else if (complaint[0] != '\0')
		(void)snprintf(out, TASK_FAILURE_MAX, "%s", complaint);
	else
		(void)snprintf(
		    out, TASK_FAILURE_MAX, "%s ended with status %d", program, r->status);
}

void
task_tail(struct str s, char out[TASK_OUTPUT_MAX + 1])
{
	size_t n = 0;

	while (s.len > 0 && isspace((unsigned char)s.p[s.len - 1]))
		s.len--;
	if (s.len > TASK_OUTPUT_MAX) {
		const char *line;

		s = (struct str){s.p + s.len - TASK_OUTPUT_MAX, TASK_OUTPUT_MAX};
		if ((line = memchr(s.p, '\n', s.len)) != NULL)
			s = (struct str){line + 1, (size_t)(s.p + s.len - line - 1)};
	}
	while (s.len > 0) {
		size_t bytes = utf8_next(s.p, s.len);
		bool plain = bytes > 1 || *s.p == '\n' || *s.p == '\t' ||
		             (bytes == 1 && charset_ok(CHARS_TEXT, (struct str){s.p, 1}));

		if (bytes > 1 && !charset_ok(CHARS_TEXT, (struct str){s.p, bytes}))
			plain = false; /* a control character of two bytes */
		bytes = bytes == 0 ? 1 : bytes;
		if (plain)
			memcpy(out + n, s.p, bytes);
		else
			memset(out + n, '?', bytes);
		n += bytes;
		s = (struct str){s.p + bytes, s.len - bytes};
	}
	out[n] = '\0';
}

/* --- Scripts. */

/*
 * pgbench finds meta-commands anywhere in a line, in quotes it does not; here a backslash is one
 * wherever it stands, which refuses too much rather than too little.
 */
const char *
task_pgbench_refused(struct str script, char name[32])
{
	static const char *const harmless[] = {"set", "sleep", "if", "elif", "else", "endif",
	    "gset", "aset", "startpipeline", "syncpipeline", "endpipeline"};

	for (size_t i = 0; i < script.len; i++) {
		struct str word = {script.p + i + 1, 0};
		bool ok = false;

		if (script.p[i] != '\\')
			continue;
		while (i + 1 + word.len < script.len && word.len < 31 &&
		       (isalnum((unsigned char)word.p[word.len]) || word.p[word.len] == '_'))
			word.len++;
		for (size_t k = 0; k < sizeof(harmless) / sizeof(harmless[0]); k++)
			ok |= str_is(word, harmless[k]);
		if (ok)
			continue;
		memcpy(name, word.p, word.len);
		name[word.len] = '\0';
		return name;
	}
	return NULL;
}

static bool
is_word(struct str word, const char *wanted)
{
	return word.len == strlen(wanted) && strncasecmp(word.p, wanted, word.len) == 0;
}

static struct str
next_word(struct str *s)
{
	struct str word;

	while (s->len > 0 && isspace((unsigned char)s->p[0]))
		*s = (struct str){s->p + 1, s->len - 1};
	word = (struct str){s->p, 0};
	while (word.len < s->len && isalpha((unsigned char)word.p[word.len]))
		word.len++;
	*s = (struct str){s->p + word.len, s->len - word.len};
	return word;
}

/* ROLLBACK [WORK | TRANSACTION] TO: the transaction goes on. */
static bool
to_savepoint(struct str rest)
{
	struct str word = next_word(&rest);

	if (is_word(word, "work") || is_word(word, "transaction"))
		word = next_word(&rest);
	return is_word(word, "to");
}

/* Where a script failed nobody can be asked any more whether it had come to one. */
bool
task_script_may_commit(struct str s)
{
	static const char *const words[] = {"commit", "rollback", "abort"};
	bool begins = true;

	for (size_t i = 0; i < s.len; i++) {
		struct str rest = {s.p + i, s.len - i}, word;

		if (isspace((unsigned char)s.p[i]) || s.p[i] == ';') {
			begins |= s.p[i] == ';' || s.p[i] == '\n';
			continue;
		}
		word = next_word(&rest);
		for (size_t k = 0; begins && k < sizeof(words) / sizeof(words[0]); k++)
			if (is_word(word, words[k]) && !to_savepoint(rest))
				return true;
		begins = false;
		i += word.len > 0 ? word.len - 1 : 0;
	}
	return false;
}

bool
task_script_needs_restrict(struct str script)
{
	return memchr(script.p, '\\', script.len) != NULL;
}

/* --- pgbench. */

int64_t
task_pgbench_progress(struct str s)
{
	static const char mark[] = "progress: ";
	int64_t seconds = -1;

	for (const char *at = s.p;
	     (at = memmem(at, (size_t)(s.p + s.len - at), mark, sizeof(mark) - 1)) != NULL;) {
		struct str digits = {at + sizeof(mark) - 1, 0};
		uint64_t n;

		at = digits.p;
		while (digits.p + digits.len < s.p + s.len &&
		       isdigit((unsigned char)digits.p[digits.len]))
			digits.len++;
		if (str_to_u64(digits, &n) == 0 && n < 1000000)
			seconds = (int64_t)n;
	}
	return seconds;
}

#define STEP 1.01

void
task_latency_add(struct latencies *l, uint64_t us)
{
	size_t last = sizeof(l->bucket) / sizeof(l->bucket[0]) - 1;
	double at = us <= 1 ? 0. : ceil(log((double)us) / log(STEP));

	l->bucket[at < (double)last ? (size_t)at : last]++;
	l->n++;
}

/* "client transaction time script seconds microseconds"; time in microseconds, or a word. */
static void
read_line(struct latencies *l, struct str line)
{
	struct str field = {line.p, 0};
	uint64_t us;

	for (unsigned n = 0; n < 3; n++) {
		const char *end = memchr(field.p, ' ', (size_t)(line.p + line.len - field.p));

		if (end == NULL)
			return;
		field.len = (size_t)(end - field.p);
		if (n < 2)
			field.p = end + 1;
	}
	if (str_to_u64(field, &us) == 0)
		task_latency_add(l, us);
}

size_t
task_latency_read(struct latencies *l, struct str s)
{
	size_t done = 0;
	const char *end;

	while (done < s.len && (end = memchr(s.p + done, '\n', s.len - done)) != NULL) {
		read_line(l, (struct str){s.p + done, (size_t)(end - s.p) - done});
		done = (size_t)(end - s.p) + 1;
	}
	return done;
}

void
task_latency_text(const struct latencies *l, unsigned percent, char out[17])
{
	uint64_t seen = 0;

	out[0] = '\0';
	for (size_t i = 0; l->n > 0 && i < sizeof(l->bucket) / sizeof(l->bucket[0]); i++) {
		seen += l->bucket[i];
		if (seen * 100 < l->n * percent || l->bucket[i] == 0)
			continue;
		(void)snprintf(out, 17, "%.3f", pow(STEP, (double)i) / 1000.);
		return;
	}
}

static size_t
digits_at(const char *p, const char *end)
{
	size_t n = 0;

	while (p + n < end && isdigit((unsigned char)p[n]))
		n++;
	return n;
}

/* "tps = 1234.567890 (without ...)": 1234.567. No number, or one too large to be true: empty. */
static bool
number_after(struct str s, const char *mark, char out[17])
{
	const char *at = memmem(s.p, s.len, mark, strlen(mark)), *end = s.p + s.len;
	size_t n, decimals;

	out[0] = '\0';
	if (at == NULL)
		return false;
	at += strlen(mark);
	n = digits_at(at, end);
	if (n == 0 || n > FIGURE_WHOLE)
		return false;
	decimals = at + n < end && at[n] == '.' ? digits_at(at + n + 1, end) : 0;
	if (decimals > 0)
		n += 1 + (decimals < FIGURE_DECIMALS ? decimals : FIGURE_DECIMALS);
	memcpy(out, at, n);
	out[n] = '\0';
	return true;
}

bool
task_pgbench_report(struct str out, struct msg_task_state *m)
{
	(void)number_after(out, "latency average = ", m->latency_avg);
	(void)number_after(out, "latency stddev = ", m->latency_stddev);
	return number_after(out, "tps = ", m->tps);
}
