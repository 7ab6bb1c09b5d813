/* The tables that model.h declares, and lookups in them; nothing else. */
#include "model/model.h"

/* clang-format off */
const struct kind_info kind_info[KIND_COUNT] = {
#define KIND(id, name, root, plural, watch) [KIND_##id] = {name, root, plural, WATCH_##watch},
#include "model/kinds.def"
#undef KIND
};

const struct child_info child_info[CHILD_COUNT] = {
#define CHILD(id, kind, suffix, groups, revision) \
	[CHILD_##id] = {KIND_##kind, suffix, groups, revision},
#include "model/children.def"
#undef CHILD
};

const struct reason_info reason_info[CHOICE_reason_COUNT] = {
#define REASON(id, name, advice) [REASON_##id] = {name, advice},
#include "model/reasons.def"
#undef REASON
};

#define CHOICES(name) static const char *const texts_##name[] = {
#define CHOICE_ROW(name, id, text) [CHOICE_##name##_##id] = text,
#define END_CHOICES(name) };
#include "model/choices.def"
#undef CHOICES
#undef CHOICE_ROW
#undef END_CHOICES

static const struct {
	const char *const *texts;
	unsigned n;
} vocabs[VOCAB_COUNT] = {
#define CHOICES(name) [VOCAB_##name] = {texts_##name, CHOICE_##name##_COUNT},
#define CHOICE_ROW(...)
#define END_CHOICES(name)
#include "model/choices.def"
#undef CHOICES
#undef CHOICE_ROW
#undef END_CHOICES
    [VOCAB_reason] = {NULL, CHOICE_reason_COUNT},
};

/* clang-format on */

unsigned
choice_count(enum vocab v)
{
	return vocabs[v].n;
}

const char *
choice_text(enum vocab v, unsigned n)
{
	if (n >= vocabs[v].n)
		return NULL;
	return v == VOCAB_reason ? reason_info[n].name : vocabs[v].texts[n];
}

int
choice_find(enum vocab v, struct str s)
{
	for (unsigned n = 0; n < vocabs[v].n; n++)
		if (str_is(s, choice_text(v, n)))
			return (int)n;
	return -1;
}

uint64_t
model_child_inputs(enum child c, const uint64_t hash[GROUP_COUNT])
{
	uint64_t h = HASH_INIT;

	for (unsigned g = 0; g < GROUP_COUNT; g++)
		if (child_info[c].groups & (1u << g))
			h = hash_u64(h, hash[g]);
	return h;
}

uint64_t
model_pod_inputs(const uint64_t hash[GROUP_COUNT])
{
	return hash_u64(hash_u64(HASH_INIT, hash[GROUP_POD]), hash[GROUP_META]);
}

void
model_child_name(char out[NAME_MAX_LABEL + 1], enum child c, const char *cluster, unsigned ordinal)
{
	int n;

	if (c == CHILD_INSTANCE)
		n = snprintf(out, NAME_MAX_LABEL + 1, "%s-%u", cluster, ordinal);
	else
		n = snprintf(out, NAME_MAX_LABEL + 1, "%s%s", cluster, child_info[c].suffix);
	if (n < 0 || n > NAME_MAX_LABEL)
		die("the name of a child of %s is too long", cluster);
}

int64_t
model_replicas(const struct bgcluster *c)
{
	return c->hibernated ? 0 : c->instances;
}

uint32_t
model_fenced(const struct bgcluster *c)
{
	char name[NAME_MAX_LABEL + 1];
	uint32_t mask = 0;

	for (unsigned i = 0; i < INSTANCES_MAX; i++) {
		int n = snprintf(
		    name, sizeof(name), "%.*s-%u", (int)c->meta.name.len, c->meta.name.p, i);

		for (size_t k = 0; n > 0 && k < c->fenced_instances.n; k++)
			if (str_is(c->fenced_instances.at[k], name))
				mask |= 1u << i;
	}
	return mask;
}

static bool
in_table(struct str name, const char *const *table)
{
	for (; *table != NULL; table++)
		if (str_is(name, *table))
			return true;
	return false;
}

bool
model_parameter_owned(struct str name)
{
	static const char *const owned[] = {
#define OWNED_PARAMETER(name) name,
#include "model/owned.def"
	    NULL};
	return in_table(name, owned);
}

bool
model_variable_owned(struct str name)
{
	static const char *const owned[] = {
#define OWNED_VARIABLE(name) name,
#include "model/owned.def"
	    NULL};
	return in_table(name, owned);
}

uint64_t
model_status_hash(const struct cluster_status *s)
{
	uint64_t h = HASH_INIT;

	if (s->n == 0 && s->phase.len == 0)
		return 0;
	h = hash_u64(h, s->ready_instances);
	h = hash_str(h, s->primary);
	h = hash_str(h, s->phase);
	h = hash_u64(h, (uint64_t)s->generation);
	for (unsigned i = 0; i < s->n; i++) {
		h = hash_u64(h, s->conditions[i].type);
		h = hash_u64(h, s->conditions[i].status);
		h = hash_u64(h, s->conditions[i].reason);
		h = hash_str(h, s->conditions[i].text);
	}
	return h;
}
