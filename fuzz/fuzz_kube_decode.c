/*
 * Any object as each kind that is decoded. Oracles: what is decoded keeps every limit of its
 * table; the same object canonically written has the same hashes; after an error nothing is
 * left but a good metadata.
 */
#include "fuzz/fuzz.h"
#include "kube/kube.h"

static void
check_text(struct str s, size_t max, enum charset chars)
{
	MUST(s.len <= max && charset_ok(chars, s) && (s.len == 0 || s.p[s.len] == '\0'));
}

static void
check_raw(struct str s, size_t max)
{
	struct arena a;
	struct json j;

	if (s.len == 0)
		return;
	arena_init(&a, 16u << 20);
	MUST(s.len <= max && json_parse(&j, s, &a, NULL) == 0 && json_count(&j, 0) > 0);
	arena_free(&a);
}

static void
check_map(const struct str_map *m, size_t entries, enum charset chars, size_t max)
{
	MUST(m->n <= entries);
	for (size_t i = 0; i < m->n; i++) {
		struct str key = m->at[i].key;

		MUST(key.len > 0);
		check_text(key, NAME_MAX_OBJECT + 1 + NAME_MAX_LABEL, chars);
		check_text(m->at[i].value, max, CHARS_LINES);
		MUST(i == 0 || strcmp(m->at[i - 1].key.p, key.p) < 0);
	}
}

static void
check_list(const struct str_list *l, size_t entries, size_t max, enum charset chars)
{
	MUST(l->n <= entries);
	for (size_t i = 0; i < l->n; i++)
		check_text(l->at[i], max, chars);
}

#define TEXT(f, p, n, c, g) check_text(x->f, n, c);
#define INT(f, p, lo, hi, d, g) MUST((x->f >= lo && x->f <= hi) || x->f == d);
#define BOOL(f, p, d, g)
#define CHOICE(f, p, v, g) MUST(x->f < choice_count(VOCAB_##v));
#define RAW(f, p, n, g) check_raw(x->f, n);
#define MAP(f, p, n, c, b, g) check_map(&x->f, n, c, b);
#define LIST(f, p, n, b, c, g) check_list(&x->f, n, b, c);

static void
check_cluster(const struct bgcluster *x)
{
#include "model/bgcluster.def"
	MUST(x->conditions_n <= CONDITIONS_MAX);
	for (unsigned i = 0; i < x->conditions_n; i++)
		MUST(x->conditions[i].type.len > 0 && utf8_valid(x->conditions[i].message));
}

static void
check_task(const struct bginstance_task *x)
{
#include "model/task.def"
}

static void
check_instance(const struct bginstance *x)
{
#include "model/bginstance.def"
	for (unsigned slot = 0; slot < TASKS_MAX; slot++)
		check_task(&x->task[slot]);
}

static void
check_dbops(const struct bgdbops *x)
{
#include "model/bgdbops.def"
	MUST(x->conditions_n <= CONDITIONS_MAX);
}

static void
check_meta(const struct object_meta *m)
{
	check_text(m->name, NAME_MAX_OBJECT, CHARS_SUBDOMAIN);
	check_text(m->namespace, NAME_MAX_LABEL, CHARS_DNS1123);
	check_text(m->cluster, NAME_MAX_CLUSTER, CHARS_DNS1035);
	MUST(m->name.len > 0 && !uid_none(&m->uid) && m->finalizers >= m->finalizer);
}

/* What a failed decoder left: metadata, all of it or nothing; then only zeros. */
static void
check_failed(const void *out, size_t size, const struct err *e)
{
	const struct object_meta *meta = out;
	const char *rest = (const char *)(meta + 1);

	MUST((e->code == ERR_INVALID || e->code == ERR_LIMIT) && strchr(e->text, ':') != NULL);
	if (uid_none(&meta->uid))
		rest = out;
	else
		check_meta(meta);
	for (; rest < (const char *)out + size; rest++)
		MUST(*rest == 0);
}

static void
check_windows(const struct json *j)
{
	struct windows w;
	struct err e;
	int list = json_path(j, 0, "spec.maintenanceWindows");

	if (decode_windows(j, list, &w, &e) == -1) {
		MUST((e.code == ERR_INVALID || e.code == ERR_LIMIT) && w.n == 0);
		return;
	}
	MUST(w.n <= WINDOWS_MAX && w.n == (json_absent(j, list) ? 0 : json_count(j, list)));
	for (unsigned i = 0; i < w.n; i++) {
		MUST(w.at[i].from_min <= WINDOW_MINUTE_MAX && w.at[i].to_min <= WINDOW_MINUTE_MAX);
		MUST(w.at[i].days != 0 && w.at[i].days <= WINDOW_EVERY_DAY);
		MUST(w.at[i].zone[0] != '\0' && charset_ok(CHARS_PRINT, str_of(w.at[i].zone)));
	}
}

struct hashes {
	uint64_t cluster[GROUP_COUNT], instance[2], dbops[2], status;
};

static struct hashes
decode_all(const struct json *j, struct arena *a)
{
	static struct bgcluster cluster;
	static struct bginstance instance;
	static struct bgdbops dbops;
	struct statefulset_view set;
	struct api_status status;
	struct hashes h = {.status = decode_cluster_status_hash(j, 0, a)};
	struct err e;

	if (decode_bgcluster(j, 0, a, &cluster, &e) == 0) {
		check_meta(&cluster.meta);
		check_cluster(&cluster);
		memcpy(h.cluster, cluster.hash, sizeof h.cluster);
	} else {
		check_failed(&cluster, sizeof cluster, &e);
	}
	check_windows(j);
	if (decode_bginstance(j, 0, a, &instance, &e) == 0) {
		check_instance(&instance);
		memcpy(h.instance, instance.hash, sizeof h.instance);
	} else {
		check_failed(&instance, sizeof instance, &e);
	}
	if (decode_bgdbops(j, 0, a, &dbops, &e) == 0) {
		check_dbops(&dbops);
		memcpy(h.dbops, dbops.hash, sizeof h.dbops);
	} else {
		check_failed(&dbops, sizeof dbops, &e);
	}
	if (decode_statefulset(j, 0, a, &set, &e) == 0)
		MUST(set.replicas >= 0 && set.ready_replicas >= 0 && set.observed_generation >= 0);
	else
		check_failed(&set, sizeof set, &e);
	if (decode_status(j, 0, &status) == 0)
		MUST(utf8_valid(str_of(status.message)) && status.code >= 0 &&
		     status.retry_after_s >= 0);
	return h;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = {(const char *)data, size};
	struct hashes first, second;
	struct json j, again;
	static struct arena a;
	static struct buf b;
	struct jw w;

	a.cap = 64u << 20;
	arena_reset(&a);
	if (json_parse(&j, text, &a, NULL) == 0) {
		b.max = JSON_OBJECT_MAX;
		buf_reset(&b);
		jw_init(&w, &b);
		MUST(jw_json(&w, &j, 0, &a, NULL) == 0 &&
		     json_parse(&again, buf_view(&b), &a, NULL) == 0);
		first = decode_all(&j, &a);
		second = decode_all(&again, &a);
		MUST(memcmp(&first, &second, sizeof first) == 0);
	}
	return 0;
}
