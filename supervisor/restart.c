/*
 * What becomes of a worker, as one table: the state it is in and what happened to it give its next
 * state and what the supervisor does. Everything here is pure: time and chance come in as
 * parameters, processes are someone else's (supervise.c).
 *
 * A life that was productive (it said WORKED) restarts at once. One that was not waits 10 ms, 20,
 * 40 ... up to 5 s. A worker with more than DEATHS_DEGRADED unproductive deaths within a minute, or
 * in a row, is degraded: it goes on at 5 s, the others go on as ever, and the reconciler is told,
 * which says so in a condition. A productive life ends that.
 */
#include "supervisor/supervisor.h"

#include <signal.h>

#define STOP_MARGIN_MS 1000 /* a worker ends by itself after STOP_MS; then it gets SIGKILL */

struct rule {
	enum life_state next;
	enum life_action action;
};

/* clang-format off */
static const struct rule rules[LIFE_STATES][LIFE_EVENTS] = {
	[LIFE_DOWN] = {
		[EVENT_TIMEOUT] = {LIFE_STARTING, ACT_SPAWN},
		[EVENT_BREACH]  = {LIFE_DOWN,     ACT_NONE},    /* said of the life before */
		[EVENT_STOP]    = {LIFE_ENDED,    ACT_NONE},
	},
	[LIFE_STARTING] = {
		[EVENT_READY]   = {LIFE_UP,       ACT_WELCOME},
		[EVENT_DIED]    = {LIFE_DOWN,     ACT_RESTART},
		[EVENT_UNFIT]   = {LIFE_ENDED,    ACT_GIVE_UP},
		[EVENT_TIMEOUT] = {LIFE_DOOMED,   ACT_KILL},
		[EVENT_BREACH]  = {LIFE_DOOMED,   ACT_KILL},
		[EVENT_STOP]    = {LIFE_ENDING,   ACT_TERM},
	},
	[LIFE_UP] = {
		[EVENT_WORKED]  = {LIFE_UP,       ACT_NONE},
		[EVENT_DIED]    = {LIFE_DOWN,     ACT_RESTART},
		[EVENT_HUNG]    = {LIFE_DOOMED,   ACT_KILL},
		[EVENT_BREACH]  = {LIFE_DOOMED,   ACT_KILL},
		[EVENT_STOP]    = {LIFE_ENDING,   ACT_TERM},
	},
	[LIFE_DOOMED] = {
		[EVENT_DIED]    = {LIFE_DOWN,     ACT_RESTART},
		[EVENT_BREACH]  = {LIFE_DOOMED,   ACT_NONE},    /* a peer saw it too */
		[EVENT_STOP]    = {LIFE_ENDING,   ACT_KILL},
	},
	[LIFE_ENDING] = {
		[EVENT_READY]   = {LIFE_ENDING,   ACT_NONE},    /* it crossed our SIGTERM */
		[EVENT_WORKED]  = {LIFE_ENDING,   ACT_NONE},
		[EVENT_DIED]    = {LIFE_ENDED,    ACT_NONE},
		[EVENT_TIMEOUT] = {LIFE_ENDING,   ACT_KILL},
		[EVENT_BREACH]  = {LIFE_ENDING,   ACT_KILL},
		[EVENT_STOP]    = {LIFE_ENDING,   ACT_NONE},    /* a second SIGTERM to us */
	},
	[LIFE_ENDED] = {
		[EVENT_BREACH]  = {LIFE_ENDED,    ACT_NONE},
		[EVENT_STOP]    = {LIFE_ENDED,    ACT_NONE},
	},
};

static const char *const state_names[LIFE_STATES] = {
	[LIFE_NONE] = "none",
	[LIFE_DOWN] = "down",
	[LIFE_STARTING] = "starting",
	[LIFE_UP] = "up",
	[LIFE_DOOMED] = "doomed",
	[LIFE_ENDING] = "ending",
	[LIFE_ENDED] = "ended",
};
/* clang-format on */

const char *
supervisor_life_name(enum life_state s)
{
	return (unsigned)s < LIFE_STATES ? state_names[s] : "?";
}

void
supervisor_life_init(struct life *l)
{
	*l = (struct life){.state = LIFE_DOWN};
}

