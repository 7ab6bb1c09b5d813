/*
 * Reads Patroni's REST API (patroni/api.py, utils.py cluster_as_json). Patroni is in our pod but
 * runs a user's image: every field is checked.
 */
#include "instance/view.h"

static void
text_at(const struct json *j, int object, const char *path, char *out, size_t size)
{
	json_copy_text(j, json_path(j, object, path), out, size);
}

static bool
is_true(const struct json *j, int object, const char *key)
{
	bool v = false;

	return json_bool(j, json_get(j, object, str_of(key)), &v) == 0 && v;
}

static uint32_t
u32_at(const struct json *j, int object, const char *key)
{
	int64_t v;

	if (json_i64(j, json_get(j, object, str_of(key)), &v) == -1 || v < 0 || v > UINT32_MAX)
		return 0;
	return (uint32_t)v;
}

static uint64_t
position_at(const struct json *j, int object, const char *path)
{
	int64_t v;

	return json_i64(j, json_path(j, object, path), &v) == 0 && v > 0 ? (uint64_t)v : 0;
}

/* 4.x says primary, 3.x master. */
static bool
is_primary(const struct json *j, int object)
{
	int role = json_get(j, object, STR("role"));

	return json_string_is(j, role, "primary") || json_string_is(j, role, "master");
}

/*
 * {"max_connections": {"old_value": "100", "new_value": "50"}, ...}: of the settings that a standby
 * must not have less of than its primary, are some lowered and none raised?
 */
static bool
only_lowers(const struct json *j, int reasons)
{
	static const char *const settings[] = {"max_connections", "max_locks_per_transaction",
	    "max_prepared_transactions", "max_wal_senders", "max_worker_processes"};
	bool lowered = false;

	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		int reason = json_get(j, reasons, str_of(settings[i]));
		char from[24], to[24];
		uint64_t x, y;

		text_at(j, reason, "old_value", from, sizeof(from));
		text_at(j, reason, "new_value", to, sizeof(to));
		if (str_to_u64(str_of(from), &x) == -1 || str_to_u64(str_of(to), &y) == -1)
			continue;
		if (y > x)
			return false;
		lowered |= y < x;
	}
	return lowered;
}

int
view_read_patroni(struct view *v, const struct json *j, bool near, struct err *e)
{
	int root = json_root(j);
	char id[24];
	uint64_t n;

	if (json_type(j, root) != JSON_T_OBJECT ||
	    json_type(j, json_get(j, root, STR("state"))) != JSON_T_STRING)
		return err_set(e, ERR_INVALID, "Patroni's answer has no state");
	text_at(j, root, "state", v->state, sizeof(v->state));
	text_at(j, root, "patroni.version", v->patroni_version, sizeof(v->patroni_version));
	text_at(j, root, "postmaster_start_time", v->started, sizeof(v->started));
	text_at(j, root, "database_system_identifier", id, sizeof(id));
	v->system_identifier = str_to_u64(str_of(id), &n) == 0 ? n : 0;
	v->running = strcmp(v->state, "running") == 0;
	v->primary = v->running && is_primary(j, root);
	v->streaming = v->running && !v->primary &&
	               json_string_is(j, json_get(j, root, STR("replication_state")), "streaming");
	v->restores =
	    json_string_is(j, json_get(j, root, STR("replication_state")), "in archive recovery");
	v->received = position_at(j, root, "xlog.received_location");
	v->replayed = position_at(j, root, "xlog.replayed_location");
	v->within = near && v->running && !v->primary;
	v->near = v->within && v->streaming;
	v->paused = is_true(j, root, "pause");
	v->pending_restart = is_true(j, root, "pending_restart");
	v->restart_lowers =
	    v->pending_restart && only_lowers(j, json_get(j, root, STR("pending_restart_reason")));
	v->unlocked = is_true(j, root, "cluster_unlocked");
	v->timeline = u32_at(j, root, "timeline");
	v->known = true;
	return 0;
}

/* "demo-2" before "demo-10": of one cluster's names the shorter one is the lower one. */
static bool
lower(struct str a, struct str b)
{
	if (a.len != b.len)
		return a.len < b.len;
	return memcmp(a.p, b.p, a.len) < 0;
}

