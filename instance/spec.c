/*
 * The spec as the agent hands it over, message by message. The agent is not trusted: every count is
 * bounded here too.
 */
#include "instance/pgctl.h"

#define SPEC_ARENA_MAX                                                                             \
	(8u << 20) /* 400 parameters and 256 hba lines of 8 KiB, 64 statements of 32 KiB */

struct spec *
spec_new(const struct msg_spec *m)
{
	struct spec *s = xcalloc(1, sizeof(*s));

	arena_init(&s->arena, SPEC_ARENA_MAX);
	s->m = *m;
	s->parameters.at = arena_array(&s->arena, PARAMS_MAX, sizeof(struct str_pair));
	s->hba.at = arena_array(&s->arena, HBA_LINES_MAX, sizeof(struct str));
	s->sql.at = arena_array(&s->arena, SQL_STATEMENTS_MAX, sizeof(struct str));
	if (s->parameters.at == NULL || s->hba.at == NULL || s->sql.at == NULL)
		die("an empty spec does not fit its arena");
	return s;
}

void
spec_free(struct spec *s)
{
	if (s == NULL)
		return;
	arena_free(&s->arena);
	xfree(s);
}

static void
keep(struct spec *s, const char *text, struct str *out)
{
	size_t len = strlen(text);

	if ((out->p = arena_strndup(&s->arena, text, len)) == NULL) {
		s->broken = true;
		(void)err_set(
		    &s->err, ERR_LIMIT, "the spec is larger than %u bytes", SPEC_ARENA_MAX);
		return;
	}
	out->len = len;
}

static void
keep_in_list(struct spec *s, struct str_list *list, size_t max, const char *text)
{
	if (list->n == max) {
		s->broken = true;
		(void)err_set(&s->err, ERR_LIMIT, "more than %zu lines", max);
		return;
	}
	keep(s, text, &list->at[list->n++]);
}

static void
keep_parameter(struct spec *s, const struct msg_spec_parameter *m)
{
	struct str_pair *p;

	if (s->parameters.n == PARAMS_MAX) {
		s->broken = true;
		(void)err_set(&s->err, ERR_LIMIT, "more than %d parameters", PARAMS_MAX);
		return;
	}
	p = &s->parameters.at[s->parameters.n++];
	keep(s, m->name, &p->key);
	keep(s, m->value, &p->value);
}

bool
spec_add(struct spec *s, const struct ipc_msg *m)
{
	switch ((int)m->type) {
	case IPC_SPEC_PARAMETER:
		keep_parameter(s, &m->spec_parameter);
		return true;
	case IPC_SPEC_HBA:
		keep_in_list(s, &s->hba, HBA_LINES_MAX, m->spec_hba.line);
		return true;
	case IPC_SPEC_SQL:
		keep_in_list(s, &s->sql, SQL_STATEMENTS_MAX, m->spec_sql.statement);
		return true;
	case IPC_SPEC_DYNAMIC:
		keep(s, m->spec_dynamic.json, &s->dynamic);
		return true;
	case IPC_SPEC_END:
		s->complete = true;
		return true;
	default:
		return false;
	}
}

void
spec_dynamic(const struct spec *s, struct dynamic_wanted *out)
{
	*out = (struct dynamic_wanted){.ttl = s->m.ttl,
	    .loop_wait = s->m.loop_wait,
	    .retry_timeout = s->m.retry_timeout,
	    .max_lag = (int64_t)s->m.max_lag,
	    .sync_count = s->m.sync_count,
	    .sync_mode = s->m.sync_mode,
	    .sync_strict = s->m.sync_strict,
	    .failsafe = s->m.failsafe,
	    .parameters = s->parameters,
	    .user = s->dynamic};
}
