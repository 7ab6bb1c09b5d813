/*
 * The reconciler without its loop: records in, steps out, answers back; what makes the watcher or
 * the executor hostile; snapshots, credits, queues and timers. Every message that is sent must
 * encode: honest code never sends a breach.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/tap.h"
#include "workers/reconciler.h"

static struct table table;
static struct feed feed;
static struct steps steps;
static struct ipc_msg in, sent[64];
static unsigned sent_n, refused_n;
static bool room;
static struct msec now;
static uint64_t version;
static char namespaces[2][64] = {"blue", "green"};

static bool
on_send(void *arg, const struct ipc_msg *m)
{
	static uint8_t wire[IPC_MSG_MAX];
	struct err e;

	(void)arg;
	if (!room)
		return false;
	if (ipc_encode(m, ROLE_RECONCILER, ROLE_EXECUTOR, wire, &e) == -1)
		die("a step does not encode: %s", e.text);
	if (sent_n < sizeof(sent) / sizeof(sent[0]))
		sent[sent_n] = *m;
	sent_n++;
	return true;
}

static void
on_refused(void *arg, const struct msg_rec_cluster *r)
{
	(void)arg;
	refused_n++;
	steps_refuse(&steps, r, now);
}

static unsigned left_out_n;

static void
on_left_out(void *arg, unsigned namespace, const struct msg_rec_dbops *r)
{
	(void)arg;
	(void)namespace;
	left_out_n++;
	steps_leave_out(&steps, r, now);
}

static void
start(void)
{
	table_init(&table, namespaces, 2);
	feed = (struct feed){.table = &table, .refused = on_refused, .left_out = on_left_out};
	steps = (struct steps){.table = &table, .send = on_send};
	sent_n = refused_n = left_out_n = 0;
	room = true;
	now.v = 50000;
}

static struct uid
uid(unsigned n)
{
	return (struct uid){{(uint8_t)n, (uint8_t)(n >> 8), 7}};
}

static const char *
snap(enum ipc_type type, const char *ns, enum kind kind, uint32_t number)
{
	memset(&in, 0, sizeof(in));
	in.type = type;
	if (type == IPC_SNAP_BEGIN) {
		in.snap_begin.kind = (uint8_t)kind;
		in.snap_begin.number = number;
		snprintf(in.snap_begin.namespace, sizeof(in.snap_begin.namespace), "%s", ns);
	} else {
		in.snap_end.kind = (uint8_t)kind;
		in.snap_end.number = number;
		snprintf(in.snap_end.namespace, sizeof(in.snap_end.namespace), "%s", ns);
	}
	return feed_take(&feed, &in, now);
}

static void
list_nothing(const char *ns)
{
	for (unsigned k = 0; k < KIND_COUNT; k++)
		if (WATCHED_KINDS & 1u << k) {
			snap(IPC_SNAP_BEGIN, ns, k, 1);
			snap(IPC_SNAP_END, ns, k, 1);
		}
}

static const char *
cluster(const char *ns, const char *name, unsigned id)
{
	memset(&in, 0, sizeof(in));
	in.type = IPC_REC_CLUSTER;
	in.rec_cluster.uid = uid(id);
	in.rec_cluster.generation = 1;
	in.rec_cluster.version = ++version;
	in.rec_cluster.instances = 3;
	snprintf(in.rec_cluster.namespace, sizeof(in.rec_cluster.namespace), "%s", ns);
	snprintf(in.rec_cluster.name, sizeof(in.rec_cluster.name), "%s", name);
	return feed_take(&feed, &in, now);
}

static const char *
child(const char *ns, const char *name, enum child c, unsigned id)
{
	memset(&in, 0, sizeof(in));
	in.type = IPC_REC_CHILD;
	in.rec_child.child = (uint8_t)c;
	in.rec_child.uid = uid(id);
	in.rec_child.version = ++version;
	snprintf(in.rec_child.namespace, sizeof(in.rec_child.namespace), "%s", ns);
	snprintf(in.rec_child.cluster, sizeof(in.rec_child.cluster), "%s", name);
	return feed_take(&feed, &in, now);
}

static const char *
gone(const char *ns, const char *name, enum kind kind, enum child c, unsigned id)
{
	memset(&in, 0, sizeof(in));
	in.type = IPC_REC_GONE;
	in.rec_gone.kind = (uint8_t)kind;
	in.rec_gone.child = (uint8_t)c;
	in.rec_gone.uid = uid(id);
	snprintf(in.rec_gone.namespace, sizeof(in.rec_gone.namespace), "%s", ns);
	snprintf(in.rec_gone.cluster, sizeof(in.rec_gone.cluster), "%s", name);
	return feed_take(&feed, &in, now);
}

static const char *
done(uint32_t id, enum choice_step_code code, const char *text)
{
	struct msg_step_done d = {.id = id, .code = (uint8_t)code};

	snprintf(d.text, sizeof(d.text), "%s", text);
	return steps_done(&steps, &d, now);
}

static struct entry *
entry(const char *ns, const char *name)
{
	return table_find(&table, (unsigned)table_namespace(&table, ns), name);
}

/* --- Hostile peers. */

