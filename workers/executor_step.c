/*
 * One step: policy, GET of the user's object, policy again, the verb's chain of requests,
 * STEP_DONE. Also the slots that steps live in, and when no more may be read. A step sends one
 * request at a time; which handler takes the reply is its whole state. Called by executor.c; the
 * step_* functions are for the verbs.
 */
#include "workers/executor.h"

#include <stdio.h>
#include <string.h>

static void step_begin(struct step *s);

static void (*const verbs[CHOICE_verb_COUNT])(struct step *s) = {
    [CHOICE_verb_ADD_FINALIZER] = verb_finalizer,
    [CHOICE_verb_REMOVE_FINALIZER] = verb_finalizer,
    [CHOICE_verb_ENSURE] = verb_ensure,
    [CHOICE_verb_TEMPLATE] = verb_template,
    [CHOICE_verb_TRY_TEMPLATE] = verb_template,
    [CHOICE_verb_RESTORE_TEMPLATE] = verb_template,
    [CHOICE_verb_DELETE] = verb_delete,
    [CHOICE_verb_ORPHAN_STATEFULSET] = verb_orphan_statefulset,
    [CHOICE_verb_HOLD] = verb_hold,
    [CHOICE_verb_RELEASE] = verb_hold,
    [CHOICE_verb_STOP_PATRONI] = verb_hold,
    [CHOICE_verb_STOP_POSTGRESQL] = verb_hold,
    [CHOICE_verb_OBSERVE_POD] = verb_observe_pod,
    [CHOICE_verb_OBSERVE_PODS] = verb_observe_pods,
    [CHOICE_verb_OBSERVE_PVC] = verb_observe_pvc,
    [CHOICE_verb_OBSERVE_NAMESPACE] = verb_observe_namespace,
    [CHOICE_verb_REPLACE_POD] = verb_replace_pod,
    [CHOICE_verb_REPLACE_PVC] = verb_replace_pvc,
    [CHOICE_verb_EXPAND_PVC] = verb_expand_pvc,
    [CHOICE_verb_DELETE_PVC] = verb_delete_pvc,
    [CHOICE_verb_DESTROY_ANCHOR] = verb_destroy_anchor,
    [CHOICE_verb_DELETE_PVCS] = verb_delete_pvcs,
    [CHOICE_verb_DELETE_CONFIGMAPS] = verb_delete_configmaps,
    [CHOICE_verb_SWITCHOVER] = verb_operate,
    [CHOICE_verb_RESTART] = verb_operate,
    [CHOICE_verb_REINIT] = verb_operate,
    [CHOICE_verb_UNREACHABLE] = verb_unreachable,
    [CHOICE_verb_STATUS] = verb_status,
    [CHOICE_verb_EVENT] = verb_event,
};

/* --- Slots. */

void
executor_init(struct executor *x)
{
	for (unsigned i = 0; i < STEPS_IN_FLIGHT; i++) {
		x->steps[i].x = x;
		arena_init(&x->steps[i].arena, STEP_ARENA_MAX);
	}
}

unsigned
executor_busy(const struct executor *x)
{
	unsigned n = 0;

	for (unsigned i = 0; i < STEPS_IN_FLIGHT; i++)
		n += x->steps[i].phase != STEP_FREE;
	return n;
}

static struct step *
free_slot(struct executor *x)
{
	for (unsigned i = 0; i < STEPS_IN_FLIGHT; i++)
		if (x->steps[i].phase == STEP_FREE)
			return &x->steps[i];
	return NULL;
}

static bool
has_mute(const struct executor *x)
{
	for (unsigned i = 0; i < STEPS_IN_FLIGHT; i++)
		if (x->steps[i].phase == STEP_RUNNING && x->steps[i].mute)
			return true;
	return false;
}

/*
 * Steps are read while one more can be held, and not before what an earlier reconciler began has
 * ended.
 */
static void
settle(struct executor *x)
{
	bool pause = x->stopping || x->hostile || free_slot(x) == NULL || has_mute(x);

	if (pause != x->paused) {
		x->paused = pause;
		x->io->pause(x, pause);
	}
	if (x->stopping && executor_busy(x) == 0)
		x->io->drained(x);
}

