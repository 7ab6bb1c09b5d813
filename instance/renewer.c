/*
 * A replica's data directory gives way to a clone of the leader's, as the agent asks after the
 * operator (BGInstance.spec.operation, kind Reinit). What an earlier one left is removed before
 * anything is stopped. Then Patroni is killed, so that this instance can not come to lead any more,
 * then PostgreSQL, then PGDATA gets another name (aside.c), then Patroni starts on an empty one and
 * clones.
 *
 * It must never be the only data, or a primary's. That another instance leads the agent has seen a
 * moment ago, and what has not been done within a minute is refused; here nothing is touched while
 * the fence is armed, which it is on every leader, or while PostgreSQL runs and is no standby. What
 * is no standby's directory is kept, whatever was asked. Which renewal was done last stands in a
 * file as old as the pod: asked again by another agent, or of another container, it is not done
 * again. Killed anywhere before the new name all is as it was; after it, PGDATA is empty, and
 * whoever asks again finds that.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "instance/init.h"

#define AGAIN_MS 10000   /* after a removal that failed */
#define OVERDUE_MS 60000 /* then what the agent saw of the leader proves nothing any more */

static void
read_done(struct renew *r)
{
	char text[UID_TEXT_SIZE];
	int fd = open(RENEWED_PATH, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd == -1 ? 0 : read(fd, text, sizeof(text) - 1);

	fd_close(&fd);
	if (n <= 0 || uid_parse((struct str){text, (size_t)n}, &r->done) == -1)
		r->done = (struct uid){0};
}

/* In one go: a file that is half there would have it done again. */
static int
write_done(const struct uid *id, struct err *e)
{
	static const char temp[] = RENEWED_PATH ".new";
	char text[UID_TEXT_SIZE];
	int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	uid_format(text, id);
	if (fd == -1 || fd_write_all(fd, text, strlen(text)) == -1 || fsync(fd) == -1 ||
	    rename(temp, RENEWED_PATH) == -1) {
		(void)err_set(e, ERR_RETRY, "write %s: %s", RENEWED_PATH, strerror(errno));
		fd_close(&fd);
		return -1;
	}
	fd_close(&fd);
	return 0;
}

void
renewer_setup(struct init *i)
{
	read_done(&i->renew);
	/* a container before this one was ended while they were being removed */
	i->renew.holds = fresh_is_empty(PGDATA_DIR) && aside_has_tablespaces(PGDATA_MOUNT);
}

bool
renewer_is_busy(const struct init *i)
{
	return !uid_none(&i->renew.wanted.id) || i->renew.holds;
}

/* An agent that is not there asks again. */
static void
answer(struct init *i, const struct uid *id, bool done, const char *text)
{
	struct ipc_msg m = {.type = IPC_RENEW_DONE, .fds = {-1, -1}};

	m.renew_done.id = *id;
	m.renew_done.done = done;
	str_copy_text(m.renew_done.text, sizeof(m.renew_done.text), str_of(text));
	log_line(done ? LOG_INFO : LOG_WARN, "renew", NULL, "%s: %s", done ? "done" : "refused",
	    m.renew_done.text);
	(void)spawn_tell(&i->helper[HELPER_AGENT], &m);
}

/* --- The removal: a process of its own, since PID 1 may not wait for it. */

static void
start_remover(struct init *i)
{
	struct err e = {0};
	pid_t pid;

	if (aside_finish(PGDATA_MOUNT, i->wal, &e) == -1) {
		log_warn("renew", NULL, "%s", e.text);
		i->renew.again.v = clock_boot().v + AGAIN_MS;
		return;
	}
	pid = fork();
	if (pid == 0) {
		spawn_reset_signals();
		if (aside_remove(PGDATA_MOUNT, i->wal, &e) == -1) {
			log_warn("renew", NULL, "%s", e.text);
			_exit(1);
		}
		_exit(0);
	}
	if (pid == -1) {
		log_error("renew", NULL, "fork: %s", strerror(errno));
		i->renew.again.v = clock_boot().v + AGAIN_MS;
		return;
	}
	i->renew.remover = pid;
}

/*
 * Where there is room for both, the old directory stays until PostgreSQL runs from the new one:
 * were the leader lost meanwhile, it would be the last one.
 */
static void
sweep(struct init *i)
{
	if (i->renew.remover != 0 || !i->locked || clock_boot().v < i->renew.again.v)
		return;
	if (!aside_is_left(PGDATA_MOUNT)) {
		if (i->renew.holds) {
			i->renew.holds = false;
			init_changed(i);
		}
		return;
	}
	if (i->renew.holds || i->accepts || aside_is_in_the_way(PGDATA_MOUNT) ||
	    (i->wal != NULL && aside_is_in_the_way(i->wal)))
		start_remover(i);
}

void
renewer_ended(struct init *i, pid_t pid, int status)
{
	if (pid != i->renew.remover)
		return;
	i->renew.remover = 0;
	if (status != 0)
		i->renew.again.v = clock_boot().v + AGAIN_MS;
	/* Patroni may find room all the same, but no clone is made into a tablespace's remains. */
	i->renew.holds = i->renew.holds && status != 0 && aside_has_tablespaces(PGDATA_MOUNT);
	init_changed(i);
}

/* --- The renewal. */

/* Patroni goes on as it was. */
static void
refuse(struct init *i, const char *text)
{
	struct uid id = i->renew.wanted.id;

	i->renew.wanted = (struct msg_renew){0};
	if (i->keeper.pid == 0 && i->stop.phase == STOP_OFF)
		watchdog_patroni_gone(i);
	answer(i, &id, false, text);
	init_changed(i);
}

/*
 * What was never started holds no row. What followed may, if it was the primary once: rows that
 * nobody else got. They are dropped, as pg_rewind would.
 */
static bool
is_to_be_kept(const struct init *i)
{
	if (fresh_look(PGDATA_MOUNT, i->wal) == FRESH_UNFINISHED)
		return false;
	return i->renew.wanted.keep || !aside_is_standby(PGDATA_MOUNT);
}

/* What the file was told before it was so. */
static void
take_back(const struct init *i)
{
	struct err e;

	if (write_done(&i->renew.done, &e) == -1)
		log_error("renew", NULL, "%s", e.text);
}

static void
end(struct init *i, const char *text)
{
	struct uid id = i->renew.wanted.id;

	i->renew.done = id;
	i->renew.wanted = (struct msg_renew){0};
	i->keeper.backoff.deaths = 0;
	ev_timer_stop(i->loop, &i->keeper.again);
	answer(i, &id, true, text);
	init_changed(i);
}

/* The data directory gets another name; name is ASIDE_UNFIT, or where it is kept filled in. */
static int
move(struct init *i, bool keep, char name[ASIDE_NAME_SIZE], struct err *e)
{
	if (keep &&
	    aside_name(PGDATA_MOUNT, i->wal, i->renew.wanted.system_identifier, name, e) == -1)
		return -1;
	/* Noted before: killed after the move and not noted, the clone would be moved as well. */
	if (write_done(&i->renew.wanted.id, e) == -1)
		return -1;
	if (aside_move(PGDATA_MOUNT, "data", name, e) == 0 &&
	    aside_finish(PGDATA_MOUNT, i->wal, e) == 0)
		return 0;
	take_back(i);
	return -1;
}

/*
 * Nothing runs any more. Where it has tablespaces in the volume, these hold the clone up: it
 * refuses a place that is not empty.
 */
static void
put_aside(struct init *i)
{
	char name[ASIDE_NAME_SIZE] = ASIDE_UNFIT, text[IPC_TEXT_MAX + 1];
	bool keep = is_to_be_kept(i);
	struct err e;

	if (fresh_is_empty(PGDATA_DIR)) {
		if (aside_finish(PGDATA_MOUNT, i->wal, &e) == -1 ||
		    write_done(&i->renew.wanted.id, &e) == -1)
			refuse(i, e.text);
		else
			end(i, "the data directory is empty");
		return;
	}
	if (move(i, keep, name, &e) == -1) {
		refuse(i, e.text);
		return;
	}
	i->renew.holds =
	    !keep && (aside_has_tablespaces(PGDATA_MOUNT) || !aside_fits_twice(PGDATA_MOUNT) ||
			 (i->wal != NULL && !aside_fits_twice(i->wal)));
	if (i->renew.holds)
		start_remover(i);
	(void)snprintf(text, sizeof(text), "the data directory is %s " PGDATA_MOUNT "/%s now",
	    keep ? "kept as" : "no longer of use, and", name);
	end(i, text);
}

static struct renew_seen
look_around(struct init *i, pid_t postmaster)
{
	watchdog_look(i); /* it may have come to lead just now */
	return (struct renew_seen){.stopping = i->stop.phase != STOP_OFF || !i->locked ||
	                                       i->rest_wanted != CHOICE_stop_NONE ||
	                                       i->fence.phase != FENCE_WATCHING,
	    .armed = i->fence.armed,
	    .patroni = i->keeper.pid != 0,
	    .postmaster = postmaster != 0,
	    .standby = aside_is_standby(PGDATA_MOUNT),
	    .left = aside_is_left(PGDATA_MOUNT),
	    .removing = i->renew.remover != 0 || clock_boot().v < i->renew.again.v,
	    .quit_at = i->renew.quit_at};
}

/* As far as is possible now; the next tick or death goes on. */
static void
go_on(struct init *i)
{
	pid_t postmaster;
	struct renew_seen seen;

	if (clock_boot().v > i->renew.told.v + OVERDUE_MS) {
		refuse(i, "it took too long: ask again, with a fresh proof");
		return;
	}
	postmaster = procs_postmaster(PGDATA_DIR, getpid());
	seen = look_around(i, postmaster);
	switch (renew_next(&seen, clock_boot())) {
	case RENEW_STOPPING:
		refuse(i, "this instance is being stopped");
		break;
	case RENEW_LEADS:
		refuse(i, "this instance leads: hand its leadership on first");
		break;
	case RENEW_KILL_PATRONI:
		(void)kill(i->keeper.pid, SIGKILL);
		break;
	case RENEW_QUIT:
		(void)kill(postmaster, SIGQUIT);
		i->renew.quit_at = clock_boot();
		break;
	case RENEW_KILL:
		(void)init_kill_all(i, SIGKILL);
		break;
	case RENEW_REMOVE:
		start_remover(i);
		break;
	case RENEW_MOVE:
		/* what Patroni had begun, a base backup or pg_rewind, goes first */
		if (init_kill_orphans(i) == 0)
			put_aside(i);
		break;
	case RENEW_WAIT:
		break;
	}
}

void
renewer_look(struct init *i)
{
	if (uid_none(&i->renew.wanted.id))
		sweep(i);
	else
		go_on(i);
}

void
renewer_wanted(struct init *i, const struct msg_renew *m)
{
	if (uid_none(&m->id) || uid_eq(&m->id, &i->renew.wanted.id))
		return;
	if (uid_eq(&m->id, &i->renew.done)) {
		answer(i, &m->id, true, "done before");
		return;
	}
	i->renew.wanted = *m;
	i->renew.told = clock_boot();
	i->renew.quit_at.v = 0;
	renewer_look(i);
	init_tick_needed(i);
}