static void
test_breaches(void)
{
	start();
	CHECK(cluster("red", "demo", 1) != NULL, "a namespace that is not ours");
	CHECK(cluster("blue", "", 1) != NULL, "a cluster without a name");
	CHECK(cluster("blue", "demo", 1) == NULL, "an honest record");
	in.rec_cluster.instances = 0;
	CHECK(feed_take(&feed, &in, now) != NULL, "a readable cluster of no instances");
	snprintf(in.rec_cluster.invalid, sizeof(in.rec_cluster.invalid), "spec.image: too long");
	CHECK(feed_take(&feed, &in, now) == NULL, "an unreadable one has none");
	in.rec_cluster.uid = (struct uid){{0}};
	CHECK(feed_take(&feed, &in, now) != NULL, "a cluster without a uid");
	CHECK(child("blue", "demo", CHILD_CREDENTIALS, 2) != NULL, "a Secret is never watched");
	CHECK(child("blue", "demo", CHILD_ANCHOR, 2) != NULL, "nor is a ConfigMap");
	CHECK(child("blue", "demo", CHILD_STATEFULSET, 2) != NULL,
	    "a StatefulSet has its own record");
	CHECK(child("blue", "demo", CHILD_PDB, 2) == NULL, "an honest child");
	CHECK(snap(IPC_SNAP_BEGIN, "blue", KIND_POD, 1) != NULL, "a snapshot of pods");
	CHECK(snap(IPC_SNAP_END, "blue", KIND_ROLE, 1) != NULL, "an end without a beginning");
	snap(IPC_SNAP_BEGIN, "blue", KIND_ROLE, 2);
	CHECK(snap(IPC_SNAP_END, "blue", KIND_ROLE, 1) != NULL, "the end of another snapshot");
	CHECK(snap(IPC_SNAP_END, "green", KIND_ROLE, 2) != NULL, "the end in another namespace");
	CHECK(snap(IPC_SNAP_END, "blue", KIND_ROLE, 2) == NULL, "the right end");
	CHECK(gone("blue", "demo", KIND_ROLE, CHILD_PDB, 2) != NULL,
	    "a kind in another's place is gone");
	CHECK(
	    gone("blue", "demo", KIND_SECRET, CHILD_APP, 2) != NULL, "an unwatched object is gone");
	CHECK(gone("blue", "nobody", KIND_ROLE, CHILD_ROLE, 2) == NULL, "what nobody knew may go");
	CHECK(done(77, CHOICE_step_code_DONE, "") != NULL, "an answer to no step");
	in.type = IPC_PING;
	CHECK(feed_take(&feed, &in, now) != NULL, "a message that is no record");
	table_free(&table);
}

/* --- Maintenance windows. */

