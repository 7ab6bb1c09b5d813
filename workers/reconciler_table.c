/*
 * Every cluster the reconciler knows: found by namespace and name, queued when something about it
 * changed, woken when its time comes. Also which lists of a namespace are complete. Owns all
 * long-lived memory of the reconciler. For reconciler*.c.
 */
#include <string.h>

#include "workers/reconciler.h"

#define SIZE_MIN 64

/* --- Finding. */

static uint64_t
key_hash(unsigned namespace, const char *name)
{
	return hash_str(hash_u64(HASH_INIT, namespace), str_of(name));
}

/* Where it is, or the free slot where it would be. */
static unsigned
find_slot(const struct table *t, unsigned namespace, const char *name)
{
	unsigned i = (unsigned)key_hash(namespace, name) & (t->size - 1);

	while (t->slots[i] != NULL &&
	       (t->slots[i]->namespace != namespace || strcmp(t->slots[i]->name, name) != 0))
		i = (i + 1) & (t->size - 1);
	return i;
}

static void
grow(struct table *t)
{
	struct entry **old = t->slots;
	unsigned size = t->size;

	t->size = size == 0 ? SIZE_MIN : size * 2;
	t->slots = xcalloc(t->size, sizeof(struct entry *));
	for (unsigned i = 0; i < size; i++)
		if (old[i] != NULL)
			t->slots[find_slot(t, old[i]->namespace, old[i]->name)] = old[i];
	xfree(old);
}

void
table_init(struct table *t, char (*namespaces)[64], unsigned n)
{
	memset(t, 0, sizeof(*t));
	t->limit = CLUSTERS_MAX;
	t->dbops_limit = DBOPS_MAX;
	for (unsigned i = 0; i < n; i++)
		t->namespaces[t->namespaces_n++].name = namespaces[i];
	grow(t);
}

int
table_namespace(const struct table *t, const char *name)
{
	for (unsigned i = 0; i < t->namespaces_n; i++)
		if (strcmp(t->namespaces[i].name, name) == 0)
			return (int)i;
	return -1;
}

struct entry *
table_find(struct table *t, unsigned namespace, const char *name)
{
	return t->slots[find_slot(t, namespace, name)];
}

struct entry *
table_add(struct table *t, unsigned namespace, const char *name)
{
	struct entry *e = table_find(t, namespace, name);

	if (e != NULL)
		return e;
	if (t->n >= t->limit)
		return NULL;
	if ((t->n + 1) * 2 > t->size)
		grow(t);
	e = xcalloc(1, sizeof(*e));
	e->namespace = (uint8_t) namespace;
	if (str_copy(e->name, sizeof(e->name), str_of(name)) == -1)
		die("a cluster's name is longer than its message allows");
	e->plan.name = e->name;
	t->slots[find_slot(t, namespace, name)] = e;
	t->n++;
	return e;
}

struct entry *
table_find_uid(struct table *t, const struct uid *uid)
{
	for (unsigned i = 0; i < t->size; i++)
		if (t->slots[i] != NULL && t->slots[i]->plan.present &&
		    uid_eq(&t->slots[i]->plan.wanted.uid, uid))
			return t->slots[i];
	return NULL;
}

void
table_grow_instances(struct entry *e, unsigned n)
{
	unsigned had = e->plan.instances_n;

	if (n <= had)
		return;
	if (n > INSTANCES_MAX)
		die("%u instances", n);
	e->plan.instance = xrealloc(e->plan.instance, n, sizeof(*e->plan.instance));
	memset(e->plan.instance + had, 0, (n - had) * sizeof(*e->plan.instance));
	e->plan.instances_n = (uint8_t)n;
}

void
table_keep_text(char **slot, const char *text)
{
	size_t len = strlen(text);

	if (*slot != NULL && strcmp(*slot, text) == 0)
		return;
	xfree(*slot);
	*slot = NULL;
	if (len == 0)
		return;
	*slot = xcalloc(1, len + 1);
	memcpy(*slot, text, len);
}

void
table_keep_windows(struct windows **slot, const struct windows *w)
{
	if (w->n == 0) {
		xfree(*slot);
		*slot = NULL;
		return;
	}
	if (*slot == NULL)
		*slot = xcalloc(1, sizeof(**slot));
	**slot = *w;
}

/* --- Forgetting. */

static void
free_entry(struct table *t, struct entry *e)
{
	for (unsigned i = 0; i < e->plan.instances_n; i++) {
		xfree(e->plan.instance[i].report_text);
		xfree(e->plan.instance[i].pod_text);
		xfree(e->plan.instance[i].volume_text);
	}
	xfree(e->plan.instance);
	dbops_free(t, e);
	xfree(e->plan.invalid_text);
	xfree(e->plan.trouble_text);
	xfree(e->plan.windows);
	xfree(e);
}

