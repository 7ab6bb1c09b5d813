/* libpq's password file: one line, escaped, readable by us alone, replaced in one step. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "instance/pgctl.h"
#include "tests/unit/tap.h"

static char dir[] = "/tmp/bestgres-passfile-XXXXXX";
static char path[64], temp[80];

static bool
writes(const char *host, const char *user, const char *password, const char *wanted)
{
	struct secret p = {0};
	char text[256] = "";
	struct err e;
	int fd;
	ssize_t n;
	bool ok;

	secret_alloc(&p, strlen(password) + 1);
	memcpy(p.p, password, strlen(password));
	p.len = strlen(password);
	ok = passfile_write(path, host, user, &p, &e) == 0;
	secret_free(&p);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd == -1 ? -1 : read(fd, text, sizeof(text) - 1);
	fd_close(&fd);
	return ok && n >= 0 && strcmp(text, wanted) == 0;
}

int
main(void)
{
	struct secret none = {0};
	struct stat st;
	struct err e;

	if (mkdtemp(dir) == NULL)
		return 1;
	(void)snprintf(path, sizeof(path), "%s/pass", dir);
	(void)snprintf(temp, sizeof(temp), "%s.new", path);
	CHECK(writes(SOCKET_DIR, "postgres", "secret",
		  SOCKET_DIR ":5432:*:postgres:secret\nlocalhost:5432:*:postgres:secret\n"),
	    "for our socket alone, which libpq may know as localhost");
	CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600, "for us alone");
	CHECK(
	    writes("fd00::1", "o:w\\n", "a:b\\c:", "fd00\\:\\:1:5432:*:o\\:w\\\\n:a\\:b\\\\c\\:\n"),
	    "colons and backslashes are escaped; the old file is replaced");
	CHECK(symlink("/nowhere/else", temp) == 0 &&
		  writes("10.0.0.1", "u", "", "10.0.0.1:5432:*:u:\n") && access(temp, F_OK) == -1,
	    "whatever lies in the way of the new one is not followed");
	(void)unlink(path);
	(void)rmdir(dir);
	secret_alloc(&none, 1);
	CHECK(passfile_write(path, "10.0.0.1", "u", &none, &e) == -1 && e.code == ERR_RETRY &&
		  strstr(e.text, path) != NULL,
	    "a directory that is not there");
	secret_free(&none);
	return tap_done();
}
