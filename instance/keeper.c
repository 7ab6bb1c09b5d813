/*
 * Patroni: started when the lock is ours, the operator released the instance and the configuration
 * is written; started again whenever it ends by itself, or is killed here because it no longer
 * answers. PostgreSQL goes on meanwhile: a new Patroni adopts it.
 */
#include <errno.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "instance/init.h"

#define PRODUCTIVE_MS 30000 /* a life this long starts the back-off anew */
#define DEAF_MS 2500        /* a poll's answer this soon after the start may be the last life's */
#define ENV_MAX 1024
#define WAL_AGAIN_S 5.   /* between two looks at volumes that do not go together */
#define LEFT_AGAIN_S .05 /* and at processes that were killed */

extern char **environ;

static void
on_again(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	init_changed(w->data);
}

void
keeper_setup(struct init *i)
{
	ev_timer_init(&i->keeper.again, on_again, 0., 0.);
	i->keeper.again.data = i;
}

/* The container's environment without our own variables. */
static char **
environment(void)
{
	static char *kept[ENV_MAX + 2];
	static char home[] = "HOME=/tmp";
	unsigned n = 0;

	if (getenv("HOME") == NULL)
		kept[n++] = home;
	for (char **v = environ; *v != NULL && n < ENV_MAX; v++)
		if (strncmp(*v, "BESTGRES_", 9) != 0)
			kept[n++] = *v;
	kept[n] = NULL;
	return kept;
}

_Noreturn static void
become_patroni(struct init *i, char **env)
{
	static char config[] = CONFIG_PATH;
	char *argv[] = {i->config.patroni, config, NULL};

	spawn_reset_signals();
	(void)setsid();
	if (dup2(i->stdout_fd, 1) == -1 || dup2(i->stderr_fd, 2) == -1 || chdir("/tmp") == -1)
		_exit(126);
	(void)execve(i->config.patroni, argv, env);
	log_error("patroni", NULL, "exec %s: %s", i->config.patroni, strerror(errno));
	_exit(127);
}

/* The file that Patroni reads now: pgctl makes a new one for each change. */
static ino_t
config_inode(void)
{
	struct stat st;

	return stat(CONFIG_PATH, &st) == 0 ? st.st_ino : 0;
}

/*
 * What a former Patroni has begun would go on beside the next one, in the same directory. What
 * fills an empty one is killed; pg_rewind, after which the directory is of no use unless it ends by
 * itself, is waited for. Killed, a process that waits for its disk ends when that answers.
 */
static bool
is_anything_left(struct init *i, enum fresh look)
{
	bool fills = look == FRESH_EMPTY || look == FRESH_UNFINISHED;
	bool left = fills ? init_kill_orphans(i) > 0 : procs_rewinds(getpid());
	const char *text = "";

	if (left)
		text = fills
		           ? "what fills the data directory is killed, and nothing is started "
		             "before it has ended; if that stays, the volume hangs"
		           : "pg_rewind goes on without its Patroni: nothing is started beside it";
	if (left && i->keeper.waits[0] == '\0')
		log_warn("patroni", NULL, "%s", text);
	str_copy_text(i->keeper.waits, sizeof(i->keeper.waits), str_of(text));
	return left;
}

/*
 * What a killed initdb or base backup left behind goes before anybody looks at it; what is left of
 * their processes first, since they remove what they began.
 */
bool
keeper_prepare(struct init *i)
{
	struct err e = {0};

	i->fresh = false;
	if (is_anything_left(i, fresh_look(PGDATA_MOUNT, i->wal)))
		return false;
	if (aside_finish(PGDATA_MOUNT, i->wal, &e) == -1)
		log_warn("renew", NULL, "%s", e.text);
	switch (fresh_look(PGDATA_MOUNT, i->wal)) {
	case FRESH_UNFINISHED:
		if (fresh_discard(PGDATA_MOUNT, i->wal, &e) == -1) {
			log_error("fresh", NULL, "%s", e.text);
			break;
		}
		log_warn("fresh", NULL,
		    "the data directory was never finished and never started: put aside");
		/* FALLTHROUGH */
	case FRESH_EMPTY:
		i->fresh = fresh_mark(PGDATA_MOUNT, i->wal, &e) == 0;
		if (!i->fresh)
			log_warn("fresh", NULL, "%s", e.text);
		break;
	case FRESH_RAN:
	case FRESH_UNKNOWN:
		break;
	}
	return true;
}