static void
test_windows(void)
{
	start();
	cluster("blue", "demo", 1);
	CHECK(entry("blue", "demo")->plan.windows == NULL, "no windows take no memory");
	in.rec_cluster.version = ++version;
	in.rec_cluster.windows =
	    (struct windows){2, {{60, 300, 1, "UTC"}, {0, 0, WINDOW_EVERY_DAY, "Europe/Berlin"}}};
	CHECK(feed_take(&feed, &in, now) == NULL &&
		  memcmp(entry("blue", "demo")->plan.windows, &in.rec_cluster.windows,
		      sizeof(struct windows)) == 0,
	    "windows are kept");
	in.rec_cluster.windows.n = 1;
	in.rec_cluster.version--;
	feed_take(&feed, &in, now);
	CHECK(entry("blue", "demo")->plan.windows->n == 2, "but not those of an older record");
	in.rec_cluster.version = ++version;
	in.rec_cluster.windows.at[0].days = 0;
	CHECK(feed_take(&feed, &in, now) != NULL, "a window on no day is a breach");
	in.rec_cluster.windows.n = 0;
	CHECK(feed_take(&feed, &in, now) == NULL && entry("blue", "demo")->plan.windows == NULL,
	    "and forgotten");
	table_free(&table);
}

/* --- Snapshots. */

static void
test_snapshots(void)
{
	start();
	CHECK(!table_synced(&table.namespaces[0]), "at first no list is complete");
	list_nothing("blue");
	CHECK(table_synced(&table.namespaces[0]) && !table_synced(&table.namespaces[1]),
	    "one namespace is, the other is not");
	cluster("blue", "demo", 1);
	cluster("blue", "other", 2);
	cluster("green", "demo", 3);
	child("blue", "demo", CHILD_PDB, 4);
	child("green", "demo", CHILD_PDB, 5);
	snap(IPC_SNAP_BEGIN, "blue", KIND_PDB, 9);
	CHECK(!table_synced(&table.namespaces[0]), "a list that begins anew is not complete");
	snap(IPC_SNAP_END, "blue", KIND_PDB, 9);
	CHECK(
	    !entry("blue", "demo")->plan.child[CHILD_PDB].present, "what it did not name is gone");
	CHECK(entry("green", "demo")->plan.child[CHILD_PDB].present, "in that namespace only");
	snap(IPC_SNAP_BEGIN, "blue", KIND_BGCLUSTER, 10);
	cluster("blue", "demo", 1);
	snap(IPC_SNAP_END, "blue", KIND_BGCLUSTER, 10);
	CHECK(entry("blue", "demo")->plan.present && !entry("blue", "other")->plan.present,
	    "what it named stays");
	table_unsync(&table);
	CHECK(!table_synced(&table.namespaces[0]) && entry("blue", "demo")->plan.present &&
		  (table.namespaces[0].listed & 1u << KIND_PDB) != 0,
	    "without a watcher all is kept, but no list is complete");
	table_free(&table);
}

/* --- Steps. */

static void
test_credits(void)
{
	char name[16];
	unsigned busy = 0, ids = 0;

	start();
	list_nothing("blue");
	for (unsigned i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "c%u", i);
		cluster("blue", name, i + 1);
	}
	steps_pump(&steps, now);
	steps_pump(&steps, now);
	CHECK(sent_n == STEPS_IN_FLIGHT, "as many steps as there are credits");
	for (unsigned i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "c%u", i);
		busy += entry("blue", name)->busy;
	}
	CHECK(busy == STEPS_IN_FLIGHT, "each of another cluster");
	for (unsigned i = 1; i < STEPS_IN_FLIGHT; i++)
		ids += sent[i].step.id != sent[0].step.id && sent[i].step.id != 0;
	CHECK(ids == STEPS_IN_FLIGHT - 1, "each with its own number");
	CHECK(sent[0].type == IPC_STEP && sent[0].step.verb == CHOICE_verb_ADD_FINALIZER &&
		  strcmp(sent[0].step.namespace, "blue") == 0 &&
		  strcmp(sent[0].step.name, "c0") == 0 &&
		  uid_eq(&sent[0].step.uid, &(struct uid){{1, 0, 7}}) &&
		  sent[0].step.generation == 1,
	    "a step names the object that it serves");
	CHECK(done(sent[0].step.id, CHOICE_step_code_DONE, "") == NULL, "an answer");
	CHECK(done(sent[0].step.id, CHOICE_step_code_DONE, "") != NULL,
	    "the same answer twice is a breach");
	steps_pump(&steps, now);
	CHECK(sent_n == STEPS_IN_FLIGHT + 1 && strcmp(sent[STEPS_IN_FLIGHT].step.name, "c16") == 0,
	    "the next in the queue has its turn");
	table_free(&table);
}

