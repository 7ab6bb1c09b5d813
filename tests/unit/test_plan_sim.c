/*
 * plan/ against the small world of plan_world.h. Steps fail in every way, answers are lost, the
 * reconciler forgets everything at any moment, users change and break things. Once that stops,
 * every run must come to the same end, and then do nothing. With an argument: that seed's run
 * alone, step by step; with two: so many from that one on.
 */
#include <stdlib.h>

#include "plan/rule.h"
#include "tests/unit/plan_volumes.h"
#include "tests/unit/tap.h"

#define RUNS 1000

/* --- Maintenance windows. */

/* A window every day that opens in so many minutes, and for how many. */
static void
set_window(unsigned in, unsigned minutes)
{
	unsigned from = ((unsigned)(wall_s() / 60) + in) % 1440;

	w.windows.n = 1;
	w.windows.at[0] = (struct window){.from_min = (uint16_t)from,
	    .to_min = (uint16_t)((from + minutes) % 1440),
	    .days = WINDOW_EVERY_DAY,
	    .zone = "UTC"};
}

/* What only a window allows, but to the former primary that has handed over in one. */
static bool
all_serve_as_before(void)
{
	for (unsigned i = 0; i < w.instances; i++)
		if (!w.pods[i].ready || w.pods[i].terminating || !status_serves(&w.plan, i) ||
		    w.pods[i].inputs == model_pod_inputs(w.hash) || w.instance[i].due ||
		    !uid_eq(&w.plan.instance[i].report.pod_uid, &w.pods[i].uid))
			return false;
	return w.replicas > 0;
}

static void
check_window(const struct plan_sent *s)
{
	const struct plan_report *r = &w.plan.instance[s->ordinal].report;
	struct window_state state;

	window_look(w.plan.windows, wall_s(), &state);
	if (state.open || w.plan.wanted.deleting)
		return;
	if (s->verb == CHOICE_verb_TEMPLATE && !w.plan.wanted.update && all_serve_as_before() &&
	    !w.cluster.due)
		broken("pods that are lost outside the windows come back as others");
	if (s->verb == CHOICE_verb_RESTART ||
	    (s->verb == CHOICE_verb_SWITCHOVER && s->ordinal < w.plan.wanted.instances))
		broken("a server is stopped outside the windows");
	if (s->verb == CHOICE_verb_REPLACE_POD && uid_eq(&s->target, &r->pod_uid) &&
	    status_serves(&w.plan, s->ordinal) && r->operation != CHOICE_operation_SWITCHOVER)
		broken("a pod that serves is replaced outside the windows");
}

/* --- One tick of everything. */

/* What an executor may say although it is not so: FOREIGN is read off the object itself. */
static enum choice_step_code
pick_fault(void)
{
	static const enum choice_step_code codes[] = {CHOICE_step_code_RETRY,
	    CHOICE_step_code_RETRY, CHOICE_step_code_CONFLICT, CHOICE_step_code_GONE,
	    CHOICE_step_code_DENIED, CHOICE_step_code_INVALID, CHOICE_step_code_FOREIGN};

	return codes[rnd(sizeof(codes) / sizeof(codes[0]) -
			 (w.step.sent.verb == CHOICE_verb_DESTROY_ANCHOR ? 2 : 0))];
}

static bool traced;

static void
trace(const struct plan_answer *a)
{
	const struct plan_step *p = &w.step;
	bool of_op = p->dbops != NULL;

	printf("# %lld %s %s %u: %s%s %s\n", (long long)w.now,
	    choice_text(VOCAB_verb, p->sent.verb),
	    of_op ? p->dbops->name : child_info[p->sent.child].suffix, p->sent.ordinal,
	    a == NULL ? "lost" : choice_text(VOCAB_step_code, a->code), w.calm ? "" : ",", p->text);
	if (p->sent.verb == CHOICE_verb_STATUS)
		printf("#     %s; %s\n", p->status.phase, p->status.at[0].text);
}

