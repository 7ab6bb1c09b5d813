/* What Patroni answers, real and malformed, as the agent understands it. */
#include "instance/view.h"
#include "tests/unit/tap.h"

static struct arena a;
static struct view v;
static struct err e;

static int
patroni(const char *text, bool near)
{
	struct json j;

	arena_reset(&a);
	return json_parse(&j, str_of(text), &a, &e) == -1 ? -1
	                                                  : view_read_patroni(&v, &j, near, &e);
}

static int
cluster(const char *text, const char *self)
{
	struct json j;

	arena_reset(&a);
	return json_parse(&j, str_of(text), &a, &e) == -1 ? -1
	                                                  : view_read_cluster(&v, &j, self, 3, &e);
}

static const char primary[] =
    "{\"state\":\"running\",\"role\":\"primary\",\"server_version\":170011,\"xlog\":{\"location\":"
    "1},"
    "\"timeline\":3,\"pending_restart\":true,\"database_system_identifier\":"
    "\"7711321390636388384\","
    "\"patroni\":{\"version\":\"4.0.7\",\"scope\":\"demo\",\"name\":\"demo-0\"}}";
static const char replica[] = "{\"state\":\"running\",\"role\":\"replica\",\"timeline\":3,"
			      "\"replication_state\":\"streaming\","
			      "\"cluster_unlocked\":true,\"pause\":true}";
static const char members[] =
    "{\"members\":[{\"name\":\"demo-0\",\"role\":\"leader\",\"state\":\"running\",\"timeline\":3},"
    "{\"name\":\"demo-1\",\"role\":\"sync_standby\",\"state\":\"streaming\",\"timeline\":3,\"lag\":"
    "0},"
    "{\"name\":\"demo-10\",\"role\":\"replica\",\"state\":\"streaming\",\"timeline\":3,\"lag\":"
    "2097152},"
    "{\"name\":\"demo-2\",\"role\":\"replica\",\"state\":\"starting\",\"lag\":\"unknown\"}],"
    "\"scope\":\"demo\"}";

static void
test_patroni(void)
{
	CHECK(patroni(primary, true) == 0 && v.known && v.running && v.primary && !v.streaming &&
		  !v.near && v.pending_restart && v.timeline == 3 &&
		  v.system_identifier == 7711321390636388384u &&
		  strcmp(v.patroni_version, "4.0.7") == 0,
	    "a primary");
	CHECK(patroni(replica, true) == 0 && !v.primary && v.streaming && v.near && v.paused &&
		  v.unlocked && !v.pending_restart && v.system_identifier == 0,
	    "a replica");
	CHECK(patroni("{\"state\":\"running\",\"role\":\"replica\"}", true) == 0 && !v.near &&
		  v.within && patroni(primary, true) == 0 && !v.within,
	    "one that does not stream may be within the lag all the same; a primary is not");
	CHECK(patroni("{\"state\":\"running\",\"role\":\"master\"}", false) == 0 && v.primary,
	    "3.x says master");
	CHECK(
	    patroni(
		"{\"state\":\"starting\",\"role\":\"primary\",\"replication_state\":\"streaming\"}",
		true) == 0 &&
		!v.running && !v.primary && !v.streaming && !v.near && !v.within,
	    "who does not run is neither");
	CHECK(patroni("{}", false) == -1 && patroni("[]", false) == -1 &&
		  patroni("{\"state\":1}", false) == -1,
	    "no state");
	CHECK(patroni("{\"state\":\"running\",\"timeline\":-1,\"database_system_identifier\":\"x\","
		      "\"patroni\":[]}",
		  false) == 0 &&
		  v.timeline == 0 && v.system_identifier == 0 && v.patroni_version[0] == '\0',
	    "malformed fields are unknown");
	CHECK(patroni("{\"state\":\"running\",\"timeline\":99999999999}", false) == 0 &&
		  v.timeline == 0,
	    "a timeline out of range");
}

/* What a replica that does not stream needs next, and from whom. */
static void
test_positions(void)
{
	view_silent(&v);
	CHECK(patroni("{\"state\":\"running\",\"role\":\"replica\",\"xlog\":{\"received_location\":"
		      "50331648,\"replayed_location\":50331000,\"paused\":false}}",
		  false) == 0 &&
		  v.received == 50331648 && v.replayed == 50331000 && !v.restores,
	    "its WAL positions");
	CHECK(patroni("{\"state\":\"running\",\"role\":\"replica\",\"replication_state\":"
		      "\"in archive recovery\",\"xlog\":{\"received_location\":null}}",
		  false) == 0 &&
		  v.received == 0 && v.replayed == 0 && v.restores && !v.streaming,
	    "an archive may have what the leader has not");
	CHECK(
	    cluster("{\"members\":[{\"name\":\"demo-0\",\"role\":\"leader\",\"state\":\"running\","
		    "\"host\":\"10.1.2.3\",\"port\":5432}]}",
		"demo-1") == 0 &&
		strcmp(v.leader_host, "10.1.2.3") == 0,
	    "the leader's address");
	CHECK(cluster("{\"members\":[]}", "demo-1") == 0 && v.leader_host[0] == '\0', "or none");
}