static void
test_edges(void)
{
	start();
	list_nothing("blue");
	cluster("blue", "demo", 1);
	room = false;
	steps_pump(&steps, now);
	CHECK(steps.flights_n == 0 && table.dirty.head == entry("blue", "demo"),
	    "what can not be sent stays in the queue");
	room = true;
	steps_pump(&steps, now);
	CHECK(sent_n == 1 && steps.flights_n == 1, "and is sent when there is room");
	steps_lost(&steps);
	CHECK(steps.flights_n == 0 && !entry("blue", "demo")->busy,
	    "the executor died: nothing is in flight");
	steps_pump(&steps, now);
	CHECK(sent_n == 2 && sent[1].step.verb == CHOICE_verb_ADD_FINALIZER,
	    "and it is planned again");
	CHECK(done(sent[0].step.id, CHOICE_step_code_DONE, "") != NULL,
	    "an answer to the dead one's step is a breach");
	table_free(&table);
}

static void
test_refusal_text(void)
{
	const struct msg_step_status *s = &sent[2].step_status;

	start();
	list_nothing("blue");
	cluster("blue", "demo", 1);
	steps_pump(&steps, now);
	done(sent[0].step.id, CHOICE_step_code_DENIED, "bgclusters is forbidden");
	steps_pump(&steps, now);
	CHECK(sent[1].type == IPC_STEP_EVENT && sent[1].step_event.reason == REASON_RIGHTS_MISSING,
	    "the executor's words come into an Event");
	done(sent[1].step_event.id, CHOICE_step_code_DONE, "");
	steps_pump(&steps, now);
	CHECK(sent[2].type == IPC_STEP_STATUS && strcmp(s->phase, "RightsMissing") == 0 &&
		  strcmp(s->conditions.at[0].text, "bgclusters is forbidden") == 0,
	    "and into the condition");
	done(s->id, CHOICE_step_code_DONE, "");
	CHECK(steps_pump(&steps, now).v > now.v && sent_n == 3, "then it waits");
	now = steps_pump(&steps, now);
	steps_pump(&steps, now);
	CHECK(sent_n == 4 && sent[3].step.verb == CHOICE_verb_ADD_FINALIZER,
	    "and tries again by its timer");
	table_free(&table);
}

static void
test_impatience(void)
{
	start();
	cluster("blue", "demo", 1);
	entry("blue", "demo")->plan.wanted.finalizer = true;
	for (unsigned c = CHILD_ANCHOR; c <= CHILD_APP; c++) {
		entry("blue", "demo")->plan.child[c].present = true;
		entry("blue", "demo")->plan.checked[c] = now;
	}
	steps_pump(&steps, now);
	CHECK(sent_n == 0, "nothing is made before the lists are complete");
	steps.impatient = true;
	table_dirty_all(&table);
	steps_pump(&steps, now);
	CHECK(sent_n == 1 && sent[0].step.verb == CHOICE_verb_ENSURE,
	    "but for ever it does not wait");
	table_free(&table);
}

/* --- Quarantine, and too many. */

static void
test_quarantine(void)
{
	struct msg_quarantine q = {.uid = uid(1), .generation = 1};

	start();
	list_nothing("blue");
	feed_quarantine(&feed, &q);
	cluster("blue", "demo", 1);
	steps_pump(&steps, now);
	CHECK(sent_n == 1 && sent[0].type == IPC_STEP_EVENT &&
		  sent[0].step_event.reason == REASON_QUARANTINED,
	    "a quarantine that came before its object is told of");
	done(sent[0].step_event.id, CHOICE_step_code_DONE, "");
	steps_pump(&steps, now);
	CHECK(
	    sent_n == 2 && sent[1].type == IPC_STEP_STATUS && sent[1].step_status.conditions.n == 6,
	    "and holds");
	cluster("blue", "other", 2);
	q.uid = uid(2);
	feed_quarantine(&feed, &q);
	steps_pump(&steps, now);
	CHECK(sent_n == 3 && sent[2].type == IPC_STEP_EVENT, "and so does one that comes after it");
	table_free(&table);
}

