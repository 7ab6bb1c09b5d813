/*
 * A base backup that hangs: its primary's node is gone without a word, the network swallows it, the
 * walsender is stuck. pg_basebackup waits for ever, or for two hours where TCP looks after an idle
 * connection. Whether it gets on is read from /proc (procs.c): a process that has not run at all
 * since the last look got nothing and did nothing. A slow one has run, be it for one packet.
 *
 * Its second process, which gets the WAL, is counted by what it writes: it says each 10 seconds how
 * far it is, whether anybody listens or not. Before that one is there the first waits for a
 * checkpoint of the primary's; after it, until all WAL has come, for the second. So only where
 * nothing at all has come, longer than TCP itself needs to give a connection up (tcp_retries2: 15
 * minutes), is it killed, and Patroni begins anew; it is never so while it waits for the disk.
 */
#include "instance/instance.h"

#define LATE_MS (3 * CLONE_LOOK_MS) /* it was we who did not run, and so perhaps nobody did */
#define STALL_MS 120000
#define CHECKPOINT_MS 600000 /* a large primary's, though it is an immediate one */
#define DEAD_MS 1200000
#define FAILURES 3 /* Patroni begins anew by itself: once or twice is no news */

bool
clone_look(struct clone *c, const struct clone_seen *seen, struct msec now)
{
	bool other = !c->seen.runs || now.v - c->looked.v > LATE_MS;
	int64_t quiet;

	if (other || seen->work != c->seen.work)
		c->worked = c->moved = now;
	if (seen->wal != c->seen.wal)
		c->moved = now;
	c->seen = *seen;
	c->looked = now;
	quiet = seen->runs ? now.v - c->worked.v : 0;
	c->stalls = quiet >= (seen->streams ? STALL_MS : CHECKPOINT_MS);
	if (!c->stalls || !seen->sleeps || seen->pids[0] == 0 || now.v - c->moved.v < DEAD_MS ||
	    c->kills >= CLONE_KILLS_MAX)
		return false;
	c->kills++;
	c->moved = now; /* until the next one as long, whatever becomes of this */
	return true;
}

void
clone_note(struct clone_tries *t, const char *state, bool running)
{
	bool cloning = strcmp(state, "creating replica") == 0;

	if (running)
		t->failed = 0;
	else if (t->cloning && !cloning && t->failed < FAILURES)
		t->failed++;
	t->cloning = cloning;
}

bool
clone_fails(const struct clone_tries *t)
{
	return t->failed >= FAILURES;
}