static void
trace_world(void)
{
	printf("# %s, %u instances, %u replicas, generation %llu, %s%s%s fenced %x\n",
	    w.cluster.present ? w.cluster.deleting ? "deleted" : "present" : "gone", w.instances,
	    w.replicas, (unsigned long long)w.cluster.generation, w.hibernated ? "hibernated " : "",
	    w.paused ? "paused " : "", w.windowed ? "windows" : "", w.fenced);
	for (unsigned i = 0; i < ORDINALS; i++) {
		const struct plan_report *r = &w.report[i];

		printf("# %u: %s%s%s%s%s%s%s; %s %s, stop %u hold %d operation %u %u tasks %u %u "
		       "%u\n",
		    i, w.instance[i].present ? "instance " : "", w.instance[i].due ? "due " : "",
		    w.pods[i].present ? "pod " : "", w.pods[i].ready ? "ready " : "",
		    w.pods[i].terminating ? "ends " : "", w.pods[i].runs ? "runs " : "",
		    w.restarting[i] ? "restarts" : "", choice_text(VOCAB_instance_role, r->role),
		    choice_text(VOCAB_instance_state, r->state), r->stop, r->hold, r->operation,
		    r->operation_phase, r->task[0].phase, r->task[1].phase, r->task[2].phase);
	}
	for (unsigned c = 0; c < CHILD_COUNT; c++)
		if (!w.child[c].present || w.child[c].deleting || w.child[c].due ||
		    (is_watched((enum child)c) &&
			w.child[c].inputs != wanted_inputs((enum child)c)))
			printf("# child %u%s: %d %d %d\n", c, child_info[c].suffix,
			    w.child[c].present, w.child[c].deleting, w.child[c].due);
}

static void
take_answer(const struct plan_answer *a)
{
	static char refused[] = "refused by the API server";
	char **text = plan_done(&w.plan, &w.step.sent, a, (struct msec){w.now});

	if (traced)
		trace(a);
	if (text != NULL && w.step.sent.verb == CHOICE_verb_DBOPS_TELL)
		*text = refused;
}

static void
fly(uint64_t generation)
{
	struct plan_answer a;

	if (!w.calm && chance(8)) {
		enum choice_step_code code = pick_fault();

		/* Some are refused, of some the answer is lost after it was done. */
		if (code == CHOICE_step_code_RETRY && chance(50))
			do_step(&w.step, generation);
		a = answer(code);
	} else {
		a = do_step(&w.step, generation);
	}
	if (!w.calm && chance(30))
		give_any(); /* records may be faster than answers */
	if (!w.calm && chance(3)) {
		if (traced)
			trace(NULL);
		if (chance(50))
			forget_everything();
		else
			plan_lost(&w.plan, &w.step.sent);
		return;
	}
	take_answer(&a);
}

static struct plan_world
seen_world(bool spare)
{
	return (struct plan_world){.now = {w.now},
	    .unix_s = wall_s(),
	    .listed = listed(),
	    .synced = w.synced,
	    .spare = spare,
	    .sweep_ms = 600000};
}

static bool
lacks_primary(void)
{
	for (unsigned i = 0; i < w.step.status.n; i++)
		if (w.step.status.at[i].reason == REASON_LAST_PRIMARY_MISSING)
			return true;
	return false;
}

/* True: it had something to do. */
static bool
reconcile(void)
{
	struct plan_world seen = seen_world(chance(50));
	uint64_t generation;

	plan_next(&w.plan, &seen, &w.step);
	if (w.step.sent.verb == CHOICE_verb_NONE && w.step.spare) {
		seen.spare = true;
		plan_next(&w.plan, &seen, &w.step);
	}
	w.asked |= w.step.sent.verb == CHOICE_verb_STATUS && lacks_primary();
	w.waited += strncmp(w.step.status.at[1].text, "waits for the", 13) == 0;
	if (w.step.sent.verb == CHOICE_verb_NONE)
		return false;
	w.steps++;
	check_step(&w.step.sent);
	check_window(&w.step.sent);
	generation = w.step.dbops != NULL ? w.step.dbops->generation : w.plan.wanted.generation;
	fly(generation);
	return true;
}

static void
create_cluster(void)
{
	w.cluster = (struct object){.present = true, .uid = new_uid()};
	w.finalizer = false;
	w.status = 0;
	w.instances = (uint8_t)(1 + rnd(3));
	w.hash[GROUP_SCALE] = w.instances;
	w.policy = (uint8_t)rnd(2);
	w.hibernated = false;
	w.fenced = 0;
	w.hash[GROUP_REST] = 0;
	w.scale_down = (uint8_t)rnd(2);
	touch(&w.cluster, true);
}

