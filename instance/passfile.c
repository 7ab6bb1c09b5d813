/*
 * Passwords for libpq's programs: in a file that only our user reads, never in an argument or an
 * environment. Replaced in one step: a psql that starts meanwhile finds the old one or the new one.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "instance/pgctl.h"

#define USER_MAX 64
#define PATH_SIZE 64

/* Colons and backslashes are escaped (libpq, "The Password File"). */
static size_t
put_escaped(char *out, struct str s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] == ':' || s.p[i] == '\\')
			out[n++] = '\\';
		out[n++] = s.p[i];
	}
	return n;
}

/* "host:5432:*:user:password", of one server alone. */
static void
put_line(struct secret *line, struct str host, struct str user, struct str password)
{
	static const char port[] = ":5432:*:";
	size_t n = line->len;

	n += put_escaped(line->p + n, host);
	memcpy(line->p + n, port, sizeof(port) - 1);
	n += sizeof(port) - 1;
	n += put_escaped(line->p + n, user);
	line->p[n++] = ':';
	n += put_escaped(line->p + n, password);
	line->p[n++] = '\n';
	line->len = n;
}

/* libpq looks for "localhost" where the socket's directory is its own default one. */
static void
make_lines(struct secret *lines, struct str host, struct str user, struct str password)
{
	bool socket = str_is(host, SOCKET_DIR);

	secret_alloc(lines, 2 * (2 * host.len + 2 * user.len + 2 * password.len + 32));
	lines->len = 0;
	put_line(lines, host, user, password);
	if (socket)
		put_line(lines, STR("localhost"), user, password);
}

int
passfile_write(const char *path, const char *host, const char *user, const struct secret *password,
    struct err *e)
{
	char temp[PATH_SIZE];
	struct secret lines = {0};
	int fd, r;

	if (snprintf(temp, sizeof(temp), "%s.new", path) >= (int)sizeof(temp) ||
	    strlen(user) > USER_MAX)
		die("passfile %s: a name is too long", path);
	make_lines(&lines, str_of(host), str_of(user), (struct str){password->p, password->len});
	(void)unlink(temp);
	fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	r = fd == -1 ? -1 : fd_write_all(fd, lines.p, lines.len);
	if (r == 0)
		r = rename(temp, path);
	if (r == -1)
		(void)err_set(e, ERR_RETRY, "write %s: %s", path, strerror(errno));
	fd_close(&fd);
	secret_free(&lines);
	return r;
}
