/*
 * Golden files: what is rendered is compared byte by byte with a file that a reader can follow, one
 * line of JSON indented. With GOLDEN_UPDATE=1 in the environment the file is written anew.
 */
#ifndef TESTS_UNIT_GOLDEN_H
#define TESTS_UNIT_GOLDEN_H

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/base.h"
#include "tests/unit/tap.h"

#define GOLDEN_MAX (4u << 20)

/* One line of JSON, indented: white space outside of strings is all that is added. */
static inline void
golden_indent(struct buf *out, struct str s)
{
	unsigned depth = 0;
	bool string = false;

	for (size_t i = 0; i < s.len; i++) {
		char ch = s.p[i];

		if (string || (ch != '{' && ch != '[' && ch != '}' && ch != ']' && ch != ',')) {
			buf_put(out, &ch, 1);
			if (string && ch == '\\')
				buf_put(out, &s.p[++i], 1);
			else if (ch == '"')
				string = !string;
			if (!string && ch == ':')
				buf_puts(out, " ");
			continue;
		}
		if (i + 1 < s.len && (ch == '{' || ch == '[') &&
		    (s.p[i + 1] == '}' || s.p[i + 1] == ']')) {
			buf_put(out, &s.p[i++], 2);
			continue;
		}
		if (ch == '}' || ch == ']')
			depth--;
		else if (ch != ',')
			depth++;
		if (ch == ',' || ch == '{' || ch == '[')
			buf_put(out, &ch, 1);
		buf_printf(out, "\n%*s", (int)(2 * depth), "");
		if (ch == '}' || ch == ']')
			buf_put(out, &ch, 1);
	}
	buf_puts(out, "\n");
}

static inline int
golden_read(const char *path, struct buf *out)
{
	char chunk[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd == -1)
		return -1;
	while ((n = read(fd, chunk, sizeof(chunk))) > 0)
		buf_put(out, chunk, (size_t)n);
	close(fd);
	return n == 0 && !out->full ? 0 : -1;
}

static inline void
golden_write(const char *path, struct str s)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd == -1 || fd_write_all(fd, s.p, s.len) == -1)
		die("can not write %s", path);
	close(fd);
}

/* Is rendered, which is JSON, what stands in the file at path? */
static inline void
golden_check(const char *path, struct str rendered)
{
	struct buf pretty, wanted;
	char what[192];

	buf_init(&pretty, GOLDEN_MAX);
	buf_init(&wanted, GOLDEN_MAX);
	golden_indent(&pretty, rendered);
	if (getenv("GOLDEN_UPDATE") != NULL)
		golden_write(path, buf_view(&pretty));
	snprintf(what, sizeof(what), "as in %s", path);
	CHECK(golden_read(path, &wanted) == 0 && str_eq(buf_view(&wanted), buf_view(&pretty)),
	    what);
	buf_free(&pretty);
	buf_free(&wanted);
}

#endif