static void
change_spec(void)
{
	switch (rnd(8)) {
	case 6:
		w.hibernated = !w.hibernated;
		w.hash[GROUP_REST] = w.hibernated;
		break;
	case 7:
		w.fenced = chance(50) ? 0 : 1u << rnd(w.instances);
		break;
	case 0:
		w.hash[GROUP_POD] = 10 + rnd(4);
		break;
	case 5: /* a parameter that needs a restart */
		w.hash[GROUP_CONFIG]++;
		for (unsigned i = 0; i < ORDINALS; i++)
			w.restart_due[i] = w.pods[i].present;
		break;
	case 1:
		if (w.hibernated || w.fenced != 0)
			return;
		w.instances = (uint8_t)(1 + rnd(ORDINALS - 1));
		w.hash[GROUP_SCALE] = w.instances;
		break;
	case 2:
		w.hash[GROUP_STORAGE] = (w.hash[GROUP_STORAGE] / 100 + rnd(2)) * 100 + 10 + rnd(4);
		break;
	case 3:
		w.hash[GROUP_SERVICE] = rnd(4);
		break;
	default:
		w.hash[GROUP_META] = rnd(4);
	}
	touch(&w.cluster, true);
}

/* In every fourth run, windows of a minute or two. */
static void
change_windows(void)
{
	if (!w.windowed || !w.cluster.present || w.cluster.deleting || !chance(2))
		return;
	w.windows.n = 0;
	if (chance(70))
		set_window((unsigned)rnd(2), 1 + (unsigned)rnd(2));
	touch(&w.cluster, true);
}

/* In every fifth run: the WAL that a replica needs is gone. */
static void
cut_off(void)
{
	unsigned i = (unsigned)rnd(ORDINALS);

	if (w.cluster.present && w.pods[i].present && find_leader() != i)
		w.unfit[i] = true;
}

static void
break_child(void)
{
	enum child c = (enum child)rnd(CHILD_COUNT);
	struct object *o = object_of(c, (unsigned)rnd(ORDINALS));

	if (!is_watched(c) || !o->present || o->deleting)
		return;
	if (chance(50)) {
		o->present = false;
		o->due = true;
		if (c == CHILD_STATEFULSET)
			for (unsigned i = 0; i < ORDINALS; i++)
				w.pods[i].terminating = true;
	} else if (chance(50)) {
		o->inputs ^= 1; /* someone wrote to it */
		touch(o, true);
	} else {
		touch(o, true);
	}
}

static void
be_a_user(void)
{
	switch (rnd(12)) {
	case 0:
	case 1:
	case 2:
		if (w.cluster.present && !w.cluster.deleting)
			change_spec();
		break;
	case 3:
		if (w.cluster.present && !w.cluster.deleting) {
			w.cluster.deleting = true;
			touch(&w.cluster, true);
			if (!w.finalizer)
				w.cluster.present = false;
		}
		break;
	case 4:
		if (w.cluster.present && chance(10)) { /* the finalizer is removed by force */
			w.cluster.present = false;
			w.cluster.due = true;
			w.finalizer_forced = true;
		}
		break;
	case 5:
		if (!w.cluster.present && !w.cluster.due)
			create_cluster();
		break;
	case 6: {
		unsigned i = (unsigned)rnd(ORDINALS);

		w.pods[i].terminating |= w.pods[i].present;
		break;
	}
	default:
		break_child();
	}
}

/* In every second run: BGDbOps, and what happens to them. */
static void
trouble_ops(void)
{
	if (w.calm || !w.operated)
		return;
	if (chance(w.tasked ? 25 : 5))
		be_an_operator();
	if (chance(2))
		interrupt((unsigned)rnd(ORDINALS));
	if (chance(1))
		move_leadership();
	if (chance(1) && w.cluster.present && !w.cluster.deleting) {
		w.paused = !w.paused;
		touch(&w.cluster, false);
	}
	if (chance(1))
		w.patroni_paused = !w.patroni_paused;
	if (chance(1) && w.cluster.present && !w.cluster.deleting) {
		w.on_demand = !w.on_demand;
		touch(&w.cluster, true);
	}
	if (chance(1))
		lose_pod((unsigned)rnd(ORDINALS));
	if (chance(1))
		w.now += 10000;
}

