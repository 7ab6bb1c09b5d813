/*
 * Are PostgreSQL's parameters and the pg_hba lines good? What can be said by looking is said here;
 * the values are PostgreSQL's to judge: pgctl.c runs `postgres -C` over params_write's file, which
 * parses every line of it and names what it refuses.
 */
#include <unistd.h>

#include "instance/pgctl.h"

static int
refuse(uint8_t *reason, enum choice_reason r, char text[IPC_TEXT_MAX + 1], const char *what,
    struct str name)
{
	char line[IPC_TEXT_MAX + 200];

	(void)snprintf(
	    line, sizeof(line), "%.*s: %s", (int)(name.len < 100 ? name.len : 100), name.p, what);
	str_copy_text(text, IPC_TEXT_MAX + 1, str_of(line));
	*reason = (uint8_t)r;
	return -1;
}

/* Blank-separated fields of an hba line, "quoted ones" and comma lists being one; a # ends it. */
static unsigned
fields(struct str line, struct str *first)
{
	unsigned n = 0;
	size_t i = 0;

	*first = (struct str){line.p, 0};
	for (;;) {
		size_t start;
		bool quoted = false;

		while (i < line.len && (line.p[i] == ' ' || line.p[i] == '\t'))
			i++;
		if (i == line.len || line.p[i] == '#')
			return n;
		start = i;
		for (; i < line.len &&
		       (quoted || (line.p[i] != ' ' && line.p[i] != '\t' && line.p[i] != '#'));
		     i++)
			if (line.p[i] == '"')
				quoted = !quoted;
		if (n++ == 0)
			*first = (struct str){line.p + start, i - start};
	}
}

static int
check_hba(struct str line, uint8_t *reason, char text[IPC_TEXT_MAX + 1])
{
	static const char *const host[] = {
	    "host", "hostssl", "hostnossl", "hostgssenc", "hostnogssenc"};
	struct str type;
	unsigned n = fields(line, &type);

	if (n == 0)
		return 0; /* a comment */
	if (str_is(type, "local"))
		return n >= 4 ? 0
		              : refuse(reason, REASON_PARAMETER_REFUSED, text,
				    "pgHBA: local needs 4 fields", line);
	for (unsigned i = 0; i < sizeof(host) / sizeof(host[0]); i++)
		if (str_is(type, host[i]))
			return n >= 5 ? 0
			              : refuse(reason, REASON_PARAMETER_REFUSED, text,
					    "pgHBA: host needs 5 fields", line);
	return refuse(reason, REASON_PARAMETER_REFUSED, text,
	    "pgHBA: a line begins with local, host or hostssl", line);
}

int
params_check_names(const struct str_map *params, const struct str_list *hba, uint8_t *reason,
    char text[IPC_TEXT_MAX + 1])
{
	for (size_t i = 0; i < params->n; i++) {
		struct str name = params->at[i].key;

		if (name.len == 0 || !charset_ok(CHARS_GUC, name) ||
		    !charset_ok(CHARS_TEXT, params->at[i].value))
			return refuse(
			    reason, REASON_PARAMETER_REFUSED, text, "not a parameter", name);
		if (str_is(name, "include") || str_is(name, "include_dir") ||
		    str_is(name, "include_if_exists"))
			return refuse(reason, REASON_PARAMETER_REFUSED, text,
			    "not a parameter, but a directive", name);
		if (model_parameter_owned(name))
			return refuse(reason, REASON_PARAMETER_OWNED, text,
			    reason_info[REASON_PARAMETER_OWNED].advice, name);
	}
	for (size_t i = 0; i < hba->n; i++)
		if (check_hba(hba->at[i], reason, text) == -1)
			return -1;
	return 0;
}

/* As Patroni writes them: in quotes, with quote and backslash doubled. */
void
params_write(const struct str_map *params, struct buf *out)
{
	for (size_t i = 0; i < params->n; i++) {
		struct str v = params->at[i].value;

		buf_str(out, params->at[i].key);
		buf_puts(out, " = '");
		for (size_t k = 0; k < v.len; k++) {
			if (v.p[k] == '\'' || v.p[k] == '\\')
				buf_put(out, &v.p[k], 1);
			buf_put(out, &v.p[k], 1);
		}
		buf_puts(out, "'\n");
	}
}

static struct str
line_at(struct str s)
{
	const char *end = memchr(s.p, '\n', s.len);

	return (struct str){s.p, end != NULL ? (size_t)(end - s.p) : s.len};
}

/*
 * "2026-11-23 10:00:00.000 UTC [7] LOG:  invalid value for ..." or "postgres: ...": what stands
 * behind the prefix.
 */
void
params_complaint(struct str s, char text[IPC_TEXT_MAX + 1])
{
	static const char *const marks[] = {"LOG:  ", "ERROR:  ", "FATAL:  ", "postgres: "};
	struct str first = line_at(s);

	for (unsigned i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		const char *at = memmem(s.p, s.len, marks[i], strlen(marks[i]));

		if (at == NULL)
			continue;
		at += strlen(marks[i]);
		str_copy_text(
		    text, IPC_TEXT_MAX + 1, line_at((struct str){at, (size_t)(s.p + s.len - at)}));
		return;
	}
	str_copy_text(text, IPC_TEXT_MAX + 1, first);
}

static bool
library_there(struct str name, const char *const *libs)
{
	char path[600];

	for (; *libs != NULL; libs++) {
		int n = snprintf(path, sizeof(path), "%s/%.*s.so", *libs, (int)name.len, name.p);

		if (n > 0 && n < (int)sizeof(path) && access(path, R_OK) == 0)
			return true;
	}
	return false;
}

static bool
any_exists(const char *const *libs)
{
	for (; *libs != NULL; libs++)
		if (access(*libs, X_OK) == 0)
			return true;
	return false;
}

/* The next name of a comma-separated list, without blanks and quotes; false at the end. */
static bool
next_name(struct str *list, struct str *name)
{
	size_t i = 0;

	while (list->len > 0 && memchr(" ,\t\"", list->p[0], 4) != NULL)
		*list = (struct str){list->p + 1, list->len - 1};
	while (i < list->len && memchr(",\"", list->p[i], 2) == NULL)
		i++;
	*name = (struct str){list->p, i};
	*list = (struct str){list->p + i, list->len - i};
	while (name->len > 0 && (name->p[name->len - 1] == ' ' || name->p[name->len - 1] == '\t'))
		name->len--;
	return name->len > 0;
}

/*
 * A missing one would keep PostgreSQL from starting, and `postgres -C` does not load them. Names
 * with a path are the user's.
 */
int
params_check_preload(struct str value, const char *const *libs, char text[IPC_TEXT_MAX + 1])
{
	uint8_t reason;
	struct str name;

	if (!any_exists(libs))
		return 0;
	while (next_name(&value, &name)) {
		if (memchr(name.p, '/', name.len) != NULL)
			continue;
		if (str_ends(name, ".so"))
			name.len -= 3;
		if (!library_there(name, libs))
			return refuse(&reason, REASON_PARAMETER_REFUSED, text,
			    "shared_preload_libraries names a library that the image does not have",
			    name);
	}
	return 0;
}
