/* supervisor/restart.c: the whole table, state by state, and what the numbers of bounds.h promise.
 */
#include "supervisor/supervisor.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/tap.h"

#define NO_JITTER 20 /* 80 % + 20 % */

static const struct expect {
	enum life_state state;
	enum life_event event;
	enum life_state next;
	enum life_action action;
} table[] = {
    {LIFE_DOWN, EVENT_TIMEOUT, LIFE_STARTING, ACT_SPAWN},
    {LIFE_DOWN, EVENT_BREACH, LIFE_DOWN, ACT_NONE},
    {LIFE_DOWN, EVENT_STOP, LIFE_ENDED, ACT_NONE},
    {LIFE_STARTING, EVENT_TIMEOUT, LIFE_DOOMED, ACT_KILL},
    {LIFE_STARTING, EVENT_READY, LIFE_UP, ACT_WELCOME},
    {LIFE_STARTING, EVENT_DIED, LIFE_DOWN, ACT_RESTART},
    {LIFE_STARTING, EVENT_UNFIT, LIFE_ENDED, ACT_GIVE_UP},
    {LIFE_STARTING, EVENT_BREACH, LIFE_DOOMED, ACT_KILL},
    {LIFE_STARTING, EVENT_STOP, LIFE_ENDING, ACT_TERM},
    {LIFE_UP, EVENT_WORKED, LIFE_UP, ACT_NONE},
    {LIFE_UP, EVENT_DIED, LIFE_DOWN, ACT_RESTART},
    {LIFE_UP, EVENT_HUNG, LIFE_DOOMED, ACT_KILL},
    {LIFE_UP, EVENT_BREACH, LIFE_DOOMED, ACT_KILL},
    {LIFE_UP, EVENT_STOP, LIFE_ENDING, ACT_TERM},
    {LIFE_DOOMED, EVENT_DIED, LIFE_DOWN, ACT_RESTART},
    {LIFE_DOOMED, EVENT_BREACH, LIFE_DOOMED, ACT_NONE},
    {LIFE_DOOMED, EVENT_STOP, LIFE_ENDING, ACT_KILL},
    {LIFE_ENDING, EVENT_TIMEOUT, LIFE_ENDING, ACT_KILL},
    {LIFE_ENDING, EVENT_READY, LIFE_ENDING, ACT_NONE},
    {LIFE_ENDING, EVENT_WORKED, LIFE_ENDING, ACT_NONE},
    {LIFE_ENDING, EVENT_DIED, LIFE_ENDED, ACT_NONE},
    {LIFE_ENDING, EVENT_BREACH, LIFE_ENDING, ACT_KILL},
    {LIFE_ENDING, EVENT_STOP, LIFE_ENDING, ACT_NONE},
    {LIFE_ENDED, EVENT_BREACH, LIFE_ENDED, ACT_NONE},
    {LIFE_ENDED, EVENT_STOP, LIFE_ENDED, ACT_NONE},
};

static struct life_step
step(struct life *l, enum life_event ev, int64_t now_ms)
{
	return supervisor_life_step(l, ev, (struct msec){now_ms}, NO_JITTER);
}

static const struct expect *
find(enum life_state s, enum life_event ev)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (table[i].state == s && table[i].event == ev)
			return &table[i];
	return NULL;
}

static bool
dies(enum life_state s, enum life_event ev)
{
	struct life l = {.state = s};
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		close(STDERR_FILENO);
		step(&l, ev, 0);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) && WEXITSTATUS(status) == EXIT_BUG;
}

static void
test_table(void)
{
	char name[128];

	for (enum life_state s = LIFE_DOWN; s < LIFE_STATES; s++)
		for (enum life_event ev = EVENT_TIMEOUT; ev < LIFE_EVENTS; ev++) {
			const struct expect *x = find(s, ev);
			struct life l = {.state = s};

			snprintf(
			    name, sizeof(name), "%s, event %d", supervisor_life_name(s), (int)ev);
			if (x == NULL)
				CHECK(dies(s, ev), name);
			else
				CHECK(step(&l, ev, 0).action == x->action && l.state == x->next,
				    name);
		}
}

static void
test_timers(void)
{
	struct life l;

	supervisor_life_init(&l);
	CHECK(
	    step(&l, EVENT_TIMEOUT, 0).timer_ms == READY_MS, "a life has READY_MS to become ready");
	CHECK(step(&l, EVENT_READY, 5).timer_ms == -1, "no timer once it is up");
	CHECK(step(&l, EVENT_STOP, 9).timer_ms > STOP_MS, "an end has a little more than STOP_MS");
	CHECK(step(&l, EVENT_WORKED, 9).timer_ms == -1 && step(&l, EVENT_STOP, 9).timer_ms == -1,
	    "nothing a worker says or a second SIGTERM puts it off");
	CHECK(step(&l, EVENT_TIMEOUT, 9).timer_ms > 0, "after SIGKILL we look again");
}

/* One life from DOWN that dies at now; worked = it did something first. Returns the delay. */
static int64_t
one_life(struct life *l, bool worked, int64_t now)
{
	step(l, EVENT_TIMEOUT, now);
	step(l, EVENT_READY, now);
	if (worked)
		step(l, EVENT_WORKED, now);
	return step(l, EVENT_DIED, now).timer_ms;
}