static void
tick(void)
{
	if (!w.calm && chance(6))
		be_a_user();
	trouble_ops();
	if (!w.calm)
		change_windows();
	if (!w.calm && w.cuts && chance(2))
		cut_off();
	if (!w.calm && chance(1))
		forget_everything();
	if (chance(60))
		give_any();
	list_more();
	if (chance(40))
		run_statefulset();
	if (chance(40))
		run_pods();
	if (!reconcile())
		w.now += (int64_t)rnd(800);
	w.now += (int64_t)rnd(20);
}

/* --- The end. */

static bool
is_operating(unsigned i)
{
	return w.pods[i].present && w.pods[i].ready && w.report[i].operation != 0 &&
	       uid_eq(&w.told[i], &w.pods[i].uid) &&
	       w.report[i].operation_phase < CHOICE_operation_phase_SUCCEEDED;
}

static bool
records_due(void)
{
	for (unsigned c = 0; c < CHILD_COUNT; c++)
		if (is_watched((enum child)c) && c != CHILD_INSTANCE && w.child[c].due)
			return true;
	for (unsigned i = 0; i < ORDINALS; i++)
		if (w.instance[i].due || is_operating(i))
			return true;
	return w.cluster.due || !w.synced || ops_due();
}

static void
check_alive(void)
{
	/* Made smaller than its last primary's ordinal while it rests: it waits for its user. */
	/* Or the one that stays is fenced. */
	for (unsigned i = w.instances; i < ORDINALS; i++)
		if (w.instance[i].present &&
		    (w.fenced != 0 ||
			(w.replicas == 0 && w.report[i].role == CHOICE_instance_role_PRIMARY)))
			return;
	if (is_stuck())
		return;
	for (unsigned c = 0; c < CHILD_COUNT; c++)
		if (c != CHILD_INSTANCE &&
		    (!w.child[c].present ||
			(is_watched((enum child)c) &&
			    w.child[c].inputs != wanted_inputs((enum child)c)) ||
			(is_watched((enum child)c) && !uid_eq(&w.child[c].owner, &w.cluster.uid))))
			broken(child_info[c].suffix[0] != '\0' ? child_info[c].suffix
							       : "a child is not as wanted");
	for (unsigned i = 0; i < ORDINALS; i++)
		if (w.instance[i].present != (i < w.instances) ||
		    w.pods[i].present != (i < replicas_wanted()))
			broken("instances or pods are too few or too many");
	if (w.replicas != replicas_wanted() ||
	    (w.storage_inputs != w.hash[GROUP_STORAGE] && !is_halted()))
		broken("the StatefulSet is not as wanted");
	/* Who is fenced keeps the others from being replaced. */
	if (w.fenced == 0 && w.pod_inputs != (is_halted() ? w.last_good : model_pod_inputs(w.hash)))
		broken("the template is not as wanted");
	check_volumes();
	if (!w.finalizer || w.status_generation != w.cluster.generation)
		broken("the status is of another generation");
	if (w.hash[GROUP_POD] == 13 || w.hash[GROUP_STORAGE] % 100 == 13)
		return;
	if (w.hibernated)
		return;
	if (w.fenced != 0) {
		for (unsigned i = 0; i < w.instances; i++)
			if (w.pods[i].runs == (w.fenced >> i & 1u))
				broken("who is fenced runs, or who is not does not");
		return;
	}
	if (ready_pods() != w.instances || !w.status_ready)
		broken("not ready");
	for (unsigned i = 0; i < w.instances; i++)
		if (w.pods[i].inputs != w.pod_inputs || w.restart_due[i])
			broken("a pod is older than the spec, or waits for a restart");
}