static void
release(struct step *s)
{
	struct executor *x = s->x;
	struct arena arena = s->arena; /* freed: an idle executor is small */

	arena_free(&arena);
	memset(s, 0, sizeof(*s));
	s->x = x;
	s->arena = arena;
	settle(x);
}

static void
report(struct step *s)
{
	static struct ipc_msg out = {.type = IPC_STEP_DONE, .fds = {-1, -1}}; /* 60 KB */

	out.step_done = s->done;
	if (s->x->io->report(s->x, &out))
		release(s);
}

void
executor_flush(struct executor *x)
{
	for (unsigned i = 0; i < STEPS_IN_FLIGHT; i++)
		if (x->steps[i].phase == STEP_REPORTING)
			report(&x->steps[i]);
}

void
executor_edge_lost(struct executor *x)
{
	for (unsigned i = 0; i < STEPS_IN_FLIGHT; i++) {
		if (x->steps[i].phase == STEP_RUNNING)
			x->steps[i].mute = true;
		else if (x->steps[i].phase == STEP_REPORTING)
			release(&x->steps[i]);
	}
}

/* A new edge is born reading, whatever the old one was told. */
void
executor_edge_new(struct executor *x)
{
	executor_edge_lost(x);
	x->hostile = false;
	x->paused = false;
	settle(x);
}

void
executor_stop(struct executor *x)
{
	x->stopping = true;
	settle(x);
}

/* --- Taking a step. */

static void
take_status(struct step *s, const struct msg_step_status *m)
{
	s->status = *m;
	s->req.id = m->id;
	s->req.verb = CHOICE_verb_STATUS;
	s->req.uid = m->uid;
	s->req.generation = m->generation;
	memcpy(s->req.namespace, m->namespace, sizeof(s->req.namespace));
	memcpy(s->req.name, m->name, sizeof(s->req.name));
}

static void
take_event(struct step *s, const struct msg_step_event *m)
{
	s->event = *m;
	s->req.id = m->id;
	s->req.verb = CHOICE_verb_EVENT;
	s->req.uid = m->uid;
	memcpy(s->req.namespace, m->namespace, sizeof(s->req.namespace));
	memcpy(s->req.name, m->name, sizeof(s->req.name));
}

static void
take_dbops(struct step *s, const struct msg_step_dbops *m)
{
	s->op = *m;
	s->req.id = m->id;
	s->req.verb = m->verb;
	s->req.uid = m->uid;
	s->req.generation = m->generation;
	s->req.ordinal = m->ordinal;
	s->req.target = m->target;
	memcpy(s->req.namespace, m->namespace, sizeof(s->req.namespace));
	memcpy(s->req.name, m->cluster, sizeof(s->req.name));
}

static bool
is_dbops(const struct step *s)
{
	return s->op.name[0] != '\0' && s->req.verb >= CHOICE_verb_DBOPS_TELL &&
	       s->req.verb <= CHOICE_verb_DBOPS_DELETE;
}

void
executor_take(struct executor *x, const struct ipc_msg *m)
{
	struct step *s = free_slot(x);

	if (x->hostile)
		return;
	if (s == NULL)
		die("a step came although the edge is paused");
	if (m->type == IPC_STEP)
		s->req = m->step;
	else if (m->type == IPC_STEP_STATUS)
		take_status(s, &m->step_status);
	else if (m->type == IPC_STEP_EVENT)
		take_event(s, &m->step_event);
	else if (m->type == IPC_STEP_DBOPS)
		take_dbops(s, &m->step_dbops);
	else
		die("%s is no step", ipc_type_name(m->type));
	s->phase = STEP_RUNNING;
	s->done.id = s->req.id;
	step_begin(s);
	settle(x);
}

