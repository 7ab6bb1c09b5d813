/*
 * The fence's state machine: Patroni's watchdog protocol in, deadline and actions out. Pure;
 * watchdog.c reads the FIFO and does what fence_next says. The protocol is that of Patroni's
 * `testing` driver (patroni/watchdog/linux.py): "Ctimeout=N\n" after the device was opened and when
 * the timeout changes, "1" after each renewal of the leader's lock, "V" before it is closed.
 */
#include "instance/instance.h"

#define TIMEOUT_MAX_S 3600
#define QUIT_MS 1000 /* from SIGQUIT to SIGKILL */
#define EXIT_MS 2000 /* from SIGQUIT to the end, come what may */

void
fence_init(struct fence *f, struct msec now)
{
	memset(f, 0, sizeof(*f));
	f->looked = now;
}

static void
arm(struct fence *f, struct msec since)
{
	f->armed = true;
	f->by_self = false;
	f->deadline.v = since.v + (int64_t)f->timeout_s * 1000;
}

static void
end_command(struct fence *f, struct msec since)
{
	struct str command = {f->command, f->command_len};
	uint64_t seconds;

	f->in_command = false;
	if (!str_starts(command, "timeout=") ||
	    str_to_u64((struct str){command.p + 8, command.len - 8}, &seconds) == -1 ||
	    seconds < 1 || seconds > TIMEOUT_MAX_S) {
		f->garbage++; /* renews nothing: the safe reading of what we do not understand */
		return;
	}
	f->timeout_s = (uint16_t)seconds;
	arm(f, since);
}

static void
command_byte(struct fence *f, char c, struct msec since)
{
	if (c == '\n') {
		end_command(f, since);
	} else if (c == 'C') {
		f->command_len = 0; /* a new one: whoever wrote the first died over it */
		f->garbage++;
	} else if (f->command_len == sizeof(f->command)) {
		f->in_command = false;
		f->garbage++;
	} else {
		f->command[f->command_len++] = c;
	}
}

static void
plain_byte(struct fence *f, char c, struct msec since)
{
	switch (c) {
	case 'C':
		f->in_command = true;
		f->command_len = 0;
		break;
	case 'V':
		f->armed = false;
		f->by_self = false;
		break;
	default:
		f->feeds++;
		if (f->timeout_s > 0)
			arm(f, since);
		break;
	}
}

void
fence_feed(struct fence *f, const char *p, size_t n, struct msec now)
{
	struct msec since = f->armed ? f->looked : now; /* nobody looks while it is off */

	if (f->phase != FENCE_WATCHING || (f->armed && now.v >= f->deadline.v))
		return; /* too late: whoever took the lock meanwhile is right */
	f->looked = now;
	for (size_t i = 0; i < n; i++) {
		if (f->in_command)
			command_byte(f, p[i], since);
		else
			plain_byte(f, p[i], since);
	}
}

void
fence_arm_self(struct fence *f, uint16_t timeout_s, struct msec now)
{
	if (f->armed || timeout_s == 0)
		return;
	f->armed = true;
	f->by_self = true;
	f->deadline.v = now.v + (int64_t)timeout_s * 1000;
}

void
fence_disarm_self(struct fence *f)
{
	if (f->armed && f->by_self && f->phase == FENCE_WATCHING)
		f->armed = f->by_self = false;
}

enum fence_act
fence_next(struct fence *f, bool alive, struct msec now)
{
	switch (f->phase) {
	case FENCE_WATCHING:
		if (!f->armed || now.v < f->deadline.v) {
			f->looked =
			    now; /* the FIFO was empty at this moment, or was read just before */
			return FENCE_NOTHING;
		}
		f->phase = FENCE_QUITTING;
		f->fired = now;
		return FENCE_QUIT;
	case FENCE_QUITTING:
		if (!alive)
			return FENCE_EXIT;
		if (now.v - f->fired.v < QUIT_MS)
			return FENCE_NOTHING;
		f->phase = FENCE_KILLING;
		return FENCE_KILL;
	case FENCE_KILLING:
	default:
		if (alive && now.v - f->fired.v < EXIT_MS)
			return FENCE_NOTHING;
		return FENCE_EXIT;
	}
}
