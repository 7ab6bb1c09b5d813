/*
 * What the operator tells this pod to do once: a planned switchover, a restart for a parameter that
 * waits for it. Level-triggered: whoever finds that what was asked is so already is done.
 */
#include "instance/agent.h"

static void
finish(struct agent *a, enum choice_operation_phase phase, struct str text)
{
	struct operate_job *job = &a->operate;

	job->phase = (uint8_t)phase;
	str_copy_text(job->text, sizeof(job->text), text);
	log_line(phase == CHOICE_operation_phase_FAILED ? LOG_WARN : LOG_INFO, "operation", NULL,
	    "%s %s: %s", choice_text(VOCAB_operation, job->kind),
	    choice_text(VOCAB_operation_phase, job->phase), job->text);
	agent_look(a);
}

void
operate_finish(struct agent *a, enum choice_operation_phase phase, struct str text)
{
	finish(a, phase, text);
}

static void
on_done(struct agent *a, bool ok, struct str text)
{
	/* Refused, or the answer was lost with the leadership: what is so now decides. */
	if (a->operate.kind == CHOICE_operation_SWITCHOVER)
		ok = ok || !agent_leads(a);
	else
		ok = ok || (a->view.known && !a->view.pending_restart);
	finish(a, ok ? CHOICE_operation_phase_SUCCEEDED : CHOICE_operation_phase_FAILED, text);
}

/* Whatever came of the checkpoint: it only makes the switchover quicker. */
void
operate_checkpointed(struct agent *a, const struct msg_checkpoint_done *m)
{
	if (m->text[0] != '\0')
		log_warn("checkpoint", NULL, "%s", m->text);
	if (!a->operate.begun || a->operate.posted ||
	    a->operate.phase != CHOICE_operation_phase_RUNNING)
		return;
	a->operate.posted = true;
	patroni_post_switchover(a, on_done);
}

/* A new pgctl knows of no checkpoint. */
void
operate_edge_new(struct agent *a)
{
	if (a->operate.kind == CHOICE_operation_SWITCHOVER && !a->operate.posted)
		a->operate.begun = false;
}

static void
begin_switchover(struct agent *a)
{
	struct ipc_msg m = {.type = IPC_CHECKPOINT, .fds = {-1, -1}};

	if (agent_leads(a) && agent_must_leave(a) && a->view.candidate[0] == '\0')
		finish(a, CHOICE_operation_phase_FAILED,
		    STR("no instance that stays is streaming, so none can lead"));
	else if (!agent_leads(a))
		finish(a, CHOICE_operation_phase_SUCCEEDED, STR("this instance does not lead"));
	else
		a->operate.begun = child_send(&a->self, &m);
}

static void
begin_restart(struct agent *a)
{
	if (!a->view.pending_restart) {
		finish(a, CHOICE_operation_phase_SUCCEEDED, STR("nothing waits for a restart"));
		return;
	}
	a->operate.begun = true;
	patroni_post_restart(a, on_done);
}

void
operate_look(struct agent *a)
{
	static void (*const begin[CHOICE_operation_COUNT])(struct agent *) = {
	    [CHOICE_operation_SWITCHOVER] = begin_switchover,
	    [CHOICE_operation_RESTART] = begin_restart,
	};
	const struct operate_job *job = &a->operate;
	bool noted = strcmp(a->stored.operation_id, job->id) == 0 && !a->status.busy;

	if (job->kind == CHOICE_operation_REINIT) {
		if (job->phase == CHOICE_operation_phase_RUNNING && noted && a->password_known)
			reinit_look(a);
		return;
	}
	if (job->phase != CHOICE_operation_phase_RUNNING || job->begun ||
	    begin[job->kind] == NULL || !a->view.known || !a->view.cluster_known ||
	    !a->password_known)
		return;
	/* Not before it is noted: else a crash would leave no trace of it. */
	if (noted)
		begin[job->kind](a);
}

void
operate_take(struct agent *a, const struct bginstance *i)
{
	struct operate_job *job = &a->operate;

	if (i->operation_id.len == 0 || !str_is(i->operation_pod, a->pod_uid) ||
	    str_is(i->operation_id, job->id))
		return;
	*job = (struct operate_job){.kind = i->operation, .phase = CHOICE_operation_phase_RUNNING};
	str_copy_text(job->id, sizeof(job->id), i->operation_id);
	if (!str_eq(i->done_id, i->operation_id) ||
	    i->done_phase == CHOICE_operation_phase_RUNNING ||
	    i->done_phase == CHOICE_operation_phase_NONE)
		return;
	job->phase = i->done_phase; /* a former agent of this pod has ended it */
	str_copy_text(job->text, sizeof(job->text), i->done_message);
}
