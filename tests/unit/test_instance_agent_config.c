/* Who applies Patroni's dynamic configuration, while a leader serves, starts, or is not there. */
#include "instance/agent.h"
#include "tests/unit/tap.h"

static struct agent a;
static unsigned asks;

/* --- What agent_config.c calls of the other files. */

void
agent_look(struct agent *x)
{
	(void)x;
}

bool
agent_leads(const struct agent *x)
{
	return x->view.running && x->view.primary && x->view.leads;
}

void
spec_wanted(const struct bgcluster *c, struct dynamic_wanted *out)
{
	memset(out, 0, sizeof(*out));
	out->max_lag = c->max_lag;
}

void
kube_send(struct kube *k, const struct kube_request *r,
    void (*done)(void *arg, const struct kube_reply *), void *arg)
{
	(void)k;
	(void)r;
	(void)done;
	(void)arg;
	asks++;
}

void
kube_path(char out[HTTP_PATH_MAX], enum kind kind, const char *ns, const char *name,
    const char *sub, const char *query)
{
	(void)sub;
	(void)query;
	(void)snprintf(out, HTTP_PATH_MAX, "%d/%s/%s", (int)kind, ns, name);
}

int
kube_reply_error(const struct kube_reply *r, struct err *e)
{
	(void)e;
	return r->status == 200 ? 0 : -1;
}

/* --- The scene: at 100 s, demo-0, of a spec that was checked. */

static void
end(void)
{
	arena_free(&a.config.arena);
	buf_free(&a.config.wanted);
	buf_free(&a.config.keys);
	buf_free(&a.config.merged);
}

static void
begin(void)
{
	static struct bgcluster spec;

	end();
	memset(&a, 0, sizeof(a));
	arena_init(&a.config.arena, 1u << 20);
	a.cluster = "demo";
	a.namespace = "ns";
	a.now.v = 100000;
	a.spec = &spec;
	a.checked_known = true;
	a.view.known = a.view.cluster_known = a.view.lowest_live = true;
	asks = 0;
}

static bool
applies(void)
{
	config_look(&a);
	return asks == 1;
}

int
main(void)
{
	begin();
	a.view.leads = a.view.has_leader = a.view.running = a.view.primary = true;
	CHECK(applies(), "the leader does");
	begin();
	a.view.leads = a.view.has_leader = true;
	CHECK(!applies(), "not one whose server is down for a moment");
	a.starts.since.v = 95000;
	CHECK(!applies(), "nor starts");
	a.starts.since.v = 90000;
	CHECK(applies(), "but one whose server does not come up: the configuration may be why");
	begin();
	a.view.has_leader = true;
	a.starts.since.v = 1000;
	CHECK(!applies(), "a replica that does not come up leaves it to the leader");
	begin();
	a.leaderless_since.v = 95000;
	CHECK(!applies(), "an election has its time");
	a.leaderless_since.v = 90000;
	CHECK(applies(), "without a leader the lowest does");
	begin();
	a.leaderless_since.v = 90000;
	a.checked.reason = REASON_PARAMETER_REFUSED;
	CHECK(!applies(), "what was refused is applied by nobody");
	end();
	return tap_done();
}