static void
read_member(struct view *v, const struct json *j, int member, const char *self)
{
	int name = json_get(j, member, STR("name")), role = json_get(j, member, STR("role"));
	int state = json_get(j, member, STR("state"));
	bool leader =
	    json_string_is(j, role, "leader") || json_string_is(j, role, "standby_leader");
	struct str raw = json_raw(j, name); /* a pod's name has no escapes */

	if (json_string_is(j, role, "sync_standby") || json_string_is(j, role, "quorum_standby"))
		v->has_sync = true;
	if (leader) {
		v->has_leader = true;
		json_copy_text(j, name, v->leader, sizeof(v->leader));
		v->leader_timeline = u32_at(j, member, "timeline");
		text_at(j, member, "host", v->leader_host, sizeof(v->leader_host));
	}
	if (json_string_is(j, name, self)) {
		v->leads = leader;
		if (json_i64(j, json_get(j, member, STR("lag")), &v->lag) == -1 || v->lag < 0)
			v->lag = -1; /* absent, or "unknown" */
	} else if (raw.len > 2 && json_type(j, state) == JSON_T_STRING &&
		   !json_string_is(j, state, "") &&
		   lower((struct str){raw.p + 1, raw.len - 2}, str_of(self))) {
		v->lowest_live = false;
	}
}

static void
note_member(struct view_member *m, const struct json *j, int member)
{
	json_copy_text(j, json_get(j, member, STR("name")), m->name, sizeof(m->name));
	m->streaming = json_string_is(j, json_get(j, member, STR("state")), "streaming");
	if (json_i64(j, json_get(j, member, STR("lag")), &m->lag) == -1 || m->lag < 0)
		m->lag = -1;
}

/* "demo-12" is 12; -1: no pod's name. */
static int64_t
ordinal_of(struct str quoted)
{
	struct str s = {quoted.p + 1, quoted.len < 2 ? 0 : quoted.len - 2};
	const char *dash = memrchr(s.p, '-', s.len);
	uint64_t n;

	if (dash == NULL ||
	    str_to_u64((struct str){dash + 1, (size_t)(s.p + s.len - dash - 1)}, &n) == -1 ||
	    n >= INSTANCES_MAX)
		return -1;
	return (int64_t)n;
}

/* A synchronous standby rather than another one: in synchronous mode only that may lead. */
static void
consider(struct view *v, const struct json *j, int member, int64_t instances)
{
	int role = json_get(j, member, STR("role")), name = json_get(j, member, STR("name"));
	bool sync =
	    json_string_is(j, role, "sync_standby") || json_string_is(j, role, "quorum_standby");
	int64_t ordinal = ordinal_of(json_raw(j, name));

	if (ordinal < 0 || ordinal >= instances || (!sync && !json_string_is(j, role, "replica")) ||
	    !json_string_is(j, json_get(j, member, STR("state")), "streaming") ||
	    (v->candidate[0] != '\0' && (v->candidate_sync || !sync)))
		return;
	v->candidate_sync = sync;
	json_copy_text(j, name, v->candidate, sizeof(v->candidate));
}

int
view_read_cluster(
    struct view *v, const struct json *j, const char *self, int64_t instances, struct err *e)
{
	int members = json_get(j, json_root(j), STR("members"));

	if (json_type(j, members) != JSON_T_ARRAY)
		return err_set(e, ERR_INVALID, "Patroni's cluster has no members");
	v->has_leader = v->leads = v->has_sync = v->candidate_sync = false;
	v->members = 0;
	v->candidate[0] = v->leader[0] = '\0';
	v->lowest_live = true;
	v->leader_timeline = 0;
	v->leader_host[0] = '\0';
	v->lag = -1;
	for (int k = json_first(j, members); k != JSON_NONE; k = json_next(j, k)) {
		read_member(v, j, k, self);
		consider(v, j, k, instances);
		if (v->members < INSTANCES_MAX)
			note_member(&v->member[v->members], j, k);
		v->members++;
	}
	v->cluster_known = true;
	return 0;
}

const struct view_member *
view_find(const struct view *v, const char *name)
{
	for (unsigned i = 0; v->cluster_known && i < v->members && i < INSTANCES_MAX; i++)
		if (strcmp(v->member[i].name, name) == 0)
			return &v->member[i];
	return NULL;
}

void
view_silent(struct view *v)
{
	memset(v, 0, sizeof(*v));
	v->lag = -1;
}

/* /cluster's lag is of what was received; who reads sees what was replayed of it. */
int64_t
view_replay_lag(const struct view *v)
{
	uint64_t unreplayed = v->received > v->replayed ? v->received - v->replayed : 0;

	if (v->near)
		return 0;
	if (v->lag < 0)
		return -1;
	return unreplayed <= (uint64_t)(INT64_MAX - v->lag) ? v->lag + (int64_t)unreplayed
	                                                    : INT64_MAX;
}

bool
view_serves_reads(const struct view *v, int64_t max_lag)
{
	int64_t lag = view_replay_lag(v);

	return v->known && v->cluster_known && v->streaming && v->has_leader && lag >= 0 &&
	       lag <= max_lag && v->timeline != 0 && v->timeline == v->leader_timeline;
}