/*
 * Without its WAL PostgreSQL can not start, and WAL without its PGDATA may be all that is left of
 * somebody's rows: Patroni is kept away from both until a human has said what to do (pgctl
 * reports it).
 */
static bool
are_together(struct init *i)
{
	char text[IPC_TEXT_MAX + 1] = "";

	if (wal_look(PGDATA_MOUNT, i->wal, text) < WAL_MISSING)
		text[0] = '\0';
	if (text[0] != '\0' && strcmp(text, i->wal_text) != 0)
		log_error("wal", NULL, "%s", text);
	str_copy_text(i->wal_text, sizeof(i->wal_text), str_of(text));
	return text[0] == '\0';
}

static bool
may_start(const struct init *i)
{
	return i->locked && i->configured && (i->released || i->keeper.ran) && i->keeper.pid == 0 &&
	       i->owned_variable[0] == '\0' && i->stop.phase == STOP_OFF &&
	       i->rest_wanted == CHOICE_stop_NONE && i->fence.phase == FENCE_WATCHING &&
	       !renewer_is_busy(i) && !ev_is_active(&i->keeper.again);
}

/*
 * fsGroup makes the kubelet open PGDATA's mode, after which PostgreSQL refuses it: set right before
 * every start. O_NOFOLLOW is not needed, the volume is ours alone by the lock.
 */
void
keeper_try_start(struct init *i)
{
	char **env;
	ino_t config;
	bool prepared;
	pid_t pid;

	if (!may_start(i))
		return;
	prepared = keeper_prepare(i);
	if (!prepared || !are_together(i)) {
		ev_timer_set(&i->keeper.again, prepared ? WAL_AGAIN_S : LEFT_AGAIN_S, 0.);
		ev_timer_start(i->loop, &i->keeper.again);
		return;
	}
	if (chmod(PGDATA_DIR, 0700) == -1 && errno != ENOENT)
		log_warn("patroni", NULL, "chmod %s: %s", PGDATA_DIR, strerror(errno));
	watchdog_look(i); /* what it will write is newer than this look */
	env = environment();
	config = config_inode(); /* before the start: a later file is another one */
	if ((pid = fork()) == -1) {
		log_error("patroni", NULL, "fork: %s", strerror(errno));
		ev_timer_set(&i->keeper.again, 1., 0.);
		ev_timer_start(i->loop, &i->keeper.again);
		return;
	}
	if (pid == 0)
		become_patroni(i, env);
	i->keeper.pid = pid;
	i->keeper.config = config;
	i->keeper.ran = true;
	i->keeper.started = clock_boot();
	silence_reset(&i->keeper.silence, i->keeper.started);
	log_info("patroni", NULL, "started %s, pid %d", i->config.patroni, (int)pid);
}

static void
describe(char out[IPC_TEXT_MAX + 1], int status)
{
	if (WIFSIGNALED(status))
		(void)snprintf(
		    out, IPC_TEXT_MAX + 1, "Patroni was ended by signal %d", WTERMSIG(status));
	else
		(void)snprintf(
		    out, IPC_TEXT_MAX + 1, "Patroni exited with status %d", WEXITSTATUS(status));
}

