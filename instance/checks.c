/*
 * What the image and the volume are: user, programs, versions, credentials. No child processes
 * here: pgctl.c runs them.
 */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "instance/pgctl.h"

#define SECRET_MAX 4096
#define MAJOR_MIN                                                                                  \
	13 /* standby.signal and the parameters we rely on; older ones are long out of support */
#define MAJOR_MAX 30
#define RECENT_S 60 /* as READS_DOWN_MS: what a replica that is back may lack before it says so */

/*
 * initdb refuses to run for a uid without a name. musl reads /etc/passwd only, where images have
 * theirs.
 */
bool
checks_uid_known(void)
{
	return getpwuid(getuid()) != NULL;
}

bool
checks_find_program(const char *name, const char *path, char out[256])
{
	for (const char *p = path; *p != '\0';) {
		size_t len = strcspn(p, ":");
		int n = snprintf(out, 256, "%.*s/%s", (int)len, p, name);

		if (p[0] == '/' && n > 0 && n < 256 && access(out, X_OK) == 0)
			return true;
		p += len;
		p += *p == ':';
	}
	return false;
}

static bool
has(const char *dir, const char *program)
{
	char path[300];
	int n = snprintf(path, sizeof(path), "%s/%s", dir, program);

	return n > 0 && n < (int)sizeof(path) && access(path, X_OK) == 0;
}

static unsigned
add(struct candidate *out, unsigned n, const char *dir, size_t len)
{
	struct candidate *c = &out[n];

	if (n == CANDIDATES_MAX || len == 0 || len >= sizeof(c->dir) || dir[0] != '/')
		return n;
	memset(c, 0, sizeof(*c));
	memcpy(c->dir, dir, len);
	for (unsigned i = 0; i < n; i++)
		if (strcmp(out[i].dir, c->dir) == 0)
			return n;
	/* Debian has links to single programs in other places */
	if (!has(c->dir, "postgres") || !has(c->dir, "initdb") || !has(c->dir, "pg_controldata"))
		return n;
	return n + 1;
}

unsigned
checks_candidates(struct candidate out[CANDIDATES_MAX], const char *path)
{
	static const char *const versioned[] = {"/usr/lib/postgresql/", "/usr/pgsql-"};
	static const char *const plain[] = {
	    "/usr/local/bin", "/usr/local/pgsql/bin", "/opt/bitnami/postgresql/bin"};
	char dir[64];
	unsigned n = 0;

	for (unsigned k = 0; k < 2; k++)
		for (unsigned v = MAJOR_MAX; v >= MAJOR_MIN; v--)
			n = add(out, n, dir,
			    (size_t)snprintf(dir, sizeof(dir), "%s%u/bin", versioned[k], v));
	for (unsigned k = 0; k < 3; k++)
		n = add(out, n, plain[k], strlen(plain[k]));
	for (const char *p = path; *p != '\0';) {
		size_t len = strcspn(p, ":");

		n = add(out, n, p, len);
		p += len;
		p += *p == ':';
	}
	return n;
}

int
checks_parse_version(struct str text, struct candidate *c)
{
	static const char mark[] = "(PostgreSQL) ";
	const char *at = memmem(text.p, text.len, mark, sizeof(mark) - 1);
	size_t n = 0, digits = 0;
	uint64_t major;

	if (at == NULL)
		return -1;
	at += sizeof(mark) - 1;
	while (at + n < text.p + text.len && memchr(" \n\t\r", at[n], 4) == NULL)
		n++;
	while (digits < n && at[digits] >= '0' && at[digits] <= '9')
		digits++;
	if (str_to_u64((struct str){at, digits}, &major) == -1 || major < 1 || major > 99 ||
	    !charset_ok(CHARS_PRINT, (struct str){at, n}) ||
	    str_copy(c->version, sizeof(c->version), (struct str){at, n}) == -1)
		return -1;
	c->major = (unsigned)major;
	return 0;
}

static const struct candidate *
best(const struct candidate *c, unsigned n, unsigned major)
{
	const struct candidate *found = NULL;

	for (unsigned i = 0; i < n; i++)
		if (!c[i].broken && (major == 0 || c[i].major == major) &&
		    (found == NULL || c[i].major > found->major))
			found = &c[i];
	return found;
}

const struct candidate *
checks_choose(const struct candidate *c, unsigned n, unsigned data_major, unsigned wanted,
    uint8_t *reason, char text[IPC_TEXT_MAX + 1])
{
	const struct candidate *any = best(c, n, 0),
			       *found = best(c, n, data_major != 0 ? data_major : wanted);

	if (found != NULL)
		return found;
	if (any == NULL) {
		*reason = REASON_POSTGRES_MISSING;
		(void)snprintf(text, IPC_TEXT_MAX + 1,
		    "the image has no PostgreSQL server in the usual places or in PATH");
	} else if (data_major != 0) {
		*reason = REASON_VERSION_MISMATCH;
		(void)snprintf(text, IPC_TEXT_MAX + 1,
		    "the data directory is of PostgreSQL %u, the image has %s", data_major,
		    any->version);
	} else {
		*reason = REASON_POSTGRES_MISSING;
		(void)snprintf(text, IPC_TEXT_MAX + 1, "the image has no PostgreSQL %u, but %s",
		    wanted, any->version);
	}
	return NULL;
}