static void
test_namespace_ends(void)
{
	unsigned released = 0;

	start();
	list_nothing("blue");
	for (unsigned i = 0; i < 3; i++) {
		char name[8];

		(void)snprintf(name, sizeof(name), "c%u", i);
		cluster("blue", name, 10 + i);
		in.rec_cluster.version = ++version;
		in.rec_cluster.finalizer = true;
		in.rec_cluster.deleting = i == 0;
		feed_take(&feed, &in, now);
		entry("blue", name)->busy = i > 0; /* what they do does not matter here */
	}
	steps_pump(&steps, now);
	CHECK(sent_n == 1 && sent[0].step.verb == CHOICE_verb_OBSERVE_NAMESPACE,
	    "one that is deleted asks for its namespace");
	for (unsigned i = 1; i < 3; i++)
		entry("blue", i == 1 ? "c1" : "c2")->busy = false;
	in.type = IPC_STEP_DONE;
	in.step_done = (struct msg_step_done){
	    .id = sent[0].step.id, .code = CHOICE_step_code_DONE, .terminating = true};
	steps_done(&steps, &in.step_done, now);
	steps_pump(&steps, now);
	for (unsigned i = 1; i < sent_n; i++)
		released += sent[i].step.verb == CHOICE_verb_REMOVE_FINALIZER;
	CHECK(sent_n == 4 && released == 3, "what it learns holds for all of them at once");
	table_free(&table);
}

/* Pods of many clusters are not ready. */
static void
test_namespace_asked_once(void)
{
	static const char *const names[] = {"c0", "c1", "c2"};
	unsigned asked = 0;

	start();
	list_nothing("blue");
	for (unsigned i = 0; i < 3; i++) {
		struct plan_cluster *c;

		cluster("blue", names[i], 10 + i);
		c = &entry("blue", names[i])->plan;
		c->unready_since = (struct msec){now.v + i * 100};
	}
	now.v += 20000;
	for (unsigned i = 0; i < 3; i++)
		plan_note_namespace_asked(
		    &entry("blue", names[i])->plan, (struct msec){now.v - (i == 2 ? 3000 : 10000)});
	for (unsigned i = 0; i < 3; i++)
		asked += entry("blue", names[i])->plan.namespace_at.v == now.v;
	CHECK(asked == 2 && entry("blue", "c2")->plan.namespace_at.v == now.v + 7000,
	    "who is about to ask takes another one's question for its own");
	plan_note_namespace_asked(&entry("blue", "c2")->plan, now);
	CHECK(entry("blue", "c2")->plan.namespace_at.v == now.v + 7000,
	    "who asked a moment ago keeps its time");
	table_free(&table);
}

static void
test_too_many(void)
{
	start();
	table.limit = 2;
	cluster("blue", "a", 1);
	cluster("blue", "b", 2);
	cluster("blue", "c", 3);
	CHECK(refused_n == 1 && table.n == 2 && sent_n == 1 && sent[0].type == IPC_STEP_STATUS &&
		  strcmp(sent[0].step_status.phase, "TooManyClusters") == 0,
	    "one cluster too many is refused, and told so");
	CHECK(
	    done(sent[0].step_status.id, CHOICE_step_code_DONE, "") == NULL && steps.flights_n == 0,
	    "its answer is awaited");
	in.rec_cluster.uid = uid(2);
	CHECK(child("blue", "zzz", CHILD_PDB, 4) == NULL, "its children are no breach");
	table_free(&table);
}

/* --- The table. */

