/*
 * pgctl's messages. It acts on files and programs of the user's image, so it is not sandboxed: what
 * it starts would inherit that. It has no token, and hands the agent one secret only,
 * the REST API's password, as a sealed memfd.
 */
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "instance/task.h"
#include "instance/work.h"

#define TROUBLE_S 5. /* while something is missing, look again this often */
#define SPACE_S 10.  /* a fast disk fills 15 % of 100 GB in not less than half a minute */

static void
send_due(struct pgctl *p, const struct ipc_msg *m, bool *due)
{
	if (*due && child_send(&p->self, m))
		*due = false;
}

static void
send_password(struct pgctl *p)
{
	struct ipc_msg m = {.type = IPC_REST_PASSWORD, .fds = {-1, -1}};
	const struct secret *s = &p->credentials.restapi.password;
	struct err e;

	if (p->password_said || !p->have_credentials || !p->self.edge_up)
		return;
	if ((m.fds[0] = fd_sealed("rest", s->p, s->len, &e)) == -1) {
		log_error("rest_password", NULL, "%s", e.text);
		return;
	}
	(void)snprintf(m.rest_password.username, sizeof(m.rest_password.username), "%s",
	    p->credentials.restapi.username);
	p->password_said = child_send(&p->self, &m);
	fd_close(&m.fds[0]);
}

static void
send_disk(struct pgctl *p)
{
	struct ipc_msg m = {.type = IPC_DISK, .fds = {-1, -1}};

	if (!p->disk_known ||
	    (p->disk_said && memcmp(&p->said_disk, &p->disk, sizeof(p->disk)) == 0))
		return;
	m.disk = p->disk;
	if (!child_send(&p->self, &m))
		return;
	p->said_disk = p->disk;
	p->disk_said = true;
}

void
pgctl_flush(struct pgctl *p)
{
	struct ipc_msg checked = {.type = IPC_SPEC_CHECKED, .fds = {-1, -1}};
	struct ipc_msg done = {.type = IPC_BOOTSTRAP_DONE, .fds = {-1, -1}};
	struct ipc_msg checkpointed = {.type = IPC_CHECKPOINT_DONE, .fds = {-1, -1}};
	struct ipc_msg followed = {.type = IPC_FOLLOWED, .fds = {-1, -1}};

	if (p->config_due && child_tell(&p->self, &p->config))
		p->config_due = false;
	send_password(p);
	send_disk(p);
	checked.spec_checked = p->checked;
	send_due(p, &checked, &p->checked_due);
	done.bootstrap_done = p->done;
	send_due(p, &done, &p->done_due);
	checkpointed.checkpoint_done = p->checkpointed;
	send_due(p, &checkpointed, &p->checkpointed_due);
	followed.followed = p->followed;
	send_due(p, &followed, &p->followed_due);
	for (unsigned slot = 0; slot < TASKS_MAX; slot++)
		task_say(p->task[slot]);
}

static void
on_init(struct self *c, struct ipc_msg *m)
{
	struct pgctl *p = c->state;

	if (m->type != IPC_POD_STATE)
		return;
	p->state = m->pod_state;
	work_begin(p);
}

/* A complete spec takes the place of the last one, at a moment when no work refers to that. */
static void
take_spec(struct pgctl *p)
{
	struct spec *old = p->spec;

	p->spec = p->incoming;
	p->incoming = NULL;
	p->checked_spec = NULL;
	spec_free(old);
	work_begin(p);
}

static void
on_peer(struct self *c, struct ipc_msg *m)
{
	struct pgctl *p = c->state;

	switch ((int)m->type) {
	case IPC_SPEC:
		spec_free(p->incoming);
		p->incoming = spec_new(&m->spec);
		break;
	case IPC_BOOTSTRAP:
		p->bootstrap_wanted = true;
		apply_begin(p);
		break;
	case IPC_CHECKPOINT:
		apply_checkpoint(p);
		break;
	case IPC_FOLLOW:
		ask_begin(p, &m->follow);
		break;
	case IPC_TASK:
	case IPC_TASK_NAME:
	case IPC_TASK_SCRIPT:
	case IPC_TASK_END:
	case IPC_TASK_CANCEL:
		if (!task_take(p, m))
			child_breach(c, "a part of a task without its beginning, or too many");
		break;
	default:
		if (p->incoming == NULL || !spec_add(p->incoming, m)) {
			child_breach(c, "a part of a spec without its beginning");
			return;
		}
		if (p->incoming->complete)
			take_spec(p);
	}
}

/* A new agent knows nothing, and may not have got what was under way. */
static void
on_edge(struct self *c)
{
	struct pgctl *p = c->state;

	spec_free(p->incoming);
	p->incoming = NULL;
	p->disk_said = false;
	p->password_said = false;
	p->checked_due = p->checked_spec != NULL && p->checked_spec == p->spec;
	p->done_due = false;
	p->checkpointed_due = p->followed_due = false;
	for (unsigned slot = 0; slot < TASKS_MAX; slot++)
		task_edge_new(p->task[slot]);
	pgctl_flush(p);
}

static void
on_writable(struct self *c)
{
	pgctl_flush(c->state);
}

/* A Secret that was restored, a file that is readable now: nobody tells us of those. */
static void
on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct pgctl *p = w->data;

	(void)loop;
	(void)revents;
	if (p->disk_known &&
	    (work_blocked(p) || p->write_failed || (p->spec != NULL && p->checked_spec != p->spec)))
		work_begin(p);
}

static void
on_space_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct pgctl *p = w->data;
	uint8_t before = p->disk.space;

	(void)loop;
	(void)revents;
	if (!p->disk_known || !p->state.locked)
		return;
	aside_find_kept(PGDATA_MOUNT, p->disk.kept); /* somebody may have deleted it */
	send_disk(p);
	work_look_space(p);
	if (p->disk.space != before)
		pgctl_flush(p);
}

int
pgctl_main(void)
{
	static const struct child_ops ops = {
	    ROLE_PGCTL, ROLE_AGENT, on_init, on_peer, on_edge, on_writable};
	static struct pgctl p;
	static ev_timer timer, space_timer;

	p.cluster = child_env("BESTGRES_CLUSTER", CHARS_DNS1035, NAME_MAX_CLUSTER);
	p.namespace = child_env("POD_NAMESPACE", CHARS_DNS1123, NAME_MAX_LABEL);
	p.pod = child_env("POD_NAME", CHARS_DNS1123, NAME_MAX_LABEL);
	p.pod_ip = child_env("POD_IP", CHARS_PRINT, 45);
	p.path = child_env("PATH", CHARS_PRINT, 4096);
	p.wal = wal_mount();
	(void)signal(SIGPIPE, SIG_IGN);
	if ((p.self.loop = ev_default_loop(EVFLAG_AUTO)) == NULL)
		die("no event loop");
	for (uint8_t slot = 0; slot < TASKS_MAX; slot++)
		p.task[slot] = task_new(&p, slot);
	ev_timer_init(&timer, on_timer, TROUBLE_S, TROUBLE_S);
	timer.data = &p;
	ev_timer_start(p.self.loop, &timer);
	ev_timer_init(&space_timer, on_space_timer, SPACE_S, SPACE_S);
	space_timer.data = &p;
	ev_timer_start(p.self.loop, &space_timer);
	child_start(&p.self, &ops, 0, &p);
	ev_run(p.self.loop, 0);
	die("the loop ended");
}