static void
poison_enter(const struct step *s)
{
	struct ipc_poison p = {.kind = is_dbops(s) ? KIND_BGDBOPS : KIND_BGCLUSTER,
	    .uid = s->req.uid,
	    .generation = s->req.generation};

	memcpy(p.namespace, s->req.namespace, sizeof(p.namespace));
	memcpy(p.name, s->req.name, sizeof(s->req.name));
	ipc_poison_enter(&p);
}

/* The reply to what a step asked; see executor_send.c. */
void
step_replied_to(void *arg, const struct kube_reply *r)
{
	struct step *s = arg;
	step_next *next = s->next;

	s->next = NULL;
	if (s->mute) {
		release(s);
		return;
	}
	poison_enter(s);
	next(s, r);
	ipc_poison_leave();
}

/* --- The user's object. */

int
step_decode_cluster(struct step *s, struct str body, struct err *e)
{
	const struct object_meta *m = &s->cluster.meta;
	struct err why;

	s->invalid.code = ERR_NONE;
	if (step_parse_cluster(s, body, &s->json, &s->invalid, e) == -1) {
		if (e->code == ERR_INVALID)
			e->code =
			    ERR_RETRY; /* the API server never sends that: garbage on the way */
		return -1;
	}
	s->has_spec =
	    decode_bgcluster(&s->json, json_root(&s->json), &s->arena, &s->cluster, &why) == 0;
	if (!s->has_spec && s->invalid.code == ERR_NONE)
		s->invalid = why;
	if (!s->has_spec) {
		struct object_meta meta = s->cluster.meta;

		/* Half a spec is none. */
		memset(&s->cluster, 0, sizeof(s->cluster));
		s->cluster.meta = meta;
		s->cluster.deletion_protection = s->invalid.code == ERR_LIMIT;
		(void)json_bool(&s->json,
		    json_path(&s->json, json_root(&s->json), "spec.deletionProtection"),
		    &s->cluster.deletion_protection);
	}
	if (uid_none(&m->uid) || m->resource_version == 0 || !str_is(m->name, s->req.name) ||
	    !str_is(m->namespace, s->req.namespace))
		return err_set(e, ERR_RETRY, "the reply is not the object that was asked for");
	return 0;
}

/* False: the step has ended. */
static bool
is_as_planned(struct step *s)
{
	if (!uid_eq(&s->cluster.meta.uid, &s->req.uid))
		step_end(s, CHOICE_step_code_CONFLICT, REASON_NONE,
		    "another BGCluster has that name now");
	else if (s->req.verb != CHOICE_verb_EVENT &&
		 s->cluster.meta.generation != s->req.generation)
		step_end(s, CHOICE_step_code_CONFLICT, REASON_NONE,
		    "the BGCluster is of generation %llu now",
		    (unsigned long long)s->cluster.meta.generation);
	else if ((s->row->needs & NEED_SPEC) && !s->has_spec)
		step_end(s, CHOICE_step_code_INVALID, REASON_SPEC_INVALID, "%s", s->invalid.text);
	else
		return true;
	return false;
}

static void
on_cluster(struct step *s, const struct kube_reply *r)
{
	struct policy_verdict v;
	struct err e;

	if (step_replied(r, 404)) {
		step_end(s, CHOICE_step_code_GONE, REASON_NONE, "the BGCluster is not there");
		return;
	}
	if (!step_ok(r)) {
		step_fail(s, r);
		return;
	}
	if (step_decode_cluster(s, r->body, &e) == -1) {
		step_end_err(s, &e);
		return;
	}
	if (!is_as_planned(s))
		return;
	policy_check_object(s->row, &s->req, &s->cluster, &s->arena, &v);
	if (v.verdict != ALLOW)
		step_end(s, CHOICE_step_code_DENIED, v.reason, "%s", v.text);
	else
		verbs[s->req.verb](s);
}