static void
test_table(void)
{
	char name[16];
	unsigned missing = 0;

	start();
	for (unsigned i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "c%u", i);
		table_add(&table, i & 1, name)->plan.present = i % 3 != 0;
	}
	for (unsigned i = 0; i < 3000; i += 3) {
		snprintf(name, sizeof(name), "c%u", i);
		table_forget(&table, table_find(&table, i & 1, name));
	}
	CHECK(table.n == 2000, "what is empty is forgotten");
	for (unsigned i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "c%u", i);
		missing += (table_find(&table, i & 1, name) == NULL) != (i % 3 == 0);
		missing += table_find(&table, (i & 1) ^ 1, name) != NULL;
	}
	CHECK(missing == 0, "and nothing else");
	table_free(&table);
}

static void
test_timers(void)
{
	struct entry *e[200];
	char name[16];
	int64_t last = 0;
	bool ordered = true;

	start();
	for (unsigned i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "c%u", i);
		e[i] = table_add(&table, 0, name);
		e[i]->plan.present = true;
		table_wake_at(&table, e[i], (struct msec){1 + (int64_t)(i * 7919 % 1009)});
	}
	for (unsigned i = 0; i < 200; i += 2)
		table_wake_at(
		    &table, e[i], (struct msec){i % 4 == 0 ? PLAN_NEVER : 5000 + (int64_t)i});
	for (unsigned i = 0; i < 150; i++) {
		struct msec at = table_next_wake(&table);

		ordered &= at.v >= last;
		last = at.v;
		table_wake_at(&table, table.heap[0], (struct msec){PLAN_NEVER});
	}
	CHECK(ordered && table.heap_n == 0, "timers come in order, and once");
	CHECK(table_next_wake(&table).v == PLAN_NEVER, "then none is left");
	table_wake_at(&table, e[0], (struct msec){10});
	table_wake(&table, (struct msec){9});
	CHECK(table.dirty.head == NULL, "not too early");
	table_wake(&table, (struct msec){10});
	CHECK(table_pop_dirty(&table) == e[0] && table_pop_dirty(&table) == NULL,
	    "who is woken is in the queue");
	table_free(&table);
}

static void
test_forgetting(void)
{
	start();
	list_nothing("blue");
	cluster("blue", "demo", 1);
	child("blue", "demo", CHILD_PDB, 2);
	room = false;
	gone("blue", "demo", KIND_BGCLUSTER, CHILD_ANCHOR, 1);
	steps_pump(&steps, now);
	CHECK(table.n == 1, "what a cluster left behind is remembered");
	gone("blue", "demo", KIND_PDB, CHILD_PDB, 9);
	CHECK(entry("blue", "demo")->plan.child[CHILD_PDB].present,
	    "another one of that name is gone, not this");
	gone("blue", "demo", KIND_PDB, CHILD_PDB, 2);
	steps_pump(&steps, now);
	CHECK(table.n == 0, "and forgotten when it is gone");
	table_free(&table);
}

static const char *
dbops(
    const char *ns, const char *name, unsigned id, enum choice_dbops_phase phase, uint64_t created)
{
	memset(&in, 0, sizeof(in));
	in.type = IPC_REC_DBOPS;
	in.rec_dbops.uid = uid(id);
	in.rec_dbops.generation = 1;
	in.rec_dbops.version = ++version;
	in.rec_dbops.created = created;
	in.rec_dbops.phase = (uint8_t)phase;
	snprintf(in.rec_dbops.namespace, sizeof(in.rec_dbops.namespace), "%s", ns);
	snprintf(in.rec_dbops.cluster, sizeof(in.rec_dbops.cluster), "demo");
	snprintf(in.rec_dbops.name, sizeof(in.rec_dbops.name), "%s", name);
	return feed_take(&feed, &in, now);
}

