/*
 * Why does a replica not stream? What it needs next it says itself; whether its primary has that is
 * asked of the primary, not of anybody's log. What is not known for certain counts as nothing, and
 * what is, only when it has lasted: until then PostgreSQL, or Patroni by pg_rewind, may find a way.
 *
 * A walreceiver asks for the segment that its receive position is in, which is that segment's begin
 * where it has got nothing yet, or for what it has replayed (PostgreSQL, RequestXLogStreaming); the
 * primary reads it from pg_wal under a name of the timeline's, or of the next one's where that
 * begins in it (WalSndSegmentOpen). Segments go oldest first. So where no timeline has that one,
 * and the primary writes a later one, it is gone.
 */
#include "instance/instance.h"

#define GONE_MS 30000
#define DIVERGED_MS 120000 /* pg_rewind first: Patroni runs it while PostgreSQL is stopped */
#define FORKED_MS 60000    /* so long it may seem to stream, or not be asked about, in between */
#define FIELDS 10

void
follow_slot(const char *pod, char out[64])
{
	size_t n = 0;

	for (; pod[n] != '\0' && n < 63; n++)
		out[n] = pod[n] == '-' ? '_' : pod[n]; /* of a pod's name nothing else differs */
	out[n] = '\0';
}

/*
 * One line of fields. The needed position is where the replica's timeline ends in this history, if
 * it has received more than that.
 */
void
follow_sql(const struct follow_self *self, struct str slot, struct buf *out)
{
	buf_puts(out,
	    "SET search_path = pg_catalog;\nSET statement_timeout = '10s';\n"
	    "WITH me AS (SELECT pg_current_wal_lsn() AS lsn, "
	    "('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint AS tli "
	    "WHERE NOT pg_is_in_recovery()),\n"
	    "history AS (SELECT encode(pg_read_binary_file('pg_wal/' || "
	    "lpad(upper(to_hex(tli)), 8, '0') || '.history', 0, 1000000, true), 'escape') "
	    "AS text FROM me),\n"
	    "fork AS (SELECT min(split_part(line, E'\\t', 2)::pg_lsn - '0/0'::pg_lsn) AS lsn\n"
	    "FROM history, regexp_split_to_table(text, E'\\n') AS line\n");
	buf_printf(out, "WHERE split_part(line, E'\\t', 1) = '%u'),\n", self->timeline);
	buf_printf(out,
	    "need AS (SELECT floor(least(%llu::numeric, fork.lsn) / bytes_per_wal_segment) AS n, "
	    "4294967296 / bytes_per_wal_segment AS per_id, bytes_per_wal_segment AS size "
	    "FROM pg_control_init(), fork)\n",
	    (unsigned long long)(self->received > self->replayed ? self->received
								 : self->replayed));
	buf_puts(out,
	    "SELECT concat_ws('|', 'primary', "
	    "(SELECT system_identifier FROM pg_control_system()), me.tli, "
	    "(history.text IS NOT NULL)::int, coalesce(fork.lsn::text, '-'), "
	    "((SELECT timeline_id FROM pg_control_checkpoint()) = me.tli)::int, "
	    "(floor((me.lsn - '0/0'::pg_lsn) / need.size) > need.n)::int, "
	    "(SELECT count(*) FROM pg_ls_dir('pg_wal', true, false) AS f WHERE length(f) = 24 "
	    "AND right(f, 16) = lpad(upper(to_hex(div(need.n, need.per_id)::bigint)), 8, '0') || "
	    "lpad(upper(to_hex(mod(need.n, need.per_id)::bigint)), 8, '0')), "
	    "(SELECT count(*) FROM pg_replication_slots WHERE slot_type = 'physical' "
	    "AND NOT active AND wal_status = 'lost' AND slot_name = '");
	buf_str(out, slot);
	buf_printf(out, "'), (me.lsn - '0/0'::pg_lsn < %llu)::int) FROM me, history, fork, need;\n",
	    (unsigned long long)self->replayed);
}

/* "primary|a|b|...": exactly FIELDS of them. */
static bool
split(struct str line, struct str out[FIELDS])
{
	for (unsigned n = 0; n < FIELDS; n++) {
		const char *bar = memchr(line.p, '|', line.len);

		if ((bar == NULL) != (n == FIELDS - 1))
			return false;
		out[n] = (struct str){line.p, bar == NULL ? line.len : (size_t)(bar - line.p)};
		if (bar != NULL)
			line = (struct str){bar + 1, line.len - out[n].len - 1};
	}
	return true;
}

enum choice_follow
follow_judge(const struct follow_self *self, struct str printed, bool *slot_lost)
{
	enum {
		NAME,
		IDENTIFIER,
		TIMELINE,
		HISTORY,
		FORK,
		CHECKPOINTED,
		LATER,
		PRESENT,
		LOST,
		BEHIND
	};
	struct str f[FIELDS];
	uint64_t v[FIELDS] = {0};
	bool forks;

	*slot_lost = false;
	while (printed.len > 0 && printed.p[printed.len - 1] == '\n')
		printed.len--;
	if (!split(printed, f) || !str_is(f[NAME], "primary"))
		return CHOICE_follow_UNKNOWN;
	forks = !str_is(f[FORK], "-");
	for (unsigned k = IDENTIFIER; k < FIELDS; k++)
		if ((k != FORK || forks) && str_to_u64(f[k], &v[k]) == -1)
			return CHOICE_follow_UNKNOWN;
	if (v[IDENTIFIER] != self->system_identifier || self->timeline == 0)
		return CHOICE_follow_UNKNOWN;
	*slot_lost = v[LOST] > 0;
	if (self->timeline < v[TIMELINE] && v[HISTORY] == 0)
		return CHOICE_follow_UNKNOWN;
	/* Patroni rewinds only from a primary that has run a checkpoint since it came to lead. */
	if (self->timeline > v[TIMELINE] ||
	    (self->timeline < v[TIMELINE] && (!forks || self->replayed > v[FORK])))
		return v[CHECKPOINTED] == 1 ? CHOICE_follow_DIVERGED : CHOICE_follow_CAN;
	/* The replica was asked first, and no primary sends what it has not written. */
	if (self->timeline == v[TIMELINE] && v[BEHIND] == 1)
		return CHOICE_follow_FORKED;
	return v[LATER] == 1 && v[PRESENT] == 0 ? CHOICE_follow_WAL_GONE : CHOICE_follow_CAN;
}

/*
 * Once found it is so, although the primary writes on and is ahead by then: until the replica
 * streams for good, from another primary or as a clone.
 */
static bool
is_forked_still(struct follow_track *t, enum choice_follow finding, struct msec now)
{
	if (t->finding != CHOICE_follow_FORKED)
		return false;
	if (finding != CHOICE_follow_UNKNOWN) {
		t->unsure_since.v = 0;
		return true;
	}
	if (t->unsure_since.v == 0)
		t->unsure_since = now;
	return now.v < t->unsure_since.v + FORKED_MS;
}

void
follow_note(struct follow_track *t, enum choice_follow finding, struct msec now)
{
	if (t->finding == finding || is_forked_still(t, finding, now))
		return;
	t->unsure_since.v = 0;
	t->finding = (uint8_t)finding;
	t->since = now;
}

bool
follow_is_certain(const struct follow_track *t, struct msec now)
{
	int64_t lasted = now.v - t->since.v;

	return (t->finding == CHOICE_follow_WAL_GONE && lasted >= GONE_MS) ||
	       ((t->finding == CHOICE_follow_DIVERGED || t->finding == CHOICE_follow_FORKED) &&
		   lasted >= DIVERGED_MS);
}
