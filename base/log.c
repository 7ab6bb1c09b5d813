/*
 * The log line: logfmt, at most LOG_LINE_MAX bytes (PIPE_BUF: one write is one line, even on a pipe
 * that others share), to fd 2. Values are escaped here and nowhere else, so that no payload can
 * end a line or begin a key. No allocation: die() and the out-of-memory path come through here.
 */
#include "base/base.h"

#include <errno.h>
#include <unistd.h>

#define LOG_LINE_MAX 4096
#define LOG_TAIL 5 /* ..."\n behind a message that was cut */

static enum log_level log_min = LOG_INFO;

struct line {
	char p[LOG_LINE_MAX];
	size_t len;
};

void
log_set_level(enum log_level min)
{
	log_min = min;
}

static bool
line_put(struct line *l, const char *p, size_t n)
{
	if (n > sizeof(l->p) - LOG_TAIL - l->len)
		return false;
	memcpy(l->p + l->len, p, n);
	l->len += n;
	return true;
}

/* What ends a line or commands a terminal for someone: C0, DEL, C1, U+2028, U+2029. */
static bool
must_escape(const char *p, size_t n)
{
	const unsigned char *u = (const unsigned char *)p;

	if (n == 1)
		return u[0] < 0x20 || u[0] == 0x7f;
	if (n == 2)
		return u[0] == 0xc2 && u[1] < 0xa0;
	return n == 3 && u[0] == 0xe2 && u[1] == 0x80 && (u[2] == 0xa8 || u[2] == 0xa9);
}

/* One character as it stands in a quoted value; the number of bytes taken from p, 0 = no room. */
static size_t
put_char(struct line *l, const char *p, size_t left)
{
	char esc[16];
	size_t i, len = 0, n = utf8_next(p, left);
	bool ok;

	if (n != 0 && !must_escape(p, n)) {
		if (*p == '"' || *p == '\\')
			ok = line_put(l, *p == '"' ? "\\\"" : "\\\\", 2);
		else
			ok = line_put(l, p, n);
		return ok ? n : 0;
	}
	if (*p == '\n' || *p == '\t')
		return line_put(l, *p == '\n' ? "\\n" : "\\t", 2) ? 1 : 0;
	n = n == 0 ? 1 : n;
	for (i = 0; i < n; i++)
		len +=
		    (size_t)snprintf(esc + len, sizeof(esc) - len, "\\x%02x", (unsigned char)p[i]);
	return line_put(l, esc, len) ? n : 0;
}

static void
put_quoted(struct line *l, const char *v, size_t len)
{
	size_t i = 0, n;

	if (!line_put(l, "\"", 1))
		return;
	while (i < len) {
		n = put_char(l, v + i, len - i);
		if (n == 0)
			break;
		i += n;
	}
	/* LOG_TAIL is kept free for these. */
	if (i < len) {
		memcpy(l->p + l->len, "...", 3);
		l->len += 3;
	}
	l->p[l->len++] = '"';
}

static bool
is_bare(const char *v)
{
	static const char safe[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/:@";

	return v[0] != '\0' && v[strspn(v, safe)] == '\0';
}

/* event and obj: bare as long as they are what they should be. Cut, so that msg has its room. */
static void
put_value(struct line *l, const char *v)
{
	size_t n = strnlen(v, 512);

	if (is_bare(v) && n < 512)
		line_put(l, v, n);
	else
		put_quoted(l, v, n);
}

/* vsnprintf may have cut inside a character: the rest of it says nothing. */
static size_t
cut_len(const char *text, size_t len)
{
	size_t back;

	for (back = 1; back <= 3 && back <= len; back++) {
		unsigned char c = (unsigned char)text[len - back];

		if (c < 0x80)
			return len;
		if (c >= 0xc0)
			return utf8_next(text + len - back, back) == 0 ? len - back : len;
	}
	return len;
}

static void
write_line(const struct line *l)
{
	ssize_t n;

	do
		n = write(STDERR_FILENO, l->p, l->len);
	while (n == -1 && errno == EINTR);
	/* A reader that stalls loses lines: the supervisor counts them, we do not wait. */
}

void
log_line(enum log_level level, const char *event, const char *obj, const char *fmt, ...)
{
	static const char *const names[] = {
	    [LOG_DEBUG] = "level=debug event=",
	    [LOG_INFO] = "level=info event=",
	    [LOG_WARN] = "level=warn event=",
	    [LOG_ERROR] = "level=error event=",
	};
	struct line l = {.len = 0};
	char text[LOG_LINE_MAX];
	int n, saved = errno;
	va_list ap;

	if (level < log_min && level < LOG_ERROR)
		return;
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	line_put(&l, names[level], strlen(names[level]));
	put_value(&l, event);
	if (obj != NULL) {
		line_put(&l, " obj=", 5);
		put_value(&l, obj);
	}
	line_put(&l, " msg=", 5);
	if (n < 0)
		put_quoted(&l, fmt, strlen(fmt));
	else if ((size_t)n < sizeof(text))
		put_quoted(&l, text, (size_t)n);
	else
		put_quoted(&l, text, cut_len(text, sizeof(text) - 1));
	l.p[l.len++] = '\n';
	write_line(&l);
	errno = saved;
}