static void
test_dbops(void)
{
	struct entry *e;

	start();
	CHECK(dbops("blue", "late", 70, CHOICE_dbops_phase_NONE, 20) == NULL &&
		  dbops("blue", "early", 71, CHOICE_dbops_phase_WAITING, 10) == NULL,
	    "BGDbOps of a cluster that is not there yet");
	e = table_find(&table, 0, "demo");
	CHECK(e != NULL && e->plan.dbops_n == 2 && strcmp(e->plan.dbops[0]->name, "early") == 0 &&
		  dbops_kept(&table) == 2,
	    "are kept, the oldest first");
	dbops("blue", "late", 70, CHOICE_dbops_phase_SUCCEEDED, 20);
	CHECK(e->plan.dbops_n == 1, "one that is over is forgotten");
	dbops("blue", "over", 72, CHOICE_dbops_phase_FAILED, 20);
	CHECK(e->plan.dbops_n == 1, "and not kept at all");
	CHECK(gone("blue", "demo", KIND_BGDBOPS, 0, 71) == NULL && e->plan.dbops_n == 0,
	    "so is one that is gone");
	dbops("blue", "left", 73, CHOICE_dbops_phase_NONE, 20);
	snap(IPC_SNAP_BEGIN, "blue", KIND_BGDBOPS, 9);
	dbops("blue", "named", 74, CHOICE_dbops_phase_NONE, 20);
	snap(IPC_SNAP_END, "blue", KIND_BGDBOPS, 9);
	CHECK(e->plan.dbops_n == 1 && strcmp(e->plan.dbops[0]->name, "named") == 0,
	    "and one that a list does not name");
	CHECK(dbops("blue", "", 75, CHOICE_dbops_phase_NONE, 20) != NULL,
	    "one without a name is a breach");
	table_free(&table);
}

static bool
is_kept(const char *ns, const char *name)
{
	struct entry *e = entry(ns, "demo");

	for (unsigned i = 0; e != NULL && i < e->plan.dbops_n; i++)
		if (strcmp(e->plan.dbops[i]->name, name) == 0)
			return true;
	return false;
}

static bool
is_relisted(void)
{
	struct msec when;

	return dbops_relist_is_due(&table, 0, now, &when);
}

static void
fill_up(void)
{
	char name[16];

	start();
	list_nothing("blue");
	list_nothing("green");
	table.dbops_limit = 8;
	for (unsigned i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "b%u", i);
		dbops("blue", name, 100 + i, CHOICE_dbops_phase_WAITING, 10 + i);
	}
}

static void
test_dbops_shares(void)
{
	fill_up();
	CHECK(dbops_kept(&table) == 6 && left_out_n == 4 && !is_kept("blue", "b6"),
	    "one namespace has its share, and what is free");
	CHECK(dbops("green", "g0", 200, CHOICE_dbops_phase_NONE, 99) == NULL &&
		  dbops("green", "g1", 201, CHOICE_dbops_phase_NONE, 99) == NULL &&
		  is_kept("green", "g1"),
	    "the share of another is its own");
	dbops("green", "g2", 202, CHOICE_dbops_phase_NONE, 99);
	CHECK(dbops_kept(&table) == 8 && !is_kept("green", "g2"), "and that is the limit");
	CHECK(!is_relisted(), "nothing is listed anew while there is no room");
	dbops("blue", "b0", 100, CHOICE_dbops_phase_SUCCEEDED, 10);
	CHECK(is_relisted(), "but as soon as there is");
	dbops_relisted(&table, 0, now);
	snap(IPC_SNAP_BEGIN, "blue", KIND_BGDBOPS, 5);
	CHECK(!is_relisted(), "once");
	for (unsigned i = 1; i < 10; i++) {
		char name[16];

		snprintf(name, sizeof(name), "b%u", i);
		dbops("blue", name, 100 + i, CHOICE_dbops_phase_WAITING, 10 + i);
	}
	snap(IPC_SNAP_END, "blue", KIND_BGDBOPS, 5);
	CHECK(is_kept("blue", "b6") && !is_kept("blue", "b7"), "what was left out is taken then");
	dbops("blue", "b1", 101, CHOICE_dbops_phase_SUCCEEDED, 11);
	CHECK(!is_relisted(), "lists do not follow each other");
	now.v += RELIST_MS;
	CHECK(!is_relisted(), "the less, the more was left out");
	now.v += 4 * RELIST_EACH_MS;
	CHECK(is_relisted(), "but they do");
	gone("blue", "demo", KIND_BGDBOPS, 0, 102);
	CHECK(is_relisted() && dbops_kept(&table) == 6, "what is gone makes room");
	table_free(&table);
}