static void
check_gone(void)
{
	bool volumes = false;

	if (w.finalizer_forced)
		return; /* what is left behind then is the user's */
	for (unsigned c = CHILD_SERVICEACCOUNT; c < CHILD_COUNT; c++)
		if (c != CHILD_INSTANCE && w.child[c].present)
			broken("a runtime object was left behind");
	for (unsigned i = 0; i < ORDINALS; i++) {
		if (w.instance[i].present || w.pods[i].present)
			broken("an instance or a pod was left behind");
		volumes |= w.pvcs[i].present;
	}
	/* A cluster that never came to adopt what it found has no say in it. */
	if (uid_eq(&w.child[CHILD_ANCHOR].owner, &w.cluster.uid) &&
	    w.policy == CHOICE_deletion_policy_DELETE &&
	    (w.child[CHILD_ANCHOR].present || volumes || w.data))
		broken("data was left behind");
	if (w.data && !volumes)
		broken("volumes and ConfigMaps are one thing");
}

/*
 * Ticks until nothing moves for a while, but jumps over times in which nothing would; how many
 * steps were done.
 */
static unsigned
tick_until_quiet(int64_t ms)
{
	unsigned before = w.steps, idle = 0;

	for (int64_t end = w.now + ms; w.now < end && w.broken == NULL;) {
		unsigned steps = w.steps;
		uint64_t version = w.version;

		tick();
		idle = steps == w.steps && version == w.version && !records_due() ? idle + 1 : 0;
		if (idle > 12 && w.step.again.v > w.now) {
			w.now = w.step.again.v < end ? w.step.again.v : end;
			idle = 0;
		}
	}
	return w.steps - before;
}

/*
 * While a rolling change is halted, who is lost comes back as it was: one of those that serve, then
 * all of them at once, whatever life of ours it is. Then the change is corrected, and goes on.
 */
static void
lose_halted(void)
{
	unsigned ready = ready_pods(), restored = w.restored;

	w.halted++;
	for (unsigned all = 0; all < 2; all++) {
		for (unsigned i = (unsigned)rnd(ORDINALS), n = 0; n < ORDINALS; n++) {
			struct pod *p = &w.pods[(i + n) % ORDINALS];

			if (!p->present || !p->ready)
				continue;
			p->terminating = true;
			if (!all)
				break;
		}
		if (chance(50))
			forget_everything();
		tick_until_quiet(300000);
		if (ready_pods() != ready)
			broken("while a rolling change is halted, who is lost does not come back");
		if (w.restored != restored)
			broken("a template is written back again and again");
	}
	w.hash[GROUP_POD] = chance(50) ? 11 : 12;
	touch(&w.cluster, true);
	tick_until_quiet(1500000);
	check_alive();
}

/* A bad image, if there is none yet. */
static void
halt(void)
{
	if (w.hash[GROUP_POD] != 13 && w.status_ready && w.instances > 1 && chance(30)) {
		w.hash[GROUP_POD] = 13;
		touch(&w.cluster, true);
		tick_until_quiet(300000);
		if (!is_halted())
			broken("a bad image goes further than to one replica");
		check_alive();
	}
	if (w.broken == NULL && is_halted())
		lose_halted();
}

/*
 * All must come to rest in 25 minutes: the longest back-off is 10, the slowest sweep 12. Then a
 * minute, in which nothing may happen.
 */
/* As the condition asks of a human. */
static void
follow_advice(void)
{
	for (unsigned i = 0; i < ORDINALS; i++)
		if (w.pvcs[i].present && w.instances <= i)
			w.instances = (uint8_t)(i + 1);
	w.hash[GROUP_SCALE] = w.instances;
	w.fenced = 0;
	w.hash[GROUP_REST] = w.hibernated;
	touch(&w.cluster, true);
}