/* The first time at once: within the fence's timeout a new one keeps the leadership. */
void
keeper_ended(struct init *i, int status)
{
	struct keeper *k = &i->keeper;
	uint32_t random;
	int64_t ms;

	k->pid = 0;
	describe(k->ended, status);
	if (i->stop.phase != STOP_OFF || i->rest_wanted != CHOICE_stop_NONE ||
	    i->fence.phase != FENCE_WATCHING || renewer_is_busy(i)) {
		log_info("patroni", NULL, "%s", k->ended);
		if (i->stop.phase == STOP_OFF)
			init_changed(i);
		return;
	}
	k->exits++;
	watchdog_patroni_gone(i);
	(void)rand_bytes(&random, sizeof(random));
	if (clock_boot().v - k->started.v >= PRODUCTIVE_MS)
		k->backoff.deaths = 0;
	ms = backoff_next_ms(&k->backoff, k->backoff.deaths == 0, random);
	if (k->backoff.deaths == 0)
		k->backoff.deaths = 4; /* then 160 ms and more: Python takes that long to start */
	log_warn("patroni", NULL, "%s; starting it again in %lld ms", k->ended, (long long)ms);
	if (ms > 0) {
		ev_timer_set(&k->again, (double)ms / 1000., 0.);
		ev_timer_start(i->loop, &k->again);
	}
	init_changed(i);
}

static void
kill_clone(const struct clone *c)
{
	log_warn("clone", NULL,
	    "it has got nothing for so long that nothing will come: killed, for the %u. time of "
	    "%u, and Patroni begins anew",
	    c->kills, CLONE_KILLS_MAX);
	for (unsigned n = 0; n < 2; n++)
		if (c->seen.pids[n] != 0)
			(void)kill(c->seen.pids[n], SIGKILL);
}

/* As long as no server ever ran in PGDATA: there is nothing in it that could be lost. */
void
keeper_look(struct init *i)
{
	struct clone *c = &i->keeper.clone, before = *c;
	struct clone_seen seen;

	if (i->keeper.pid == 0 || !i->fresh || i->accepts || i->stop.phase != STOP_OFF) {
		*c = (struct clone){0};
	} else if (clock_boot().v >= c->looked.v + CLONE_LOOK_MS) {
		procs_clone(i->keeper.pid, &seen);
		if (clone_look(c, &seen, clock_boot()))
			kill_clone(c);
	}
	if (c->stalls && !before.stalls)
		log_warn("clone", NULL, "what fills the data directory does not get on");
	if (c->stalls != before.stalls || c->kills != before.kills)
		init_changed(i);
}

void
keeper_configured(struct init *i, const struct msg_config_written *m)
{
	ino_t inode = config_inode();

	if (m->patroni[0] != '/' || inode == 0)
		return;
	i->config = *m;
	i->configured = true;
	if (inode != i->keeper.config && i->keeper.pid != 0 && i->stop.phase == STOP_OFF) {
		log_info("patroni", NULL, "its configuration changed: reload");
		i->keeper.config = inode;
		(void)kill(i->keeper.pid, SIGHUP);
	}
	init_changed(i);
}

void
keeper_seen(struct init *i, const struct msg_patroni_seen *m)
{
	struct msec now = clock_boot();

	if (i->keeper.pid == 0 || i->stop.phase != STOP_OFF || i->rest.phase != STOP_OFF)
		return;
	if (m->answered) {
		if (i->fresh)
			i->fresh = fresh_look(PGDATA_MOUNT, i->wal) != FRESH_RAN;
		if (now.v - i->keeper.started.v < DEAF_MS)
			return;
		silence_heard(&i->keeper.silence, now);
		fence_disarm_self(&i->fence);
		return;
	}
	silence_missed(&i->keeper.silence);
	if (!silence_over(&i->keeper.silence, &i->fence, i->config.loop_wait, now))
		return;
	log_warn("patroni", NULL, "silent for %lld ms: killed, to be started again",
	    (long long)(now.v - i->keeper.silence.last.v));
	(void)kill(i->keeper.pid, SIGKILL);
	silence_reset(&i->keeper.silence, now);
}
