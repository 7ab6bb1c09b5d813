/*
 * The CRDs say what the tables in model/ say: every row is a field of the schema with the same
 * default and bounds, and the CEL rules refuse exactly the names of owned.def. The YAML is read by
 * its indentation, as far as our own two files need it.
 */
#include <fcntl.h>
#include <unistd.h>

#include "tests/unit/tap.h"
#include "model/model.h"

static struct buf yaml;

static void
load(const char *path)
{
	char chunk[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	buf_reset(&yaml);
	while (fd != -1 && (n = read(fd, chunk, sizeof(chunk))) > 0)
		buf_put(&yaml, chunk, (size_t)n);
	buf_put(&yaml, "", 1);
	fd_close(&fd);
	CHECK(yaml.len > 1000 && !yaml.full, path);
}

static const char *
line_end(const char *p)
{
	return p + strcspn(p, "\n");
}

static size_t
indent_of(const char *line)
{
	return strspn(line, " ");
}

/* A node: the line of its key, and where the lines that are indented below it end. */
struct node {
	const char *line, *end;
};

static struct node
node_at(const char *line)
{
	const char *end = line_end(line);

	while (end[0] == '\n' && end[1] != '\0' && indent_of(end + 1) > indent_of(line))
		end = line_end(end + 1);
	return (struct node){line, end};
}

/*
 * The member `key:` one level below n; line is NULL if there is none. An alias (*x) stands for its
 * anchor (&x).
 */
static struct node
member(struct node n, const char *key)
{
	const char *star = n.line != NULL ? strstr(n.line, ": *") : NULL;
	size_t len = strlen(key), level = 0;

	if (star != NULL && star < line_end(n.line)) {
		char anchor[40];

		snprintf(
		    anchor, sizeof(anchor), ": &%.*s\n", (int)strcspn(star + 3, "\n"), star + 3);
		const char *at = strstr(yaml.p, anchor);
		while (at != NULL && at > yaml.p && at[-1] != '\n')
			at--;
		n = at != NULL ? node_at(at) : (struct node){NULL, NULL};
	}
	if (n.line == NULL)
		return n;
	for (const char *p = line_end(n.line); p < n.end; p = line_end(p + 1)) {
		const char *line = p + 1;

		if (level == 0)
			level = indent_of(line);
		if (indent_of(line) == level && strncmp(line + level, key, len) == 0 &&
		    line[level + len] == ':')
			return node_at(line);
	}
	return (struct node){NULL, NULL};
}

/* "spec.patroni.ttl" below the schema's root. */
static struct node
field(const char *path)
{
	const char *root = strstr(yaml.p, "      openAPIV3Schema:");
	struct node n = root != NULL ? node_at(root) : (struct node){NULL, NULL};

	while (*path != '\0') {
		char key[64];
		size_t len = strcspn(path, ".");

		snprintf(key, sizeof(key), "%.*s", (int)len, path);
		n = member(member(n, "properties"), key);
		path += len + (path[len] == '.');
	}
	return n;
}

/*
 * The value of attribute ("default") of a field, in block or in flow style, without quotes; "" if
 * there is none.
 */
static void
attribute(struct node n, const char *name, char out[64])
{
	char flow[40];
	const char *p = NULL;
	struct node m;

	out[0] = '\0';
	if (n.line == NULL)
		return;
	snprintf(flow, sizeof(flow), "%s: ", name);
	m = member(n, name);
	if (m.line != NULL)
		p = m.line + indent_of(m.line) + strlen(flow);
	else if ((p = strstr(n.line, flow)) != NULL && p < line_end(n.line))
		p += strlen(flow);
	else
		return;
	if (*p == '"')
		p++;
	snprintf(out, 64, "%.*s", (int)strcspn(p, "\n,}\""), p);
}

static void
check_attribute(const char *path, const char *name, const char *wanted)
{
	char seen[64], what[192];

	attribute(field(path), name, seen);
	snprintf(what, sizeof(what), "%s: %s is \"%s\"", path, name, wanted);
	if (!CHECK(strcmp(seen, wanted) == 0, what))
		printf("# the CRD says \"%s\"\n", seen);
}

static void
check_number(const char *path, const char *name, int64_t wanted)
{
	char text[32];

	snprintf(text, sizeof(text), "%lld", (long long)wanted);
	check_attribute(path, name, text);
}

static void
check_int(const char *path, int64_t min, int64_t max, int64_t absent)
{
	bool id = strncmp(path, "spec.runAs", 10) == 0 || strcmp(path, "spec.fsGroup") == 0;

	check_number(path, "minimum", min);
	check_number(path, "maximum", id ? INT32_MAX : max); /* Kubernetes' own bound of a uid */
	if (id)
		check_attribute(path, "nullable", "true");
	else if (absent == INT_UNSET)
		check_attribute(path, "default", "");
	else
		check_number(path, "default", absent);
}

static void
check_present(const char *path)
{
	char what[128];

	snprintf(what, sizeof(what), "%s is in the schema", path);
	CHECK(field(path).line != NULL, what);
}

static void
check_choices(const char *path, enum vocab v)
{
	struct node n = field(path), m = member(n, "enum");
	const char *line = m.line != NULL ? m.line : n.line;
	bool good = line != NULL;
	char what[128];

	for (unsigned i = 0; good && i < choice_count(v); i++) {
		const char *at = strstr(line, choice_text(v, i));

		good = at != NULL && at < line_end(line);
	}
	snprintf(what, sizeof(what), "%s has every choice", path);
	CHECK(good, what);
	check_attribute(path, "default", choice_text(v, 0));
}

static void
check_windows(void)
{
	struct node window = member(field("spec.maintenanceWindows"), "items");
	struct node zone = member(member(window, "properties"), "timeZone");
	struct node days = member(member(window, "properties"), "days");
	char seen[64], wanted[64];
	bool all = days.line != NULL;

	check_number("spec.maintenanceWindows", "maxItems", WINDOWS_MAX);
	attribute(zone, "maxLength", seen);
	snprintf(wanted, sizeof(wanted), "%d", ZONE_NAME_MAX);
	CHECK(strcmp(seen, wanted) == 0, "a time zone's name is no longer than ZONE_NAME_MAX");
	attribute(zone, "default", seen);
	CHECK(strcmp(seen, "UTC") == 0, "it is UTC where not given");
	for (unsigned d = 0; d < CHOICE_weekday_COUNT; d++) {
		const char *at = strstr(days.line, choice_text(VOCAB_weekday, d));

		all = all && at != NULL && at < days.end;
	}
	CHECK(all, "a window may begin on each day of the week");
}

static void
check_bgcluster(void)
{
	load("crds/bgcluster.yaml");
#define TEXT(f, path, max, ...) check_number(path, "maxLength", max);
#define INT(f, path, min, max, absent, group) check_int(path, min, max, absent);
#define BOOL(f, path, absent, group) check_attribute(path, "default", (absent) ? "true" : "false");
#define CHOICE(f, path, choices, group) check_choices(path, VOCAB_##choices);
#define RAW(f, path, ...) check_present(path);
#define MAP(f, path, max, ...) check_number(path, "maxProperties", max);
#define LIST(f, path, max, ...) check_number(path, "maxItems", max);
#include "model/bgcluster.def"
#undef TEXT
#undef INT
#undef BOOL
#undef CHOICE
#undef RAW
#undef MAP
#undef LIST
	check_attribute("spec.bootstrap.database", "default", "app");
	check_attribute("spec.bootstrap.owner", "default", "app");
	check_attribute("spec.runAsUser", "default", "999");
	check_attribute("spec.runAsGroup", "default", "999");
	check_windows();
	check_attribute("spec.nonsense", "type", "");
}

/*
 * Between the rule's `in [` and its `]`: 'a', 'b', ...; gives how many there are, and in *found how
 * many names says yes to.
 */
static unsigned
count_names(const char *list, bool (*owned)(struct str), unsigned *found)
{
	const char *end = list + strcspn(list, "]");
	unsigned n = 0;

	*found = 0;
	for (const char *p = strchr(list, '\''); p != NULL && p < end; p = strchr(p + 1, '\'')) {
		size_t len = strcspn(++p, "'");

		n++;
		*found += owned((struct str){p, len});
		p += len;
	}
	return n;
}

/* Both the rule and its message name the list; our own variables stand before PATRONI's. */
static void
check_owned(const char *path, unsigned wanted, unsigned others, bool (*owned)(struct str))
{
	struct node n = field(path);
	unsigned lists = 0, good = 0, found;
	char what[128];

	for (const char *p = n.line; p != NULL && (p = strstr(p, " in [\n")) != NULL && p < n.end;
	     p++) {
		lists++;
		good += count_names(p, owned, &found) == wanted + others && found == wanted;
	}
	snprintf(what, sizeof(what), "%s refuses the names of owned.def and no other", path);
	CHECK(lists == 2 && good == 2, what);
}

static void
check_bginstance(void)
{
	load("crds/bginstance.yaml");
#define TEXT(f, path, max, ...) check_number(path, "maxLength", max);
#define INT(f, path, ...) check_present(path);
#define BOOL(f, path, ...) check_present(path);
#define CHOICE(f, path, ...) check_present(path);
#define LIST(f, path, max, ...) check_number(path, "maxItems", max);
#include "model/bginstance.def"
#include "model/tasks.def"
#undef TEXT
#undef INT
#undef BOOL
#undef CHOICE
#undef LIST
	check_number("spec.ordinal", "maximum", INSTANCES_MAX - 1);
	check_attribute("spec.hold", "default", "false");
}

#define RULE_SCHEDULE "- rule: has(self.spec.schedule) == has(oldSelf.spec.schedule)\n"
#define RULE_ONCE "!(self.op in ['switchover', 'failover', 'reinit', 'benchmark', 'sql'])"

static void
check_bgdbops(void)
{
	load("crds/bgdbops.yaml");
#define TEXT(f, path, max, ...) check_present(path);
#define INT(f, path, ...) check_present(path);
#define BOOL(f, path, ...) check_present(path);
#define CHOICE(f, path, ...) check_present(path);
#define RAW(f, path, ...) check_present(path);
#define LIST(f, path, max, ...) check_number(path, "maxItems", max);
#include "model/bgdbops.def"
#undef TEXT
#undef INT
#undef BOOL
#undef CHOICE
#undef RAW
#undef LIST
	check_choices("spec.restart.role", VOCAB_dbops_role);
	check_choices("spec.sql.target", VOCAB_dbops_target);
	check_choices("spec.benchmark.mode", VOCAB_benchmark_mode);
	check_number("status.attempt", "maximum", TASK_ATTEMPTS_MAX);
	check_attribute("spec.reindex.concurrently", "default", "true");
	check_attribute("spec.schedule.historyLimit", "default", "10");
	CHECK(memmem(yaml.p, yaml.len, RULE_SCHEDULE, strlen(RULE_SCHEDULE)) != NULL,
	    "what was a schedule does not become one to be done at once");
	CHECK(memmem(yaml.p, yaml.len, RULE_ONCE, strlen(RULE_ONCE)) != NULL,
	    "what is done once has no maxRetries");
}

int
main(void)
{
	unsigned parameters = 0, variables = 0;

#define OWNED_PARAMETER(name) parameters++;
#include "model/owned.def"
#define OWNED_VARIABLE(name) variables++;
#include "model/owned.def"
	buf_init(&yaml, 1u << 20);
	check_bgcluster();
	check_owned("spec.postgres.parameters", parameters, 0, model_parameter_owned);
	check_owned("spec.env", variables, 5, model_variable_owned);
	check_bginstance();
	check_bgdbops();
	buf_free(&yaml);
	return tap_done();
}
