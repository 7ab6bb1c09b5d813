/*
 * The operator's log. Each life writes logfmt lines into a pipe of its own; here they are cut,
 * stamped with time, process and life, and put into one ring that drains into a non-blocking
 * stdout. Nobody waits for the log's reader: what does not fit is dropped and counted. Our own
 * events go the same way; only die() writes to stderr.
 */
#include "supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

/* --- The ring, pure. */

static void
ring_copy(struct log_ring *r, const char *p, size_t n)
{
	size_t tail = (r->head + r->len) % LOG_RING_SIZE;
	size_t first = n < LOG_RING_SIZE - tail ? n : LOG_RING_SIZE - tail;

	memcpy(r->bytes + tail, p, first);
	memcpy(r->bytes, p + first, n - first);
	r->len += n;
}

void
supervisor_ring_put(struct log_ring *r, const char *line, size_t len)
{
	char note[128];
	int n = 0;

	if (r->dropped > 0)
		n = snprintf(note, sizeof(note),
		    "proc=supervisor level=warn event=log_dropped dropped=%llu\n",
		    (unsigned long long)r->dropped);
	if ((size_t)n + len > LOG_RING_SIZE - r->len) {
		r->dropped++;
		return;
	}
	ring_copy(r, note, (size_t)n);
	ring_copy(r, line, len);
	r->dropped = 0;
}

struct str
supervisor_ring_view(const struct log_ring *r)
{
	size_t run = LOG_RING_SIZE - r->head;

	return (struct str){r->bytes + r->head, r->len < run ? r->len : run};
}

void
supervisor_ring_drop(struct log_ring *r, size_t n)
{
	r->head = (r->head + n) % LOG_RING_SIZE;
	r->len -= n;
}

/* --- Lines, pure. */

static void
lines_add(struct log_lines *s, const char *p, size_t n, void (*line)(void *, struct str), void *arg)
{
	size_t room = sizeof(s->bytes) - s->len;

	if (s->skip)
		return;
	memcpy(s->bytes + s->len, p, n < room ? n : room);
	s->len += n < room ? n : room;
	if (n <= room)
		return;
	line(arg, (struct str){s->bytes, s->len});
	s->len = 0;
	s->skip = true;
}

void
supervisor_lines_end(struct log_lines *s, void (*line)(void *arg, struct str line), void *arg)
{
	if (s->len > 0)
		line(arg, (struct str){s->bytes, s->len});
	s->len = 0;
	s->skip = false;
}

void
supervisor_lines_push(struct log_lines *s, const char *p, size_t n,
    void (*line)(void *arg, struct str line), void *arg)
{
	while (n > 0) {
		const char *nl = memchr(p, '\n', n);
		size_t part = nl != NULL ? (size_t)(nl - p) : n;

		lines_add(s, p, part, line, arg);
		if (nl == NULL)
			return;
		supervisor_lines_end(s, line, arg);
		p += part + 1;
		n -= part + 1;
	}
}

/* What a terminal or a reader of lines could take for something else: C0, DEL, C1, and what is no
 * UTF-8. */
static bool
is_plain(const char *p, size_t n)
{
	const unsigned char *u = (const unsigned char *)p;

	if (n == 1)
		return u[0] >= 0x20 && u[0] != 0x7f;
	return n != 0 && !(n == 2 && u[0] == 0xc2 && u[1] < 0xa0);
}

static char *
escape(char *out, struct str text, bool quoted)
{
	for (size_t i = 0; i < text.len;) {
		size_t n = utf8_next(text.p + i, text.len - i);

		if (!is_plain(text.p + i, n)) {
			out += snprintf(out, 5, "\\x%02x", (unsigned char)text.p[i]);
			i++;
			continue;
		}
		if (quoted && (text.p[i] == '"' || text.p[i] == '\\'))
			*out++ = '\\';
		memcpy(out, text.p + i, n);
		out += n;
		i += n;
	}
	return out;
}

size_t
supervisor_line_stamp(char *out, const struct log_stamp *stamp, int64_t wall_ms, struct str text)
{
	bool ours = str_starts(text, "level=");
	char time[21], *p = out;

	if (text.len > LOG_LINE_SIZE)
		text.len = LOG_LINE_SIZE;
	time_rfc3339(time, wall_ms / 1000);
	p += snprintf(p, 96, "ts=%.19s.%03dZ proc=%s", time, (int)(wall_ms % 1000), stamp->proc);
	if (stamp->life > 0)
		p += snprintf(p, 32, " life=%u", stamp->life);
	p += snprintf(p, 96, "%s%s", stamp->by_us ? " by=supervisor" : "",
	    ours ? " " : " level=warn event=output msg=\"");
	p = escape(p, text, !ours);
	if (!ours)
		*p++ = '"';
	*p++ = '\n';
	return (size_t)(p - out);
}

/* --- The one log of this process. */

static struct log_ring ring;
static ev_io writer;
static struct ev_loop *writer_loop;

void
supervisor_log_flush(void)
{
	while (ring.len > 0) {
		struct str s = supervisor_ring_view(&ring);
		ssize_t n = write(STDOUT_FILENO, s.p, s.len);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && errno == EAGAIN)
			break;
		/* A reader that is gone for good takes everything. */
		supervisor_ring_drop(&ring, n == -1 ? s.len : (size_t)n);
	}
	if (writer_loop == NULL)
		return;
	if (ring.len > 0)
		ev_io_start(writer_loop, &writer);
	else
		ev_io_stop(writer_loop, &writer);
}

static void
on_stdout(struct ev_loop *loop, ev_io *io, int revents)
{
	(void)loop;
	(void)io;
	(void)revents;
	supervisor_log_flush();
}

void
supervisor_log_open(struct ev_loop *loop)
{
	if (fd_nonblock(STDOUT_FILENO) == -1)
		die("stdout is closed: give the supervisor one");
	writer_loop = loop;
	ev_io_init(&writer, on_stdout, STDOUT_FILENO, EV_WRITE);
}

void
supervisor_log_line(const struct log_stamp *stamp, struct str text)
{
	static char stamped[LOG_STAMPED_SIZE];
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	supervisor_ring_put(&ring, stamped,
	    supervisor_line_stamp(
		stamped, stamp, (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000, text));
	supervisor_log_flush();
}

void
supervisor_log_event(
    const struct worker_proc *w, enum log_level level, const char *event, const char *fmt, ...)
{
	static const char *const levels[] = {
	    [LOG_DEBUG] = "debug",
	    [LOG_INFO] = "info",
	    [LOG_WARN] = "warn",
	    [LOG_ERROR] = "error",
	};
	struct log_stamp stamp = {.proc = "supervisor"};
	char text[1024];
	va_list ap;
	int n, m;

	n = snprintf(text, sizeof(text), "level=%s event=%s ", levels[level], event);
	va_start(ap, fmt);
	m = vsnprintf(text + n, sizeof(text) - (size_t)n, fmt, ap);
	va_end(ap);
	if (m < 0)
		die("event %s can not be formatted", event);
	if (w != NULL)
		stamp = (struct log_stamp){ipc_role_name(w->role), w->lives, true};
	supervisor_log_line(&stamp, (struct str){text, strnlen(text, sizeof(text))});
}