static void
settle(void)
{
	w.calm = true;
	stop_schedules();
	if (w.paused || w.on_demand)
		touch(&w.cluster, w.on_demand);
	w.paused = w.patroni_paused = w.on_demand = false;
	/* One that is closed when all else is calm, and open long enough a minute later. */
	if (w.windows.n > 0 && w.cluster.present) {
		set_window(2, 23 * 60);
		touch(&w.cluster, !w.cluster.deleting);
	}
	/* As the condition asks of a human. */
	if (w.cluster.present && w.destroying && !w.cluster.deleting &&
	    !uid_eq(&w.child[CHILD_ANCHOR].owner, &w.cluster.uid))
		w.child[CHILD_ANCHOR].present = w.destroying = false;
	tick_until_quiet(1500000);
	if (w.cluster.present && lacks_primary()) {
		follow_advice();
		tick_until_quiet(1500000);
	}
	/* What can not come up is looked at every 30 s; what nobody watches may be swept. */
	if (tick_until_quiet(60000) > (w.status_ready || w.hibernated || !w.cluster.present
					      ? 3 + refused_volumes()
					      : 6 * ORDINALS))
		broken("it never comes to rest");
	if (w.cluster.present && w.cluster.deleting)
		broken("the deletion never ends");
	if (w.cluster.present)
		check_alive();
	else
		check_gone();
	if (w.broken == NULL && w.cluster.present && w.fenced == 0)
		halt();
	check_ops();
}

static bool
run(uint64_t seed, unsigned ticks)
{
	memset(&w, 0, sizeof(w));
	w.seed = seed * 2654435761u + 88172645463325252ULL;
	w.now = 1000;
	w.windowed = seed % 4 == 2;
	w.cuts = seed % 5 == 3;
	w.operated = seed % 8 < 4;
	w.tasked = seed % 16 == 3 || seed % 16 == 9;
	for (unsigned g = 0; g < GROUP_COUNT; g++)
		w.hash[g] = g + 1;
	forget_everything();
	create_cluster();
	for (unsigned i = 0; i < ticks && w.broken == NULL; i++)
		tick();
	if (w.broken == NULL)
		settle();
	if (traced)
		trace_world();
	if (w.broken != NULL)
		printf("# seed %llu: %s\n", (unsigned long long)seed, w.broken);
	return w.broken == NULL;
}

/* --- Did enough happen at all? */

static unsigned ended[CHOICE_dbops_op_COUNT], repeated, cancelled, cleaned, beside[TASKS_MAX];

static void
count_ops(void)
{
	for (unsigned op = 0; op < CHOICE_dbops_op_COUNT; op++)
		ended[op] += w.ended[op];
	repeated += w.repeated;
	cancelled += w.cancelled;
	cleaned += w.cleaned;
	for (unsigned n = 0; n < TASKS_MAX; n++)
		beside[n] += w.beside[n];
}

static void
check_counts(void)
{
	for (unsigned op = 0; op < CHOICE_dbops_op_COUNT; op++)
		if (!CHECK(ended[op] > 2, choice_text(VOCAB_dbops_op, op)))
			printf("# %u ended well\n", ended[op]);
	CHECK(repeated > 5, "BGDbOps were repeated in some");
	CHECK(cancelled > 5, "and cancelled");
	CHECK(cleaned > 5, "and cleaned up after");
	if (!CHECK(beside[1] > 50 && beside[2] > 10, "and done beside others in one pod"))
		printf("# %u beside one, %u beside two\n", beside[1], beside[2]);
}

int
main(int argc, char **argv)
{
	uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
	uint64_t last = first + (argc > 2 ? strtoull(argv[2], NULL, 10) : argc > 1 ? 1 : RUNS) - 1;
	unsigned bad = 0, rolled = 0, dropped = 0, waited = 0, cloned = 0, halted = 0, asked = 0;

	traced = argc == 2;
	for (uint64_t seed = first; seed <= last && bad < 5; seed++) {
		bad += !run(seed, (unsigned)(seed % 400));
		rolled += w.rolled;
		dropped += w.dropped;
		waited += w.waited;
		cloned += w.cloned;
		halted += w.halted;
		asked += w.asked;
		count_ops();
	}
	CHECK(bad == 0, "every run comes to the wanted end and rests there");
	if (argc > 1)
		return tap_done();
	CHECK(rolled > 20, "running pods were replaced in some");
	CHECK(dropped > 5, "volumes of smaller clusters were dropped in some");
	CHECK(cloned > 20, "replicas that could not follow were cloned anew in some");
	if (!CHECK(halted > 50, "some ended with a rolling change that is halted"))
		printf("# %u\n", halted);
	if (!CHECK(asked > 1, "some waited for who led last"))
		printf("# %u\n", asked);
	CHECK(waited > 20, "some waited for a maintenance window");
	check_counts();
	return tap_done();
}