static void
test_backoff(void)
{
	static const int64_t want[] = {10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5000, 5000};
	struct life l;
	bool ok = true;
	int64_t now = 0;

	supervisor_life_init(&l);
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		ok = one_life(&l, false, now += 100000) == want[i] && ok;
	CHECK(ok, "unproductive lives: 10 ms, doubled, up to 5 s");
	CHECK(one_life(&l, true, now) == 0, "a productive one: at once");
	CHECK(one_life(&l, false, now) == 10, "and the count begins anew");
	for (int i = 0; i < 500; i++)
		ok = one_life(&l, true, now) == 0 && !l.degraded && ok;
	CHECK(ok, "five hundred productive deaths: never degraded");

	supervisor_life_init(&l);
	for (int i = 0; i < 30; i++)
		one_life(&l, false, now += 100000);
	for (uint32_t random = 0; random < 1000; random++) {
		struct life copy = l;

		step(&copy, EVENT_TIMEOUT, now);
		int64_t ms =
		    supervisor_life_step(&copy, EVENT_DIED, (struct msec){now}, random).timer_ms;
		ok = ms >= 4000 && ms <= 6000 && ok;
	}
	CHECK(ok, "jitter stays within 20 %");
}

static void
test_degraded(void)
{
	struct life l;
	int i;
	int64_t now = 0, delay = -1;

	supervisor_life_init(&l);
	for (i = 0; i < DEATHS_DEGRADED; i++)
		one_life(&l, false, now += 3600000);
	CHECK(!l.degraded, "twenty deaths in a row: not yet");
	one_life(&l, false, now += 3600000);
	CHECK(l.degraded, "one more in a row: degraded, however far apart");
	step(&l, EVENT_TIMEOUT, now);
	step(&l, EVENT_READY, now);
	CHECK(l.degraded, "READY alone does not end it");
	step(&l, EVENT_WORKED, now);
	CHECK(!l.degraded, "work does");

	/* Every second life works, so no streak: 21 unproductive ones within a minute. */
	supervisor_life_init(&l);
	now = 0;
	for (i = 0; !l.degraded && i < 100; i++) {
		one_life(&l, true, now += 700);
		delay = one_life(&l, false, now += 700);
	}
	CHECK(i == DEATHS_DEGRADED + 1 && delay == BACKOFF_MAX_MS,
	    "21 within a minute: degraded, 5 s");
	supervisor_life_init(&l);
	now = 0;
	for (i = 0; i < 100; i++) {
		one_life(&l, true, now += 1600);
		one_life(&l, false, now += 1600);
	}
	CHECK(!l.degraded, "one in 3.2 s for five minutes: not degraded");
}

static void
test_ping(void)
{
	struct life l = {.state = LIFE_STARTING};

	CHECK(supervisor_life_ping(&l, true) == PING_NONE, "no PING before READY");
	l.state = LIFE_UP;
	for (int i = 0; i < PINGS_LOST; i++)
		CHECK(supervisor_life_ping(&l, true) == PING_SEND, "a PING");
	CHECK(supervisor_life_ping(&l, true) == PING_HUNG, "three without a PONG: hung");
	CHECK(supervisor_life_ping(&l, false) == PING_SEND && l.unanswered == 1,
	    "we were late ourselves: silence proves nothing");
	l.unanswered = 0;
	CHECK(supervisor_life_ping(&l, true) == PING_SEND, "answered: goes on");
	l.unanswered = PINGS_LOST;
	step(&l, EVENT_HUNG, 0);
	step(&l, EVENT_DIED, 0);
	CHECK(l.unanswered == 0, "a new life owes nothing");
}

static void
test_deaths(void)
{
	static const struct {
		struct death d;
		bool fault;
		const char *text;
	} deaths[] = {
	    {{.signal = SIGSEGV}, true, "signal 11 SEGV"},
	    {{.signal = SIGSYS}, true, "signal 31 SYS"},
	    {{.signal = SIGABRT}, true, "signal 6 ABRT"},
	    {{.signal = SIGBUS}, true, "signal 7 BUS"},
	    {{.signal = SIGILL}, true, "signal 4 ILL"},
	    {{.signal = SIGFPE}, true, "signal 8 FPE"},
	    {{.code = EXIT_BUG}, true, "exit 70"},
	    {{.signal = SIGKILL, .hung = true}, true, "signal 9 KILL (hung)"},
	    {{.signal = SIGKILL}, false, "signal 9 KILL"},
	    {{.signal = SIGTERM}, false, "signal 15 TERM"},
	    {{.signal = SIGHUP}, false, "signal 1 "},
	    {{.code = EXIT_OOM}, false, "exit 71"},
	    {{.code = EXIT_ASKED}, false, "exit 0"},
	};
	struct life l = {.state = LIFE_STARTING};
	char text[48];

	for (size_t i = 0; i < sizeof(deaths) / sizeof(deaths[0]); i++) {
		supervisor_death_text(text, &deaths[i].d);
		CHECK(supervisor_death_own_fault(&deaths[i].d) == deaths[i].fault &&
			  strcmp(text, deaths[i].text) == 0,
		    deaths[i].text);
	}
	CHECK(supervisor_death_event(&l, &(struct death){.code = EXIT_CONFIG}) == EVENT_UNFIT &&
		  supervisor_death_event(&l, &(struct death){.code = EXIT_SANDBOX}) == EVENT_UNFIT,
	    "EXIT_CONFIG and EXIT_SANDBOX before READY: unfit");
	CHECK(supervisor_death_event(&l, &(struct death){.code = EXIT_BUG}) == EVENT_DIED &&
		  supervisor_death_event(&l, &(struct death){.signal = EXIT_CONFIG}) == EVENT_DIED,
	    "any other death is one");
	l.state = LIFE_UP;
	CHECK(supervisor_death_event(&l, &(struct death){.code = EXIT_CONFIG}) == EVENT_DIED,
	    "after READY a worker can not end the operator");
}

int
main(void)
{
	test_table();
	test_timers();
	test_backoff();
	test_degraded();
	test_ping();
	test_deaths();
	return tap_done();
}
