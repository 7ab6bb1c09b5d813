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

/* "*:*:*:user:password" */
static void
make_line(struct secret *line, struct str user, struct str password)
{
	static const char any[] = "*:*:*:";
	size_t n = sizeof(any) - 1;

	secret_alloc(line, sizeof(any) + 2 * user.len + 2 * password.len + 2);
	memcpy(line->p, any, n);
	n += put_escaped(line->p + n, user);
	line->p[n++] = ':';
	n += put_escaped(line->p + n, password);
	line->p[n++] = '\n';
	line->len = n;
}

int
passfile_write(const char *path, const char *user, const struct secret *password, struct err *e)
{
	char temp[PATH_SIZE];
	struct secret line = {0};
	int fd, r;

	if (snprintf(temp, sizeof(temp), "%s.new", path) >= (int)sizeof(temp) ||
	    strlen(user) > USER_MAX)
		die("passfile %s: a name is too long", path);
	make_line(&line, str_of(user), (struct str){password->p, password->len});
	(void)unlink(temp);
	fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	r = fd == -1 ? -1 : fd_write_all(fd, line.p, line.len);
	if (r == 0)
		r = rename(temp, path);
	if (r == -1)
		(void)err_set(e, ERR_RETRY, "write %s: %s", path, strerror(errno));
	fd_close(&fd);
	secret_free(&line);
	return r;
}
