/*
 * The fence's hands: the FIFO that Patroni takes for a watchdog device, and the signals that
 * fence.c decides on. Whatever this file does not manage to kill ends with PID 1. SIGCONT is never
 * sent: a frozen Patroni that wakes up would find an old lock.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "instance/init.h"

/* How often this pod was fenced; the file outlives the container that was. */
static uint32_t
fences_read(void)
{
	char text[16];
	uint64_t n;
	int fd = open(FENCES_PATH, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd == -1 ? 0 : read(fd, text, sizeof(text));

	fd_close(&fd);
	if (len <= 0 || str_to_u64((struct str){text, (size_t)len}, &n) == -1 || n > UINT32_MAX)
		return 0;
	return (uint32_t)n;
}

static void
fences_write(uint32_t n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", n);
	int fd = open(FENCES_PATH, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd == -1 || fd_write_all(fd, text, (size_t)len) == -1)
		log_warn("fence_count", NULL, "write %s: %s", FENCES_PATH, strerror(errno));
	fd_close(&fd);
}

static void
on_fifo(struct ev_loop *loop, ev_io *w, int revents)
{
	struct init *i = w->data;

	(void)loop;
	(void)revents;
	watchdog_look(i);
	init_tick_needed(i);
}

void
watchdog_setup(struct init *i)
{
	i->fences = fences_read();
	fence_init(&i->fence, clock_boot());
	if (unlink(WATCHDOG_PATH) == -1 && errno != ENOENT)
		init_end(EXIT_CONFIG, "remove %s: %s", WATCHDOG_PATH, strerror(errno));
	if (mkfifo(WATCHDOG_PATH, 0600) == -1)
		init_end(EXIT_CONFIG, "mkfifo %s: %s", WATCHDOG_PATH, strerror(errno));
	/* O_RDWR: never end of file, and Patroni's open never waits */
	if ((i->fifo_fd = open(WATCHDOG_PATH, O_RDWR | O_NONBLOCK | O_CLOEXEC)) == -1)
		init_end(EXIT_CONFIG, "open %s: %s", WATCHDOG_PATH, strerror(errno));
	ev_io_init(&i->fifo, on_fifo, i->fifo_fd, EV_READ);
	i->fifo.data = i;
	ev_io_start(i->loop, &i->fifo);
}

static void
fire(struct init *i)
{
	pid_t postmaster;

	if (i->keeper.pid != 0)
		(void)kill(i->keeper.pid, SIGKILL);
	postmaster = procs_postmaster(PGDATA_DIR, getpid());
	if (postmaster != 0)
		(void)kill(postmaster, SIGQUIT);
	log_error("fence", NULL,
	    "Patroni did not renew its lock within %u s (%s): it was killed and PostgreSQL (pid "
	    "%d) is stopped at once",
	    (unsigned)i->fence.timeout_s, i->fence.by_self ? "it was gone" : "it was silent",
	    (int)postmaster);
	fences_write(++i->fences);
}

static void
act(struct init *i, enum fence_act what)
{
	switch (what) {
	case FENCE_QUIT:
		fire(i);
		break;
	case FENCE_KILL:
		log_error("fence", NULL, "SIGKILL to %u processes", init_kill_all(i, SIGKILL));
		break;
	case FENCE_EXIT:
		init_end(EXIT_FENCED,
		    "fenced: Patroni did not renew its lock in time, so PostgreSQL was stopped");
	case FENCE_NOTHING:
		break;
	}
}

/* The clock is read before the FIFO: what the next look finds was written after this moment. */
void
watchdog_look(struct init *i)
{
	struct msec now = clock_boot();
	bool was = i->fence.armed, alive;
	static char bytes[65536]; /* all that a pipe holds */
	ssize_t n = read(i->fifo_fd, bytes, sizeof(bytes));

	fence_feed(&i->fence, bytes, n > 0 ? (size_t)n : 0, now);
	alive = i->fence.phase == FENCE_WATCHING || init_kill_all(i, 0) > 0;
	act(i, fence_next(&i->fence, alive, now));
	if (was != i->fence.armed)
		log_info("fence", NULL, "%s, timeout %u s", i->fence.armed ? "armed" : "off",
		    (unsigned)i->fence.timeout_s);
}

/*
 * Patroni is gone and had the fence off: a replica, or a paused primary whose lock nobody renews
 * now. For the latter the time runs from here; a standby.signal says that PostgreSQL is no primary.
 */
void
watchdog_patroni_gone(struct init *i)
{
	uint16_t timeout = i->fence.timeout_s;
	bool was;

	watchdog_look(i); /* what it wrote last */
	was = i->fence.armed;
	if (timeout == 0 && i->config.ttl > SAFETY_MARGIN_S(i->config.retry_timeout))
		timeout = (uint16_t)(i->config.ttl - SAFETY_MARGIN_S(i->config.retry_timeout));
	if (procs_postmaster(PGDATA_DIR, getpid()) == 0 ||
	    access(PGDATA_DIR "/standby.signal", F_OK) == 0)
		return;
	fence_arm_self(&i->fence, timeout, clock_boot());
	if (!was && i->fence.armed)
		log_warn("fence", NULL, "armed without Patroni, which had it off: %u s to be back",
		    timeout);
	init_tick_needed(i);
}
