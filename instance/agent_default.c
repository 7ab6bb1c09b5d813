/*
 * What Bestgres adds to the parameters that a user gave, where he gave none: a replication slot
 * that nobody reads must not fill the volume that the WAL is on. Pure.
 */
#include "instance/agent.h"

#define SLOT_PARAMETER "max_slot_wal_keep_size"
#define SLOT_MIB_MIN 256
#define MIB (1LL << 20)

/* Of a volume for WAL alone a half, beside data a quarter; 0 = not known. */
static int64_t
slot_mib(const struct bgcluster *c)
{
	bool wal = c->wal_size.len > 0;
	int64_t bytes, mib;

	if (quantity_bytes(wal ? c->wal_size : c->storage_size, &bytes) == -1)
		return 0;
	mib = bytes / MIB / (wal ? 2 : 4);
	/* PostgreSQL takes it in megabytes, as an int */
	return mib < SLOT_MIB_MIN ? SLOT_MIB_MIN : mib > INT32_MAX ? INT32_MAX : mib;
}

/* In spec.postgres.parameters, or in spec.patroni.dynamicConfiguration; what is no JSON is told of
 * elsewhere. */
static bool
is_given(const struct bgcluster *c, struct arena *a)
{
	struct json j;
	int parameters;

	for (size_t i = 0; i < c->parameters.n; i++)
		if (str_is(c->parameters.at[i].key, SLOT_PARAMETER))
			return true;
	if (c->dynamic_config.len == 0)
		return false;
	if (json_parse(&j, c->dynamic_config, a, NULL) == -1)
		return true;
	parameters = json_path(&j, json_root(&j), "postgresql.parameters");
	return json_get(&j, parameters, STR(SLOT_PARAMETER)) != JSON_NONE;
}

static bool
is_before(struct str a, struct str b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int order = memcmp(a.p, b.p, n);

	return order < 0 || (order == 0 && a.len < b.len);
}

void
spec_default(struct bgcluster *c, struct arena *a)
{
	struct str key = STR(SLOT_PARAMETER);
	struct str_pair *at;
	int64_t mib = slot_mib(c);
	char value[24];
	size_t n = 0;

	if (mib == 0 || c->parameters.n >= PARAMS_MAX || is_given(c, a))
		return;
	(void)snprintf(value, sizeof(value), "%lldMB", (long long)mib);
	at = arena_array(a, c->parameters.n + 1, sizeof(*at));
	if (at == NULL)
		return;
	for (size_t i = 0; i < c->parameters.n && is_before(c->parameters.at[i].key, key); i++)
		at[n++] = c->parameters.at[i];
	at[n] = (struct str_pair){key, {arena_strndup(a, value, strlen(value)), strlen(value)}};
	if (at[n].value.p == NULL)
		return;
	for (size_t i = n++; i < c->parameters.n; i++)
		at[n++] = c->parameters.at[i];
	c->parameters.at = at;
	c->parameters.n = n;
}