/* One more unproductive death: were there too many within a minute, or in a row? */
static bool
is_degraded(struct life *l, struct msec now)
{
	struct msec *slot = &l->deaths[l->deaths_n % DEATHS_DEGRADED];
	bool crowded = l->deaths_n >= DEATHS_DEGRADED && now.v - slot->v <= DEATHS_WINDOW_MS;

	*slot = now;
	l->deaths_n++;
	return crowded || l->streak > DEATHS_DEGRADED;
}

/* 10 ms, doubled with each unproductive death in a row, up to 5 s; 20 % more or less, so that
 * workers do not march in step. */
static int64_t
backoff_ms(const struct life *l, uint32_t random)
{
	int64_t ms = BACKOFF_FIRST_MS;

	for (unsigned k = 1; k < l->streak && ms < BACKOFF_MAX_MS; k++)
		ms *= 2;
	if (ms > BACKOFF_MAX_MS || l->degraded)
		ms = BACKOFF_MAX_MS;
	return ms * (80 + (int64_t)(random % 41)) / 100;
}

static int64_t
after_death(struct life *l, struct msec now, uint32_t random)
{
	bool productive = l->worked;

	l->worked = false;
	l->unanswered = 0;
	if (productive)
		return 0;
	l->streak++;
	l->degraded = is_degraded(l, now) || l->degraded;
	return backoff_ms(l, random);
}

static void
after_work(struct life *l)
{
	l->worked = true;
	l->degraded = false;
	l->streak = 0;
}

struct life_step
supervisor_life_step(struct life *l, enum life_event ev, struct msec now, uint32_t random)
{
	const struct rule *r = &rules[l->state][ev];
	struct life_step step = {r->action, -1};

	if (r->next == LIFE_NONE)
		die("event %d can not be in state %s", (int)ev, supervisor_life_name(l->state));
	if (r->action == ACT_SPAWN)
		step.timer_ms = READY_MS;
	else if (r->action == ACT_RESTART)
		step.timer_ms = after_death(l, now, random);
	else if (r->next == LIFE_ENDING && (l->state != LIFE_ENDING || ev == EVENT_TIMEOUT))
		step.timer_ms = STOP_MS + STOP_MARGIN_MS;
	if (ev == EVENT_WORKED)
		after_work(l);
	l->state = r->next;
	return step;
}

enum ping
supervisor_life_ping(struct life *l, bool on_time)
{
	if (l->state != LIFE_UP)
		return PING_NONE;
	if (!on_time)
		l->unanswered = 0;
	if (l->unanswered >= PINGS_LOST)
		return PING_HUNG;
	l->unanswered++;
	return PING_SEND;
}

/*
 * Only before READY: then it has read nothing from outside yet, so it speaks for its build and its
 * surroundings. Later the code may be the last word of a worker that was taken over, which must not
 * end the operator.
 */
enum life_event
supervisor_death_event(const struct life *l, const struct death *d)
{
	bool unfit = d->signal == 0 && (d->code == EXIT_CONFIG || d->code == EXIT_SANDBOX);

	return unfit && l->state == LIFE_STARTING ? EVENT_UNFIT : EVENT_DIED;
}

static const struct {
	int signal;
	const char *name;
	bool own_fault;
} signals[] = {
    {SIGSEGV, "SEGV", true},
    {SIGBUS, "BUS", true},
    {SIGILL, "ILL", true},
    {SIGFPE, "FPE", true},
    {SIGABRT, "ABRT", true},
    {SIGSYS, "SYS", true},
    {SIGTRAP, "TRAP", true},
    {SIGKILL, "KILL", false},
    {SIGTERM, "TERM", false},
    {SIGXCPU, "XCPU", false},
};

bool
supervisor_death_own_fault(const struct death *d)
{
	if (d->hung)
		return true;
	if (d->signal == 0)
		return d->code == EXIT_BUG;
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if (signals[i].signal == d->signal)
			return signals[i].own_fault;
	return false;
}

void
supervisor_death_text(char out[48], const struct death *d)
{
	const char *name = "";

	if (d->signal == 0) {
		snprintf(out, 48, "exit %d", d->code);
		return;
	}
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if (signals[i].signal == d->signal)
			name = signals[i].name;
	snprintf(out, 48, "signal %d %s%s", d->signal, name, d->hung ? " (hung)" : "");
}