/* Those that were pushed along by the one that leaves move back. */
static void
take_out(struct table *t, unsigned i)
{
	unsigned j = i;

	t->slots[i] = NULL;
	for (;;) {
		unsigned home;

		j = (j + 1) & (t->size - 1);
		if (t->slots[j] == NULL)
			return;
		home =
		    (unsigned)key_hash(t->slots[j]->namespace, t->slots[j]->name) & (t->size - 1);
		if (((j - home) & (t->size - 1)) < ((j - i) & (t->size - 1)))
			continue;
		t->slots[i] = t->slots[j];
		t->slots[j] = NULL;
		i = j;
	}
}

void
table_forget(struct table *t, struct entry *e)
{
	if (e->busy || e->dirty || e->spare || !plan_is_empty(&e->plan))
		return;
	table_wake_at(t, e, (struct msec){PLAN_NEVER});
	take_out(t, find_slot(t, e->namespace, e->name));
	t->n--;
	free_entry(t, e);
}

void
table_free(struct table *t)
{
	for (unsigned i = 0; i < t->size; i++)
		if (t->slots[i] != NULL)
			free_entry(t, t->slots[i]);
	xfree(t->slots);
	xfree(t->heap);
	memset(t, 0, sizeof(*t));
}

/* --- Queues. */

void
table_dirty(struct table *t, struct entry *e)
{
	if (e->dirty)
		return;
	e->dirty = true;
	e->next_dirty = NULL;
	if (t->dirty.tail != NULL)
		t->dirty.tail->next_dirty = e;
	else
		t->dirty.head = e;
	t->dirty.tail = e;
}

void
table_dirty_all(struct table *t)
{
	for (unsigned i = 0; i < t->size; i++)
		if (t->slots[i] != NULL)
			table_dirty(t, t->slots[i]);
}

void
table_namespace_ends(struct table *t, unsigned namespace)
{
	for (unsigned i = 0; i < t->size; i++)
		if (t->slots[i] != NULL && t->slots[i]->namespace == namespace) {
			plan_note_namespace_ends(&t->slots[i]->plan);
			table_dirty(t, t->slots[i]);
		}
}

void
table_namespace_asked(struct table *t, unsigned namespace, struct msec now)
{
	for (unsigned i = 0; i < t->size; i++)
		if (t->slots[i] != NULL && t->slots[i]->namespace == namespace)
			plan_note_namespace_asked(&t->slots[i]->plan, now);
}

struct entry *
table_pop_dirty(struct table *t)
{
	struct entry *e = t->dirty.head;

	if (e == NULL)
		return NULL;
	t->dirty.head = e->next_dirty;
	if (t->dirty.head == NULL)
		t->dirty.tail = NULL;
	e->dirty = false;
	return e;
}

void
table_put_back(struct table *t, struct entry *e)
{
	if (e->dirty)
		return;
	e->dirty = true;
	e->next_dirty = t->dirty.head;
	t->dirty.head = e;
	if (t->dirty.tail == NULL)
		t->dirty.tail = e;
}

void
table_want_spare(struct table *t, struct entry *e)
{
	if (e->spare)
		return;
	e->spare = true;
	e->next_spare = NULL;
	if (t->spare.tail != NULL)
		t->spare.tail->next_spare = e;
	else
		t->spare.head = e;
	t->spare.tail = e;
}

struct entry *
table_pop_spare(struct table *t)
{
	struct entry *e = t->spare.head;

	if (e == NULL)
		return NULL;
	t->spare.head = e->next_spare;
	if (t->spare.head == NULL)
		t->spare.tail = NULL;
	e->spare = false;
	return e;
}

/* --- Timers: a binary heap. */

static void
heap_put(struct table *t, unsigned i, struct entry *e)
{
	t->heap[i] = e;
	e->heap_at = i + 1;
}

static void
heap_up(struct table *t, unsigned i)
{
	struct entry *e = t->heap[i];

	for (; i > 0 && t->heap[(i - 1) / 2]->wake.v > e->wake.v; i = (i - 1) / 2)
		heap_put(t, i, t->heap[(i - 1) / 2]);
	heap_put(t, i, e);
}

static void
heap_down(struct table *t, unsigned i)
{
	struct entry *e = t->heap[i];

	for (;;) {
		unsigned k = 2 * i + 1;

		if (k + 1 < t->heap_n && t->heap[k + 1]->wake.v < t->heap[k]->wake.v)
			k++;
		if (k >= t->heap_n || t->heap[k]->wake.v >= e->wake.v)
			break;
		heap_put(t, i, t->heap[k]);
		i = k;
	}
	heap_put(t, i, e);
}

static void
heap_remove(struct table *t, struct entry *e)
{
	unsigned i = e->heap_at - 1;
	struct entry *last = t->heap[--t->heap_n];

	e->heap_at = 0;
	if (last == e)
		return;
	heap_put(t, i, last);
	heap_up(t, i);
	heap_down(t, last->heap_at - 1);
}