int
checks_data_major(const char *pgdata, unsigned *major, struct err *e)
{
	char path[300], text[32];
	uint64_t v;
	ssize_t n;
	int fd;

	*major = 0;
	(void)snprintf(path, sizeof(path), "%s/PG_VERSION", pgdata);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return errno == ENOENT
		           ? 0
		           : err_set(e, ERR_RETRY, "open %s: %s", path, strerror(errno));
	n = read(fd, text, sizeof(text));
	fd_close(&fd);
	while (n > 0 && text[n - 1] == '\n')
		n--;
	if (n <= 0 || str_to_u64((struct str){text, (size_t)n}, &v) == -1 || v < 1 || v > 99)
		return err_set(e, ERR_INVALID, "%s does not hold a version", path);
	*major = (unsigned)v;
	return 0;
}

/* The value on the line that begins with that name; empty if there is none. */
static struct str
controldata_value(struct str text, const char *name)
{
	const char *at = memmem(text.p, text.len, name, strlen(name)), *end = text.p + text.len;
	size_t n = 0;

	if (at == NULL || (at != text.p && at[-1] != '\n'))
		return STR("");
	for (at += strlen(name); at < end && *at == ' '; at++)
		continue;
	while (at + n < end && at[n] != '\n')
		n++;
	return (struct str){at, n};
}

int
checks_system_identifier(struct str text, uint64_t *out)
{
	return str_to_u64(controldata_value(text, "Database system identifier:"), out);
}

static uint32_t
timeline_value(struct str text, const char *name)
{
	uint64_t v;

	return str_to_u64(controldata_value(text, name), &v) == 0 && v <= UINT32_MAX ? (uint32_t)v
	                                                                             : 0;
}

/*
 * A standby's checkpoint may be older than what it replayed. A standby says "in archive recovery"
 * or "shut down in recovery"; a primary that crashed, "in production".
 */
void
checks_standing(struct str text, bool *was_primary, uint32_t *timeline)
{
	static const char *const primary[] = {
	    "shut down", "shutting down", "in crash recovery", "in production"};
	struct str state = controldata_value(text, "Database cluster state:");
	uint32_t checkpoint = timeline_value(text, "Latest checkpoint's TimeLineID:");
	uint32_t replayed = timeline_value(text, "Min recovery ending loc's timeline:");

	*timeline = replayed > checkpoint ? replayed : checkpoint;
	*was_primary = false;
	for (size_t i = 0; i < sizeof(primary) / sizeof(primary[0]); i++)
		*was_primary = *was_primary || str_is(state, primary[i]);
}

bool
checks_stopped_in_order(struct str text)
{
	struct str state = controldata_value(text, "Database cluster state:");

	return str_is(state, "shut down") || str_is(state, "shut down in recovery");
}

/* A server writes its control file when it stops, and now and then before. */
bool
checks_is_recent(const char *pgdata, int64_t now_s)
{
	char path[300];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/global/pg_control", pgdata);
	return stat(path, &st) == 0 && st.st_mtime > now_s - RECENT_S &&
	       st.st_mtime < now_s + RECENT_S;
}

static int
read_key(const char *dir, const char *key, struct secret *out, struct err *e)
{
	char path[300];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, key);
	if (secret_read_file(out, path, SECRET_MAX, e) == -1)
		return -1;
	if (out->len == 0 || !charset_ok(CHARS_TEXT, (struct str){out->p, out->len})) {
		secret_free(out);
		return err_set(e, ERR_INVALID, "%s is empty or no plain text", path);
	}
	return 0;
}

/*
 * A user's name goes into pg_hba.conf and a .pgpass: letters, digits and _ need no quoting there.
 */
static int
read_credential(const char *dir, const char *name, struct credential *c, struct err *e)
{
	char key[64];
	struct secret user = {0};
	int r;

	(void)snprintf(key, sizeof(key), "%s-username", name);
	if (read_key(dir, key, &user, e) == -1)
		return -1;
	r = str_copy(c->username, sizeof(c->username), (struct str){user.p, user.len});
	secret_free(&user);
	if (r == -1 || !charset_ok(CHARS_GUC, str_of(c->username)))
		return err_set(e, ERR_INVALID, "%s/%s is no plain name", dir, key);
	(void)snprintf(key, sizeof(key), "%s-password", name);
	return read_key(dir, key, &c->password, e);
}

int
credentials_read(struct credentials *c, const char *dir, struct err *e)
{
	struct secret anchor = {0};
	int r;

	memset(c, 0, sizeof(*c));
	if (read_credential(dir, "superuser", &c->superuser, e) == -1 ||
	    read_credential(dir, "replication", &c->replication, e) == -1 ||
	    read_credential(dir, "rewind", &c->rewind, e) == -1 ||
	    read_credential(dir, "restapi", &c->restapi, e) == -1 ||
	    read_key(dir, "anchor-uid", &anchor, e) == -1) {
		credentials_free(c);
		return -1;
	}
	r = uid_parse((struct str){anchor.p, anchor.len}, &c->anchor);
	secret_free(&anchor);
	if (r == 0)
		return 0;
	credentials_free(c);
	return err_set(e, ERR_INVALID, "%s/anchor-uid is no uid", dir);
}

void
credentials_free(struct credentials *c)
{
	secret_free(&c->superuser.password);
	secret_free(&c->replication.password);
	secret_free(&c->rewind.password);
	secret_free(&c->restapi.password);
	memset(c, 0, sizeof(*c));
}