static void
test_cluster(void)
{
	CHECK(cluster(members, "demo-0") == 0 && v.leads && v.has_leader &&
		  v.leader_timeline == 3 && v.lowest_live && v.lag == -1,
	    "the leader");
	CHECK(strcmp(v.candidate, "demo-1") == 0 && v.candidate_sync,
	    "the synchronous standby is who may lead next");
	CHECK(
	    cluster(
		"{\"members\":[{\"name\":\"demo-2\",\"role\":\"replica\",\"state\":\"streaming\"},"
		"{\"name\":\"demo-1\",\"role\":\"sync_standby\",\"state\":\"starting\"}]}",
		"demo-0") == 0 &&
		strcmp(v.candidate, "demo-2") == 0 && !v.candidate_sync,
	    "another replica is one, but not a synchronous one");
	CHECK(cluster(members, "demo-1") == 0 && !v.leads && v.has_leader && v.lag == 0 &&
		  !v.lowest_live,
	    "a replica");
	CHECK(cluster(members, "demo-10") == 0 && v.lag == 2097152 && !v.lowest_live, "its lag");
	CHECK(cluster(members, "demo-2") == 0 && v.lag == -1, "an unknown lag");
	CHECK(cluster(
		  "{\"members\":[{\"name\":\"demo-10\",\"role\":\"replica\",\"state\":\"running\"},"
		  "{\"name\":\"demo-2\",\"role\":\"replica\",\"state\":\"running\"},"
		  "{\"name\":\"demo-0\",\"role\":\"replica\",\"state\":\"\"}]}",
		  "demo-2") == 0 &&
		  !v.has_leader && v.lowest_live,
	    "2 is lower than 10, and who has no state does not live");
	CHECK(cluster("{\"members\":{}}", "demo-0") == -1 && cluster("{}", "demo-0") == -1,
	    "no members");
	CHECK(
	    cluster("{\"members\":[1,null,[],{}]}", "demo-0") == 0 && !v.has_leader && v.lag == -1,
	    "members that are none");
	CHECK(cluster("{\"members\":[{\"name\":\"demo-0\",\"role\":\"replica\",\"lag\":-5}]}",
		  "demo-0") == 0 &&
		  v.lag == -1,
	    "a negative lag is unknown");
}

static void
test_candidates(void)
{
	const struct view_member *m;

	CHECK(patroni("{\"state\":\"running\",\"postmaster_start_time\":\"2026-11-26 "
		      "07:58:10.123456+00:00\"}",
		  false) == 0 &&
		  strcmp(v.started, "2026-11-26 07:58:10.123456+00:00") == 0,
	    "since when PostgreSQL runs");
	CHECK(cluster(members, "demo-0") == 0 && strcmp(v.leader, "demo-0") == 0, "who leads");
	m = view_find(&v, "demo-10");
	CHECK(m != NULL && m->streaming && m->lag == 2097152, "a replica that lags");
	m = view_find(&v, "demo-2");
	CHECK(m != NULL && !m->streaming && m->lag == -1, "one that does not stream");
	CHECK(view_find(&v, "demo-1x") == NULL && view_find(&v, "") == NULL, "no member");
	(void)patroni("{\"state\":\"stopped\"}", false);
	CHECK(v.started[0] == '\0', "a server that does not run has not started");
	view_silent(&v);
	CHECK(view_find(&v, "demo-1") == NULL && v.leader[0] == '\0', "nothing is known any more");
}

static void
test_reads(void)
{
	view_silent(&v);
	CHECK(!view_serves_reads(&v, INT64_MAX), "unknown: no reads");
	(void)patroni("{\"state\":\"running\",\"role\":\"replica\",\"timeline\":3,\"replication_"
		      "state\":\"streaming\"}",
	    false);
	CHECK(!view_serves_reads(&v, INT64_MAX), "the cluster unknown: no reads");
	(void)cluster(members, "demo-10");
	CHECK(view_serves_reads(&v, 2097152) && !view_serves_reads(&v, 2097151),
	    "up to the allowed lag");
	v.near = true;
	CHECK(view_serves_reads(&v, 0), "near: whatever /cluster still says");
	v.near = false;
	v.lag = 10;
	v.received = 300;
	v.replayed = 200;
	CHECK(view_serves_reads(&v, 110) && !view_serves_reads(&v, 109),
	    "what was received and not replayed counts");
	CHECK(view_replay_lag(&v) == 110, "as lag, too");
	v.received = UINT64_MAX;
	v.replayed = 1;
	CHECK(view_replay_lag(&v) == INT64_MAX, "whatever Patroni says");
	v.lag = -1;
	CHECK(view_replay_lag(&v) == -1 && !view_serves_reads(&v, INT64_MAX), "unknown");
	v.near = true;
	v.timeline = 2;
	CHECK(!view_serves_reads(&v, INT64_MAX), "not on another timeline than the leader's");
	v.timeline = 3;
	v.has_leader = false;
	CHECK(!view_serves_reads(&v, INT64_MAX), "not without a leader");
	v.has_leader = true;
	v.streaming = false;
	CHECK(!view_serves_reads(&v, INT64_MAX), "not without streaming");
}

int
main(void)
{
	arena_init(&a, 1u << 20);
	test_patroni();
	test_positions();
	test_cluster();
	test_candidates();
	test_reads();
	arena_free(&a);
	return tap_done();
}