void
table_wake_at(struct table *t, struct entry *e, struct msec at)
{
	if (e->heap_at != 0)
		heap_remove(t, e);
	if (at.v == PLAN_NEVER)
		return;
	if (t->heap_n == t->heap_size) {
		t->heap_size = t->heap_size == 0 ? SIZE_MIN : t->heap_size * 2;
		t->heap = xrealloc(t->heap, t->heap_size, sizeof(*t->heap));
	}
	e->wake = at;
	heap_put(t, t->heap_n, e);
	heap_up(t, t->heap_n++);
}

struct msec
table_next_wake(const struct table *t)
{
	return t->heap_n == 0 ? (struct msec){PLAN_NEVER} : t->heap[0]->wake;
}

void
table_wake(struct table *t, struct msec now)
{
	while (t->heap_n > 0 && t->heap[0]->wake.v <= now.v) {
		struct entry *e = t->heap[0];

		heap_remove(t, e);
		table_dirty(t, e);
	}
}

/* --- Snapshots. */

uint32_t
table_watched_kinds(void)
{
	uint32_t mask = 0;

	for (unsigned k = 0; k < KIND_COUNT; k++)
		if (kind_info[k].watch != WATCH_NONE)
			mask |= 1u << k;
	return mask;
}

bool
table_synced(const struct table_namespace *ns)
{
	return ns->ended == WATCHED_KINDS;
}

/* Calls f for whatever of that kind e knows. */
static void
each_of_kind(struct table *t, struct entry *e, enum kind kind,
    void (*f)(
	struct table *t, struct entry *e, struct plan_child *s, enum child child, unsigned ordinal))
{
	for (unsigned c = 0; c < CHILD_COUNT; c++)
		if (child_info[c].kind == kind && c != CHILD_INSTANCE)
			f(t, e, &e->plan.child[c], (enum child)c, 0);
	if (kind == KIND_BGINSTANCE)
		for (unsigned i = 0; i < e->plan.instances_n; i++)
			f(t, e, &e->plan.instance[i].child, CHILD_INSTANCE, i);
}

static void
forget_name(
    struct table *t, struct entry *e, struct plan_child *s, enum child child, unsigned ordinal)
{
	(void)t;
	(void)e;
	(void)child;
	(void)ordinal;
	s->named = false;
}

static void
sweep(struct table *t, struct entry *e, struct plan_child *s, enum child child, unsigned ordinal)
{
	static const struct uid any;

	if (s->named || !s->present)
		return;
	plan_note_child_gone(&e->plan, child, ordinal, &any);
	table_dirty(t, e);
}

const char *
table_snap_begin(struct table *t, unsigned namespace, enum kind kind, uint32_t number)
{
	struct table_namespace *ns = &t->namespaces[namespace];

	if ((WATCHED_KINDS & 1u << kind) == 0)
		return "a snapshot of a kind that is never watched";
	ns->open |= 1u << kind;
	ns->ended &= ~(1u << kind);
	ns->number[kind] = number;
	if (kind == KIND_BGDBOPS)
		ns->left_out = 0;
	for (unsigned i = 0; i < t->size; i++) {
		struct entry *e = t->slots[i];

		if (e == NULL || e->namespace != namespace)
			continue;
		if (kind == KIND_BGCLUSTER)
			e->named = false;
		if (kind == KIND_BGDBOPS)
			dbops_forget_names(e);
		each_of_kind(t, e, kind, forget_name);
	}
	return NULL;
}

const char *
table_snap_end(struct table *t, unsigned namespace, enum kind kind, uint32_t number)
{
	static const struct uid any;
	struct table_namespace *ns = &t->namespaces[namespace];
	bool news;

	if ((WATCHED_KINDS & 1u << kind) == 0 || (ns->open & 1u << kind) == 0 ||
	    ns->number[kind] != number)
		return "the end of a snapshot that was not begun";
	ns->open &= ~(1u << kind);
	news = (ns->listed & 1u << kind) == 0 || (ns->ended | 1u << kind) == WATCHED_KINDS;
	ns->ended |= 1u << kind;
	ns->listed |= 1u << kind;
	for (unsigned i = 0; i < t->size; i++) {
		struct entry *e = t->slots[i];

		if (e == NULL || e->namespace != namespace)
			continue;
		if (kind == KIND_BGCLUSTER && !e->named && e->plan.present) {
			plan_note_cluster_gone(&e->plan, &any);
			table_dirty(t, e);
		}
		if (kind == KIND_BGDBOPS)
			dbops_sweep(t, e);
		each_of_kind(t, e, kind, sweep);
		if (news)
			table_dirty(t, e);
	}
	return NULL;
}

void
table_unsync(struct table *t)
{
	for (unsigned i = 0; i < t->namespaces_n; i++)
		t->namespaces[i].ended = t->namespaces[i].open = 0;
}
