/* BGDbOps while not everything is seen: lists that are not complete yet, records that come late. */
#include "tests/unit/plan_dbops.h"

/* A new life knows neither the BGCluster nor its instances yet. */
static void
unlist(enum kind kind)
{
	world.listed &= ~(1u << kind);
	if (kind == KIND_BGCLUSTER)
		plan_note_cluster_gone(&c, &wanted.uid);
	for (unsigned i = 0; i < wanted.instances && kind == KIND_BGINSTANCE; i++)
		memory[i].known = memory[i].child.present = false;
}

static void
test_lists(void)
{
	struct plan_dbops *d;

	begin(2);
	d = add(CHOICE_dbops_op_REINDEX);
	run();
	lose_pod(0, CHOICE_instance_role_NONE, CHOICE_instance_state_STARTING);
	run();
	CHECK(d->cleanup == CHOICE_dbops_cleanup_DUE, "an interrupted one leaves something");
	unlist(KIND_BGCLUSTER);
	is(run(), "", "which is not given up while BGClusters are not listed");
	begin(1);
	d = add(CHOICE_dbops_op_BENCHMARK);
	run();
	d->deleted_s = world.unix_s;
	unlist(KIND_BGCLUSTER);
	is(run(), "", "a deleted one is not said to be cancelled before its pod is seen");
	begin(2);
	d = add(CHOICE_dbops_op_SWITCHOVER);
	run();
	d->deleted_s = world.unix_s;
	unlist(KIND_BGINSTANCE);
	is(run(), "", "nor is one let go that can not be taken back");
	begin(3);
	d = add(CHOICE_dbops_op_RESTART);
	d->only_pending = true;
	d->phase = CHOICE_dbops_phase_RUNNING;
	d->attempt = 1;
	d->restarted = 4;
	unlist(KIND_BGINSTANCE);
	is(run(), "", "and a restart does not end before its servers are");
}

int
main(void)
{
	test_lists();
	return tap_done();
}
