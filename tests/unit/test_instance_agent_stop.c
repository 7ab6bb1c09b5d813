/*
 * The agent's part of a stop: what our pod's object says of the time it has, and the handing-on
 * that waits for that. The API's answers are given here.
 */
#include "instance/agent.h"
#include "tests/unit/tap.h"

#define POD "7c9e6679-7425-40de-944b-e07fc1f90ae7"

static struct agent a;
static struct kube_request asked;
static unsigned asks, graces, handed_over, posts;
static struct msg_grace grace;
static struct msg_switchover_done handover;
static void (*answer)(void *arg, const struct kube_reply *);
static void (*switched)(struct agent *, int, struct str);

/* --- What agent_stop.c calls of the other files. */

bool
agent_leads(const struct agent *x)
{
	return x->view.leads;
}

void
kube_send(struct kube *k, const struct kube_request *r,
    void (*done)(void *arg, const struct kube_reply *), void *arg)
{
	(void)k;
	(void)arg;
	asked = *r;
	answer = done;
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

bool
api_parse(const struct kube_reply *r, struct arena *into, struct json *j)
{
	arena_reset(into);
	return r->outcome == KUBE_REPLIED && r->status == 200 &&
	       json_parse(j, r->body, into, NULL) == 0;
}

bool
child_tell(struct self *c, const struct ipc_msg *m)
{
	(void)c;
	if (m->type == IPC_GRACE) {
		grace = m->grace;
		graces++;
	} else {
		handover = m->switchover_done;
		handed_over++;
	}
	return true;
}

void
patroni_post_switchover(struct agent *x, const char *candidate,
    void (*done)(struct agent *a, int status, struct str text))
{
	(void)x;
	(void)candidate;
	posts++;
	switched = done;
}

/* --- The scene. */

static void
begin(void)
{
	memset(&a, 0, sizeof(a));
	a.namespace = "ns";
	a.pod = "demo-0";
	a.pod_uid = POD;
	a.view.leads = a.password_known = true;
	asks = graces = handed_over = posts = 0;
}

static void
look(int64_t later)
{
	a.now.v = clock_boot().v + later;
	agent_stop_look(&a);
}

static void
told(uint32_t signals)
{
	a.state.stop_signals = signals;
	look(0);
}

static void
reply(int status, const char *body)
{
	const struct kube_reply r = {
	    .outcome = KUBE_REPLIED, .status = status, .body = str_of(body)};

	answer(&a, &r);
}

static void
silent(void)
{
	const struct kube_reply r = {.outcome = KUBE_UNKNOWN};

	answer(&a, &r);
}

#define DELETED(s)                                                                                 \
	"{\"metadata\":{\"uid\":\"" POD "\",\"deletionTimestamp\":\"2026-01-01T00:00:00Z\","       \
	"\"deletionGracePeriodSeconds\":" s "}}"

static void
test_grace(void)
{
	begin();
	look(0);
	CHECK(asks == 0, "nothing is asked while nothing stops");
	told(1);
	CHECK(asks == 1 && asked.method == KUBE_GET && asked.timeout_ms == 300, "our pod, quickly");
	look(5000);
	CHECK(asks == 1, "once at a time");
	reply(200, DELETED("10"));
	CHECK(graces == 1 && grace.seconds == 10 && grace.signal == 1, "init hears what it has");
	look(5000);
	CHECK(asks == 1 && posts == 0, "that is all");
	told(2);
	CHECK(asks == 2, "told again: looked again");
	reply(200, DELETED("3"));
	CHECK(graces == 2 && grace.seconds == 3 && grace.signal == 2, "a shorter one");
	told(3);
	reply(200, DELETED("99999999"));
	CHECK(grace.seconds == 86400, "within what a message holds");

	begin();
	told(1);
	reply(200, "{\"metadata\":{\"uid\":\"" POD "\"}}");
	look(5000);
	CHECK(asks == 1 && graces == 0, "not deleted, the node stops it: as by the spec");
}

static void
test_silence(void)
{
	begin();
	told(1);
	silent();
	look(500);
	CHECK(asks == 1, "not at once again");
	look(2000);
	CHECK(asks == 2 && asked.timeout_ms == 2000, "but soon, and with patience");
	reply(401, "");
	look(2000);
	CHECK(asks == 3 && graces == 0, "a token that is refused says nothing of the time");
	reply(200, DELETED("30"));
	CHECK(graces == 1 && grace.seconds == 30, "known at last");
}

static void
test_force(void)
{
	begin();
	told(1);
	reply(404, "");
	CHECK(graces == 1 && grace.seconds == 0, "its object is gone");
	begin();
	told(1);
	reply(200, "{\"metadata\":{\"uid\":\"another\"}}");
	CHECK(graces == 1 && grace.seconds == 0, "or its successor's");
}

static void
test_handover(void)
{
	begin();
	told(1);
	agent_stop_switchover(&a);
	CHECK(asks == 1 && posts == 0, "the handing-on waits for the same answer");
	silent();
	CHECK(posts == 1, "but not for an API that is away");
	look(2000);
	reply(200, DELETED("20"));
	CHECK(asks == 2 && graces == 1 && posts == 1 && handed_over == 0,
	    "an answer that comes later begins no second one");
	switched(&a, 200, STR("done"));
	CHECK(handed_over == 1 && handover.done, "and init hears of its end");

	begin();
	told(1);
	agent_stop_switchover(&a);
	reply(401, "");
	CHECK(posts == 0 && handed_over == 1 && !handover.done && graces == 0,
	    "refused: by force most likely, so only that is left out");
	begin();
	told(1);
	agent_stop_switchover(&a);
	reply(404, "");
	CHECK(posts == 0 && handed_over == 1 && graces == 1, "by force: no time for it");
	begin();
	told(1);
	agent_stop_switchover(&a);
	reply(200, DELETED("4"));
	CHECK(posts == 0 && handed_over == 1 && grace.seconds == 4, "nor is there in 4 s");
	begin();
	told(1);
	agent_stop_switchover(&a);
	reply(200, DELETED("5"));
	CHECK(posts == 1 && handed_over == 0 && grace.seconds == 5, "there is in 5 s");
	begin();
	a.view.leads = false;
	agent_stop_switchover(&a);
	CHECK(handed_over == 1 && asks == 0, "who does not lead has nothing to hand on");
}

int
main(void)
{
	test_grace();
	test_silence();
	test_force();
	test_handover();
	return tap_done();
}
