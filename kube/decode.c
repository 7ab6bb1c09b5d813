/*
 * Our kinds, decoded by table: each row of model/<kind>.def is a JSON path, a type, limits, a
 * field and a group. What no row names is skipped unread. A group's hash goes over the decoded
 * values in the order of the rows, so that the order of keys, escapes, white space and a
 * default that is written out do not change it. Pure; views lie in the caller's arena. A bad
 * object gives the path and the rule, and nothing but its metadata.
 */
#include "kube/kube.h"

#define KEY_MAX (NAME_MAX_OBJECT + 1 + NAME_MAX_LABEL) /* the longest key of a label: prefix/name */

enum row_type { ROW_TEXT, ROW_INT, ROW_BOOL, ROW_CHOICE, ROW_RAW, ROW_MAP, ROW_LIST };
struct row {
	const char *field, *path;
	size_t offset; /* of the field in the decoded struct */
	enum row_type type;
	unsigned group;
	enum charset chars;
	enum vocab vocab;
	size_t bytes, entries;
	int64_t min, max, absent;
};

#define ROW(f, p, t, g, ...)                                                                       \
	{.field = #f, .path = p, .type = t, .group = GROUP_##g, .offset = OFFSET(f), __VA_ARGS__},
#define TEXT(f, p, n, c, g) ROW(f, p, ROW_TEXT, g, .bytes = n, .chars = c)
#define INT(f, p, lo, hi, d, g) ROW(f, p, ROW_INT, g, .min = lo, .max = hi, .absent = d)
#define BOOL(f, p, d, g) ROW(f, p, ROW_BOOL, g, .absent = d)
#define CHOICE(f, p, v, g) ROW(f, p, ROW_CHOICE, g, .vocab = VOCAB_##v)
#define RAW(f, p, n, g) ROW(f, p, ROW_RAW, g, .bytes = n)
#define MAP(f, p, n, c, b, g) ROW(f, p, ROW_MAP, g, .entries = n, .chars = c, .bytes = b)
#define LIST(f, p, n, b, c, g) ROW(f, p, ROW_LIST, g, .entries = n, .bytes = b, .chars = c)

#define OFFSET(f) offsetof(struct DECODED, f)
#define DECODED bgcluster
static const struct row bgcluster_rows[] = {
#include "model/bgcluster.def"
};
#undef DECODED
#define DECODED bginstance
static const struct row bginstance_rows[] = {
#include "model/bginstance.def"
#undef OFFSET
#define OFFSET(f)                                                                                  \
	offsetof(struct DECODED, task) + TASK_SLOT * sizeof(struct bginstance_task) +              \
	    offsetof(struct bginstance_task, f)
#include "model/tasks.def"
};
#undef OFFSET
#undef DECODED
#define OFFSET(f) offsetof(struct DECODED, f)
#define DECODED bgdbops
static const struct row bgdbops_rows[] = {
#include "model/bgdbops.def"
};
#undef DECODED
#define DECODED statefulset_view
/* clang-format off */
static const struct row statefulset_rows[] = {
	INT(replicas, "spec.replicas", 0, INT32_MAX, 1, SPEC)
	INT(ready_replicas, "status.readyReplicas", 0, INT32_MAX, 0, STATUS)
	INT(current_replicas, "status.currentReplicas", 0, INT32_MAX, 0, STATUS)
	INT(observed_generation, "status.observedGeneration", 0, INT64_MAX, 0, STATUS)
};
/* clang-format on */
#undef DECODED
#define COUNT(rows) (sizeof(rows) / sizeof *(rows))

struct decoder {
	const struct json *j;
	struct arena *a;
	struct err *e;
	struct buf scratch; /* for RAW */
};

static int
arena_full(const struct decoder *d, const char *path)
{
	return err_set(d->e, ERR_LIMIT, "%s: the memory for one object is used up", path);
}

/* --- One value of each type. path is for the error; node is there and not null. */
static int
read_string(struct decoder *d, const char *path, int node, size_t bytes, enum charset chars,
    struct str *out)
{
	struct err why;

	if (json_string(d->j, node, bytes, d->a, out, &why) < 0)
		return err_set(d->e, why.code, "%s: %s", path, why.text);
	if (!charset_ok(chars, *out))
		return err_set(
		    d->e, ERR_INVALID, "%s: has characters that may not stand there", path);
	return 0;
}

static int
read_int(struct decoder *d, const struct row *r, int node, int64_t *out)
{
	struct str raw = json_raw(d->j, node);
	bool number = json_type(d->j, node) == JSON_T_NUMBER;
	int shown = raw.len > 24 ? 24 : (int)raw.len;

	if (!number || memchr(raw.p, '.', raw.len) != NULL || memchr(raw.p, 'e', raw.len) != NULL ||
	    memchr(raw.p, 'E', raw.len) != NULL)
		return err_set(d->e, ERR_INVALID, "%s: is not an integer", r->path);
	if (json_i64(d->j, node, out) < 0 || *out < r->min || *out > r->max)
		return err_set(d->e, ERR_INVALID, "%s: %.*s is not in %lld..%lld", r->path, shown,
		    raw.p, (long long)r->min, (long long)r->max);
	return 0;
}

static int
read_choice(struct decoder *d, const struct row *r, int node, uint8_t *out)
{
	char text[64], all[ERR_TEXT_MAX] = "";
	size_t used = 0;
	int found;

	if (json_type(d->j, node) != JSON_T_STRING)
		return err_set(d->e, ERR_INVALID, "%s: is not a string", r->path);
	json_copy_text(d->j, node, text, sizeof text);
	found = choice_find(r->vocab, str_of(text));
	if (found >= 0 && json_string_is(d->j, node, text)) {
		*out = (uint8_t)found;
		return 0;
	}
	/* A newer version of ourselves has more to say: what it does not concern goes on. */
	if (r->vocab == VOCAB_reason && r->group == GROUP_STATUS) {
		*out = REASON_NONE;
		return 0;
	}
	for (unsigned i = 0; i < choice_count(r->vocab) && used < sizeof all; i++)
		used += (size_t)snprintf(all + used, sizeof all - used, "%s%s", i > 0 ? ", " : "",
		    choice_text(r->vocab, i));
	return err_set(d->e, ERR_INVALID, "%s: \"%s\" is none of %s", r->path, text, all);
}

/* An empty object or list says what an absent one says. */
static int
read_raw(struct decoder *d, const struct row *r, int node, struct str *out)
{
	enum json_type type = json_type(d->j, node);
	struct jw w;
	char *copy;

	if (type != JSON_T_OBJECT && type != JSON_T_ARRAY)
		return err_set(d->e, ERR_INVALID, "%s: is not an object or a list", r->path);
	if (json_count(d->j, node) == 0)
		return 0;
	buf_reset(&d->scratch);
	d->scratch.max = r->bytes;
	jw_init(&w, &d->scratch);
	if (jw_json(&w, d->j, node, d->a, NULL) < 0)
		return arena_full(d, r->path);
	if (d->scratch.full)
		return err_set(d->e, ERR_LIMIT, "%s: is longer than %zu bytes", r->path, r->bytes);
	copy = arena_strndup(d->a, d->scratch.p, d->scratch.len);
	if (copy == NULL)
		return arena_full(d, r->path);
	*out = (struct str){copy, d->scratch.len};
	return 0;
}

static int
compare_pairs(const void *a, const void *b)
{
	const struct str_pair *x = a, *y = b;
	size_t n = x->key.len < y->key.len ? x->key.len : y->key.len;
	int order = memcmp(x->key.p, y->key.p, n);

	if (order != 0)
		return order;
	return x->key.len == y->key.len ? 0 : x->key.len < y->key.len ? -1 : 1;
}

/* 1: the pair counts; 0: its value is null; -1 */
static int
read_pair(struct decoder *d, const struct row *r, int k, struct str_pair *out)
{
	char path[ERR_TEXT_MAX], shown[64];
	int value = json_value(d->j, k);
	enum json_type type = json_type(d->j, value);
	struct str raw;

	json_copy_text(d->j, k, shown, sizeof shown);
	snprintf(path, sizeof path, "%s.%s", r->path, shown);
	if (read_string(d, path, k, KEY_MAX, r->chars, &out->key) < 0)
		return -1;
	if (out->key.len == 0)
		return err_set(d->e, ERR_INVALID, "%s: has an empty key", r->path);
	if (json_absent(d->j, value))
		return 0;
	if (type == JSON_T_STRING)
		return read_string(d, path, value, r->bytes, CHARS_LINES, &out->value) < 0 ? -1 : 1;
	if (type != JSON_T_NUMBER && type != JSON_T_BOOL)
		return err_set(d->e, ERR_INVALID, "%s: is not a string, number or bool", path);
	raw = json_raw(d->j, value);
	if (raw.len > r->bytes)
		return err_set(d->e, ERR_LIMIT, "%s: is longer than %zu bytes", path, r->bytes);
	out->value = (struct str){arena_strndup(d->a, raw.p, raw.len), raw.len};
	return out->value.p == NULL ? arena_full(d, path) : 1;
}

static int
read_map(struct decoder *d, const struct row *r, int node, struct str_map *out)
{
	size_t n = (size_t)json_count(d->j, node);

	if (json_type(d->j, node) != JSON_T_OBJECT)
		return err_set(d->e, ERR_INVALID, "%s: is not an object", r->path);
	if (n > r->entries)
		return err_set(
		    d->e, ERR_LIMIT, "%s: has more than %zu entries", r->path, r->entries);
	out->at = arena_array(d->a, n, sizeof *out->at);
	if (out->at == NULL)
		return arena_full(d, r->path);
	for (int k = json_first(d->j, node); k != JSON_NONE; k = json_next(d->j, k)) {
		int counts = read_pair(d, r, k, &out->at[out->n]);

		if (counts < 0)
			return -1;
		out->n += (size_t)counts;
	}
	if (out->n > 1)
		qsort(out->at, out->n, sizeof *out->at, compare_pairs);
	return 0;
}

static int
read_list(struct decoder *d, const struct row *r, int node, struct str_list *out)
{
	size_t n = (size_t)json_count(d->j, node);
	char path[ERR_TEXT_MAX];

	if (json_type(d->j, node) != JSON_T_ARRAY)
		return err_set(d->e, ERR_INVALID, "%s: is not a list", r->path);
	if (n > r->entries)
		return err_set(
		    d->e, ERR_LIMIT, "%s: has more than %zu entries", r->path, r->entries);
	out->at = arena_array(d->a, n, sizeof *out->at);
	if (out->at == NULL)
		return arena_full(d, r->path);
	for (int k = json_first(d->j, node); k != JSON_NONE; k = json_next(d->j, k)) {
		snprintf(path, sizeof path, "%s[%zu]", r->path, out->n);
		if (read_string(d, path, k, r->bytes, r->chars, &out->at[out->n]) < 0)
			return -1;
		out->n++;
	}
	return 0;
}

/* --- Rows. The fields' types follow from the same macros that made the struct (model.h). */
static int
read_row(struct decoder *d, const struct row *r, int node, void *field)
{
	bool there = !json_absent(d->j, node);

	switch (r->type) {
	case ROW_TEXT:
		*(struct str *)field = STR("");
		return there ? read_string(d, r->path, node, r->bytes, r->chars, field) : 0;
	case ROW_INT:
		*(int64_t *)field = r->absent;
		return there ? read_int(d, r, node, field) : 0;
	case ROW_BOOL:
		*(bool *)field = r->absent != 0;
		if (there && json_bool(d->j, node, field) < 0)
			return err_set(d->e, ERR_INVALID, "%s: is not true or false", r->path);
		return 0;
	case ROW_CHOICE:
		return there ? read_choice(d, r, node, field) : 0;
	case ROW_RAW:
		*(struct str *)field = STR("");
		return there ? read_raw(d, r, node, field) : 0;
	case ROW_MAP:
		return there ? read_map(d, r, node, field) : 0;
	case ROW_LIST:
		return there ? read_list(d, r, node, field) : 0;
	}
	die("decode: row %s has type %d", r->field, (int)r->type);
}

static uint64_t
hash_row(uint64_t h, const struct row *r, const void *field)
{
	const struct str_map *map = field;
	const struct str_list *list = field;

	h = hash_str(h, str_of(r->field));
	switch (r->type) {
	case ROW_TEXT:
	case ROW_RAW:
		return hash_str(h, *(const struct str *)field);
	case ROW_INT:
		return hash_u64(h, (uint64_t) * (const int64_t *)field);
	case ROW_BOOL:
		return hash_u64(h, *(const bool *)field);
	case ROW_CHOICE:
		return hash_str(h, str_of(choice_text(r->vocab, *(const uint8_t *)field)));
	case ROW_MAP:
		h = hash_u64(h, map->n);
		for (size_t i = 0; i < map->n; i++)
			h = hash_str(hash_str(h, map->at[i].key), map->at[i].value);
		return h;
	case ROW_LIST:
		h = hash_u64(h, list->n);
		for (size_t i = 0; i < list->n; i++)
			h = hash_str(h, list->at[i]);
		return h;
	}
	die("decode: row %s has type %d", r->field, (int)r->type);
}

/*
 * The node of a dotted path; a step through what is neither object nor null is the user's
 * error, not an absent field.
 */
static int
find_row(struct decoder *d, int object, const char *path, int *node)
{
	const char *from = path;

	*node = object;
	while (!json_absent(d->j, *node)) {
		size_t n = strcspn(from, ".");

		if (json_type(d->j, *node) != JSON_T_OBJECT)
			return err_set(d->e, ERR_INVALID, "%.*s: is not an object",
			    (int)(from - path - (from > path)), path);
		*node = json_get(d->j, *node, (struct str){from, n});
		if (from[n] == '\0')
			break;
		from += n + 1;
	}
	return 0;
}

static int
decode_rows(
    struct decoder *d, const struct row *rows, size_t n, int object, void *out, uint64_t *hash)
{
	int node;

	for (size_t i = 0; i < n; i++) {
		void *field = (char *)out + rows[i].offset;

		if (find_row(d, object, rows[i].path, &node) < 0 ||
		    read_row(d, &rows[i], node, field) < 0)
			return -1;
		if (hash != NULL)
			hash[rows[i].group] = hash_row(hash[rows[i].group], &rows[i], field);
	}
	return 0;
}

/*
 * out is one of the structs whose first member is meta. After an error nothing but a good meta
 * is in it.
 */
static int
decode_object(struct decoder *d, const struct row *rows, size_t n, int object, void *out,
    size_t size, uint64_t *hash)
{
	struct object_meta *meta = out;
	int r;

	memset(out, 0, size);
	if (decode_meta(d->j, object, d->a, meta, d->e) < 0)
		return -1;
	for (size_t i = 0; i < n && hash != NULL; i++)
		hash[rows[i].group] = HASH_INIT;
	buf_init(&d->scratch, 0);
	r = decode_rows(d, rows, n, object, out, hash);
	buf_free(&d->scratch);
	if (r < 0)
		memset(meta + 1, 0, size - sizeof *meta);
	return r;
}
_Static_assert(offsetof(struct bgcluster, meta) == 0, "decode_object");
_Static_assert(offsetof(struct bginstance, meta) == 0, "decode_object");
_Static_assert(offsetof(struct bgdbops, meta) == 0, "decode_object");
_Static_assert(offsetof(struct statefulset_view, meta) == 0, "decode_object");

/* --- Kinds. */
/*
 * A condition's texts are shown and compared, never acted on: one that can not be read is as if
 * it were not there.
 */
static bool
read_condition(const struct json *j, int node, struct arena *a, struct condition *out)
{
	static const struct {
		struct str key;
		size_t max, offset;
	} texts[] = {
	    {{"type", 4}, KEY_MAX, offsetof(struct condition, type)},
	    {{"status", 6}, 16, offsetof(struct condition, status)},
	    {{"reason", 6}, 1024, offsetof(struct condition, reason)},
	    {{"message", 7}, 32768, offsetof(struct condition, message)},
	    {{"lastTransitionTime", 18}, 64, offsetof(struct condition, last_transition)},
	};

	*out = (struct condition){.observed_generation = 0};
	for (size_t i = 0; i < COUNT(texts); i++) {
		struct str *text = (struct str *)(void *)((char *)out + texts[i].offset);

		*text = STR("");
		json_string(j, json_get(j, node, texts[i].key), texts[i].max, a, text, NULL);
	}
	json_i64(j, json_get(j, node, STR("observedGeneration")), &out->observed_generation);
	return out->type.len > 0;
}

/* An outline has none, and must not be taken for an object of defaults. */
static int
check_spec(const struct json *j, int object, void *out, size_t size, struct err *e)
{
	struct object_meta *meta = out;

	if (json_type(j, json_get(j, object, STR("spec"))) == JSON_T_OBJECT)
		return 0;
	memset(meta + 1, 0, size - sizeof *meta);
	return err_set(e, ERR_INVALID, "spec: is missing");
}

static unsigned
read_conditions(
    const struct json *j, int object, struct arena *a, struct condition out[CONDITIONS_MAX])
{
	int list = json_path(j, object, "status.conditions");
	unsigned n = 0;

	for (int k = json_first(j, list); k != JSON_NONE && n < CONDITIONS_MAX; k = json_next(j, k))
		n += read_condition(j, k, a, &out[n]);
	return n;
}

int
decode_bgcluster(
    const struct json *j, int object, struct arena *a, struct bgcluster *out, struct err *e)
{
	struct decoder d = {.j = j, .a = a, .e = e};

	if (decode_object(&d, bgcluster_rows, COUNT(bgcluster_rows), object, out, sizeof *out,
		out->hash) < 0 ||
	    check_spec(j, object, out, sizeof *out, e) < 0)
		return -1;
	out->conditions_n = read_conditions(j, object, a, out->conditions);
	return 0;
}

/*
 * Refused before it began, or a schedule that was: it is judged anew once its spec was changed.
 * When a run has ended tells it from one that is repeated.
 */
static void
forget_refusal(struct bgdbops *d)
{
	bool begun = d->started_at.len > 0;

	if (d->phase != CHOICE_dbops_phase_FAILED || (begun && d->cron.len == 0) ||
	    d->observed_generation >= (int64_t)d->meta.generation)
		return;
	d->phase = d->cron.len > 0 ? CHOICE_dbops_phase_SCHEDULED : CHOICE_dbops_phase_NONE;
	if (!begun)
		d->finished_at = STR("");
}

int
decode_bgdbops(
    const struct json *j, int object, struct arena *a, struct bgdbops *out, struct err *e)
{
	struct decoder d = {.j = j, .a = a, .e = e};

	if (decode_object(
		&d, bgdbops_rows, COUNT(bgdbops_rows), object, out, sizeof *out, out->hash) < 0 ||
	    check_spec(j, object, out, sizeof *out, e) < 0)
		return -1;
	out->conditions_n = read_conditions(j, object, a, out->conditions);
	forget_refusal(out);
	return 0;
}

/* What it is of, and what it claims. */
static bool
is_of_claim(const struct row *r)
{
	return r->group == GROUP_STATUS || strcmp(r->field, "op") == 0 ||
	       strcmp(r->field, "cluster") == 0;
}

int
decode_bgdbops_claim(
    const struct json *j, int object, struct arena *a, struct bgdbops *out, struct err *e)
{
	struct decoder d = {.j = j, .a = a, .e = e};
	struct row rows[COUNT(bgdbops_rows)];
	size_t n = 0;

	for (size_t i = 0; i < COUNT(bgdbops_rows); i++)
		if (is_of_claim(&bgdbops_rows[i]))
			rows[n++] = bgdbops_rows[i];
	if (decode_object(&d, rows, n, object, out, sizeof *out, NULL) < 0 ||
	    check_spec(j, object, out, sizeof *out, e) < 0)
		return -1;
	out->ttl = INT_UNSET;
	out->conditions_n = read_conditions(j, object, a, out->conditions);
	forget_refusal(out);
	return 0;
}

uint8_t
decode_dbops_end(const struct json *j, int object)
{
	char text[16];
	int phase;

	json_copy_text(j, json_path(j, object, "status.phase"), text, sizeof(text));
	phase = choice_find(VOCAB_dbops_phase, str_of(text));
	return phase > CHOICE_dbops_phase_RUNNING ? (uint8_t)phase : CHOICE_dbops_phase_NONE;
}

int
decode_bginstance(
    const struct json *j, int object, struct arena *a, struct bginstance *out, struct err *e)
{
	struct decoder d = {.j = j, .a = a, .e = e};

	if (decode_object(&d, bginstance_rows, COUNT(bginstance_rows), object, out, sizeof *out,
		out->hash) < 0)
		return -1;
	/* A pod of an older version leaves standing what a newer one said before it. */
	if (!str_eq(out->slots_pod, out->pod_uid))
		out->task_slots = 0;
	return check_spec(j, object, out, sizeof *out, e);
}

int
decode_statefulset(
    const struct json *j, int object, struct arena *a, struct statefulset_view *out, struct err *e)
{
	struct decoder d = {.j = j, .a = a, .e = e};
	int own = json_path(j, object, "metadata.annotations");
	int pods = json_path(j, object, "spec.template.metadata.annotations");

	if (decode_object(
		&d, statefulset_rows, COUNT(statefulset_rows), object, out, sizeof *out, NULL) < 0)
		return -1;
	decode_hex16(j, json_get(j, pods, STR(ANNOTATION_POD_INPUTS)), &out->pod_inputs);
	decode_hex16(j, json_get(j, own, STR(ANNOTATION_STORAGE_INPUTS)), &out->storage_inputs);
	decode_hex16(j, json_get(j, own, STR(ANNOTATION_LAST_GOOD_INPUTS)), &out->last_good);
	return 0;
}