/* One of those that were left out is patched all the time. */
static void
test_dbops_patched(void)
{
	fill_up();
	for (unsigned i = 0; i < 100000; i++)
		dbops("blue", "b9", 109, CHOICE_dbops_phase_WAITING, 19);
	dbops("blue", "b0", 100, CHOICE_dbops_phase_SUCCEEDED, 10);
	CHECK(is_relisted(), "there is room again");
	dbops_relisted(&table, 0, now);
	dbops("blue", "b9", 109, CHOICE_dbops_phase_WAITING, 19);
	dbops("blue", "b8", 108, CHOICE_dbops_phase_WAITING, 18);
	dbops("blue", "b1", 101, CHOICE_dbops_phase_SUCCEEDED, 11);
	now.v += RELIST_MAX_MS - 1;
	CHECK(!is_relisted(), "many that were left out make the pause longer");
	now.v++;
	CHECK(is_relisted(), "but it has an end");
	table_free(&table);
}

static void
test_dbops_begun(void)
{
	fill_up();
	dbops("blue", "runs", 300, CHOICE_dbops_phase_RUNNING, 5);
	CHECK(is_kept("blue", "runs") && !is_kept("blue", "b5") && is_kept("blue", "b4"),
	    "the youngest that has not begun gives way to one that has");
	for (unsigned i = 0; i < 8; i++)
		dbops("blue", "more", 400 + i, CHOICE_dbops_phase_RUNNING, 5);
	CHECK(dbops_kept(&table) == 6 && !is_kept("blue", "b0"), "within its namespace's room");
	table_free(&table);
}

/* Sent while half of the credits are free. */
static void
test_dbops_left_out_says_so(void)
{
	const struct msg_step_dbops *m;
	unsigned before;

	fill_up();
	m = &sent[0].step_dbops;
	CHECK(sent_n == 1 && sent[0].type == IPC_STEP_DBOPS && strcmp(m->name, "b6") == 0 &&
		  m->verb == CHOICE_verb_DBOPS_SAY && m->phase == CHOICE_dbops_phase_WAITING &&
		  strstr(m->text, "until others have ended") != NULL,
	    "who is left out is told, not too many at once");
	CHECK(done(m->id, CHOICE_step_code_DONE, "") == NULL, "its answer is awaited");
	before = sent_n;
	now.v += 1000;
	dbops("blue", "b7", 107, CHOICE_dbops_phase_WAITING, 17);
	CHECK(sent_n == before + 1, "the next one is told too");
	now.v += 1000;
	in.rec_dbops.said =
	    model_dbops_said(CHOICE_dbops_phase_WAITING, 0, str_of(sent[before].step_dbops.text));
	in.rec_dbops.version = ++version;
	feed_take(&feed, &in, now);
	CHECK(sent_n == before + 1, "once");
	in.rec_dbops.uid = uid(500);
	snprintf(in.rec_dbops.cron, sizeof(in.rec_dbops.cron), "@daily");
	in.rec_dbops.next_run = 77;
	feed_take(&feed, &in, now);
	CHECK(sent_n == before + 2 &&
		  sent[before + 1].step_dbops.phase == CHOICE_dbops_phase_SCHEDULED &&
		  sent[before + 1].step_dbops.next_run == 77,
	    "a schedule stays one");
	table_free(&table);
}

int
main(void)
{
	int fd = ipc_poison_new();

	if (fd == -1 || dup2(fd, IPC_FD_POISON) == -1)
		return 1;
	log_set_level(LOG_ERROR);
	test_breaches();
	test_windows();
	test_snapshots();
	test_credits();
	test_edges();
	test_refusal_text();
	test_impatience();
	test_quarantine();
	test_namespace_ends();
	test_namespace_asked_once();
	test_too_many();
	test_table();
	test_timers();
	test_forgetting();
	test_dbops();
	test_dbops_shares();
	test_dbops_begun();
	test_dbops_patched();
	test_dbops_left_out_says_so();
	return tap_done();
}
