/*
 * The decoded BGCluster on its way to pgctl: one message for each of its parts, as far as the
 * channel has room.
 */
#include "instance/agent.h"

#define DYNAMIC_MAX 60000 /* SPEC_DYNAMIC's bound */

static int
no(char text[IPC_TEXT_MAX + 1], const char *what, struct str name)
{
	char line[400];

	(void)snprintf(line, sizeof(line), "%s%.*s has a character that can not be used there",
	    what, (int)(name.len < 100 ? name.len : 100), name.p);
	str_copy_text(text, IPC_TEXT_MAX + 1, str_of(line));
	return -1;
}

/* What the decoder allows, but no message: checked here, since to send it would be our own end. */
int
spec_usable(const struct bgcluster *c, char text[IPC_TEXT_MAX + 1])
{
	struct str d = c->dynamic_config;

	for (size_t i = 0; i < c->parameters.n; i++) {
		const struct str_pair *p = &c->parameters.at[i];

		if (p->key.len > 63 || !charset_ok(CHARS_TEXT, p->value) ||
		    p->value.len > IPC_VALUE_MAX)
			return no(text, "spec.postgres.parameters: ", p->key);
	}
	if (d.len > DYNAMIC_MAX) {
		(void)snprintf(text, IPC_TEXT_MAX + 1,
		    "spec.patroni.dynamicConfiguration is larger than %d bytes", DYNAMIC_MAX);
		return -1;
	}
	if (!charset_ok(CHARS_TEXT, d))
		return no(text, "spec.patroni.dynamicConfiguration", STR(""));
	return 0;
}

void
spec_wanted(const struct bgcluster *c, struct dynamic_wanted *out)
{
	*out = (struct dynamic_wanted){.ttl = c->ttl,
	    .loop_wait = c->loop_wait,
	    .retry_timeout = c->retry_timeout,
	    .max_lag = c->max_lag,
	    .sync_count = c->sync_count,
	    .sync_mode = c->sync_mode,
	    .sync_strict = c->sync_strict,
	    .failsafe = c->failsafe,
	    .parameters = c->parameters,
	    .user = c->dynamic_config};
}

/* The decoder has checked each length against the row that the message's bound comes from. */
#define COPY(dst, s)                                                                               \
	do {                                                                                       \
		if (str_copy(dst, sizeof(dst), s) == -1)                                           \
			die("a decoded field does not fit its message");                           \
	} while (0)

static void
head(const struct agent *a, const struct bgcluster *c, struct msg_spec *m)
{
	m->generation = a->spec_generation;
	COPY(m->namespace, str_of(a->namespace));
	COPY(m->cluster, str_of(a->cluster));
	m->pg_version = c->pg_version == INT_UNSET ? 0 : (uint8_t)c->pg_version;
	m->ttl = (uint16_t)c->ttl;
	m->loop_wait = (uint16_t)c->loop_wait;
	m->retry_timeout = (uint16_t)c->retry_timeout;
	m->max_lag = (uint64_t)c->max_lag;
	m->sync_mode = c->sync_mode;
	m->sync_strict = c->sync_strict;
	m->sync_count = (uint8_t)c->sync_count;
	m->failsafe = c->failsafe;
	COPY(m->database, c->database.len > 0 ? c->database : STR("app"));
	COPY(m->owner, c->owner.len > 0 ? c->owner : STR("app"));
	COPY(m->encoding, c->initdb_encoding);
	COPY(m->locale, c->initdb_locale);
	COPY(m->locale_provider, c->initdb_locale_provider);
	COPY(m->icu_locale, c->initdb_icu_locale);
	m->checksums = c->initdb_checksums;
	m->wal_segment_mb =
	    c->initdb_wal_segment_mb == INT_UNSET ? 0 : (uint16_t)c->initdb_wal_segment_mb;
}

/* Message number at of the chain; false past its end. */
static bool
part(const struct agent *a, const struct bgcluster *c, size_t at, struct ipc_msg *m)
{
	if (at == 0) {
		m->type = IPC_SPEC;
		head(a, c, &m->spec);
		return true;
	}
	if (--at < c->parameters.n) {
		m->type = IPC_SPEC_PARAMETER;
		COPY(m->spec_parameter.name, c->parameters.at[at].key);
		COPY(m->spec_parameter.value, c->parameters.at[at].value);
		return true;
	}
	if ((at -= c->parameters.n) < c->pg_hba.n) {
		m->type = IPC_SPEC_HBA;
		COPY(m->spec_hba.line, c->pg_hba.at[at]);
		return true;
	}
	if ((at -= c->pg_hba.n) < c->post_init_sql.n) {
		m->type = IPC_SPEC_SQL;
		COPY(m->spec_sql.statement, c->post_init_sql.at[at]);
		return true;
	}
	switch (at - c->post_init_sql.n) {
	case 0:
		m->type = IPC_SPEC_DYNAMIC;
		COPY(m->spec_dynamic.json, c->dynamic_config);
		return true;
	case 1:
		m->type = IPC_SPEC_END;
		return true;
	default:
		return false;
	}
}

void
spec_send(struct agent *a)
{
	static struct ipc_msg m; /* 64 KiB */

	while (a->spec != NULL && a->send_at != SIZE_MAX) {
		memset(&m, 0, sizeof(m));
		m.fds[0] = m.fds[1] = -1;
		if (!part(a, a->spec, a->send_at, &m)) {
			a->send_at = SIZE_MAX;
			return;
		}
		if (!child_send(&a->self, &m))
			return;
		a->send_at++;
	}
}