static void
step_begin(struct step *s)
{
	struct executor *x = s->x;
	struct policy_verdict v;

	policy_check_message(&s->req, x->namespaces, x->namespaces_n, &s->row, &v);
	if (v.verdict == ALLOW)
		policy_check_dbops(s->row, is_dbops(s), &v);
	if (v.verdict != ALLOW) {
		x->hostile = true;
		release(s);
		x->io->breach(x, v.text);
		return;
	}
	poison_enter(s);
	if (x->no_token[0] != '\0')
		step_end(s, CHOICE_step_code_DENIED, REASON_RIGHTS_MISSING, "%s", x->no_token);
	else if (s->row->shape & SHAPE_DBOPS)
		dbops_begin(s);
	else
		step_get(s, KIND_BGCLUSTER, s->req.name, on_cluster);
	ipc_poison_leave();
}

/* --- Ends. */

/* Text of any origin into what the wire accepts: err_set may have cut a character in two. */
static void
clean_text(char out[IPC_TEXT_MAX + 1], const char *in)
{
	str_copy_text(out, IPC_TEXT_MAX + 1, str_of(in));
	if (charset_ok(CHARS_TEXT, str_of(out)))
		return;
	for (char *p = out; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || (unsigned char)*p > 0x7e)
			*p = '?';
}

static void
log_end(const struct step *s)
{
	enum log_level level = LOG_DEBUG;
	char obj[160];

	if (s->done.code == CHOICE_step_code_DENIED || s->done.code == CHOICE_step_code_INVALID ||
	    s->done.code == CHOICE_step_code_FOREIGN)
		level = LOG_WARN;
	snprintf(obj, sizeof(obj), "%s/%s/%s",
	    kind_info[is_dbops(s) ? KIND_BGDBOPS : KIND_BGCLUSTER].name, s->req.namespace,
	    is_dbops(s) ? s->op.name : s->req.name);
	log_line(level, "step", obj, "%s: %s %s %s", s->row->name,
	    choice_text(VOCAB_step_code, s->done.code), choice_text(VOCAB_reason, s->done.reason),
	    s->done.text);
}

void
step_end(
    struct step *s, enum choice_step_code code, enum choice_reason reason, const char *fmt, ...)
{
	char text[4 * IPC_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	clean_text(s->done.text, text);
	s->done.code = code;
	s->done.reason = reason;
	s->phase = STEP_REPORTING;
	log_end(s);
	report(s);
}

void
step_end_done(struct step *s)
{
	char text[IPC_TEXT_MAX + 1];

	memcpy(text, s->done.text, sizeof(text));
	step_end(s, CHOICE_step_code_DONE, s->done.reason, "%s", text);
}

void
step_end_err(struct step *s, const struct err *e)
{
	static const enum choice_step_code codes[] = {
	    [ERR_NONE] = CHOICE_step_code_RETRY,
	    [ERR_RETRY] = CHOICE_step_code_RETRY,
	    [ERR_CONFLICT] = CHOICE_step_code_CONFLICT,
	    [ERR_GONE] = CHOICE_step_code_GONE,
	    [ERR_INVALID] = CHOICE_step_code_INVALID,
	    [ERR_DENIED] = CHOICE_step_code_DENIED,
	    [ERR_LIMIT] = CHOICE_step_code_INVALID,
	};
	enum choice_step_code code = codes[e->code];

	step_end(s, code, code == CHOICE_step_code_INVALID ? REASON_SPEC_INVALID : REASON_NONE,
	    "%s", e->text);
}

/*
 * The whole message of a metav1.Status: e holds its beginning only, and what decides may stand at
 * its end.
 */
static const char *
full_message(struct step *s, const struct kube_reply *r, const struct err *e)
{
	struct json j;
	struct str message;

	if (json_parse(&j, r->body, &s->arena, NULL) == 0 &&
	    json_string(&j, json_get(&j, json_root(&j), STR("message")), HTTP_REPLY_MAX, &s->arena,
		&message, NULL) == 0)
		return message.p;
	return e->text;
}

/* A 403 is either ours to mend (a Role) or the user's (quota, admission). */
static bool
lacks_rights(const char *message)
{
	return strstr(message, " cannot ") != NULL ||
	       strstr(message, "attempting to grant") != NULL;
}

static void
fail_denied(struct step *s, const char *message)
{
	step_end(s, CHOICE_step_code_DENIED,
	    lacks_rights(message) ? REASON_RIGHTS_MISSING : REASON_SPEC_REFUSED, "%s %s: %s",
	    s->sent.what, s->sent.name, message);
}

static bool
is_own_kind(const struct step *s)
{
	return s->sent.what == kind_info[KIND_BGCLUSTER].name ||
	       s->sent.what == kind_info[KIND_BGINSTANCE].name ||
	       s->sent.what == kind_info[KIND_BGDBOPS].name;
}

/* A patch that names the uid of an object that was made anew since is 422, not 409. */
static bool
is_another(const char *message)
{
	return strstr(message, "metadata.uid") != NULL;
}

static void
fail_invalid(struct step *s, const struct kube_reply *r, const char *message)
{
	const char *unknown = strstr(message, "strict decoding error");

	if (r->status == 422 && s->sent.method == KUBE_PATCH && is_another(message))
		step_end(s, CHOICE_step_code_CONFLICT, REASON_NONE, "%s %s is another one now",
		    s->sent.what, s->sent.name);
	else if (unknown != NULL && strstr(unknown, "unknown field") != NULL && is_own_kind(s))
		step_end(s, CHOICE_step_code_INVALID, REASON_CRD_OUTDATED, "%s %s: %s",
		    s->sent.what, s->sent.name, unknown);
	else
		step_end(s, CHOICE_step_code_INVALID, REASON_SPEC_REFUSED, "%s %s: %s",
		    s->sent.what, s->sent.name, message);
}

static void
fail_refused(struct step *s, const struct kube_reply *r, const struct err *e)
{
	enum choice_step_code code =
	    CHOICE_step_code_RETRY; /* 401 too: the broker was told, a new token comes */
	const char *message = full_message(s, r, e);

	if (e->code == ERR_DENIED && r->status != 401) {
		fail_denied(s, message);
		return;
	}
	if (e->code == ERR_INVALID || e->code == ERR_LIMIT) {
		fail_invalid(s, r, message);
		return;
	}
	if (e->code == ERR_GONE && s->sent.method == KUBE_POST && is_own_kind(s)) {
		step_end(s, CHOICE_step_code_INVALID, REASON_CRD_OUTDATED, "%s %s: %s",
		    s->sent.what, s->sent.name, message);
		return;
	}
	if (e->code == ERR_CONFLICT)
		code = CHOICE_step_code_CONFLICT;
	else if (e->code == ERR_GONE)
		code = CHOICE_step_code_GONE;
	step_end(s, code, REASON_NONE, "%s %s: %s", s->sent.what, s->sent.name, message);
}

bool
step_refused(struct step *s, const struct kube_reply *r, const char **message)
{
	struct err e = {.code = ERR_RETRY};
	const char *text;

	if ((!step_replied(r, 403) && !step_replied(r, 422)) || kube_reply_terminating(r))
		return false;
	kube_reply_error(r, &e);
	text = full_message(s, r, &e);
	*message = arena_strndup(&s->arena, text, strlen(text));
	if (*message == NULL)
		*message = "refused";
	return r->status == 403 ? !lacks_rights(text) : !is_another(text);
}

void
step_fail(struct step *s, const struct kube_reply *r)
{
	struct err e = {.code = ERR_RETRY};

	if ((r->outcome != KUBE_REPLIED || r->status == 401) && s->x->no_token[0] != '\0')
		step_end(s, CHOICE_step_code_DENIED, REASON_RIGHTS_MISSING, "%s", s->x->no_token);
	else if (r->outcome != KUBE_REPLIED)
		step_end(s, CHOICE_step_code_RETRY, REASON_NONE, "%s %s: %s", s->sent.what,
		    s->sent.name, r->err.text);
	else if (kube_reply_terminating(r))
		step_end(s, CHOICE_step_code_TERMINATING, REASON_NAMESPACE_TERMINATING,
		    "the namespace is being deleted");
	else {
		kube_reply_error(r, &e);
		fail_refused(s, r, &e);
	}
}
