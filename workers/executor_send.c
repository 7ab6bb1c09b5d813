/*
 * How a step asks, and reads what comes back: for the verbs. Paths come from kube_path; what is
 * written is strictly validated and carries our field manager; a body is wiped before it is freed,
 * since a Secret's passes here too.
 */
#include "workers/executor.h"

#include <stdio.h>
#include <string.h>

#define WRITE_QUERY "fieldValidation=Strict&fieldManager=bestgres"
#define DRY_RUN "&dryRun=All"

static void
drop_body(struct buf *body)
{
	if (body == NULL)
		return;
	if (body->p != NULL)
		explicit_bzero(body->p, body->size);
	buf_free(body);
}

static void
send_request(struct step *s, enum kube_method method, const char *path, enum kube_body content,
    struct buf *body, step_next *next)
{
	struct kube_request r = {.method = method, .path = path, .content = content};

	if (body != NULL && body->full) {
		drop_body(body);
		step_end(s, CHOICE_step_code_INVALID, REASON_SPEC_REFUSED,
		    "%s %s would be longer than %u bytes", s->sent.what, s->sent.name,
		    HTTP_BODY_MAX);
		return;
	}
	if (body != NULL)
		r.body = buf_view(body);
	s->sent.method = method;
	s->next = next;
	s->x->io->send(s->x->kube, &r, step_replied_to, s);
	drop_body(body);
}

/* What the reply's texts will name. */
static void
remember(struct step *s, const char *what, const char *name)
{
	s->sent.what = what;
	snprintf(s->sent.name, sizeof(s->sent.name), "%s", name);
}

void
step_get(struct step *s, enum kind k, const char *name, step_next *next)
{
	char path[HTTP_PATH_MAX];

	kube_path(path, k, s->req.namespace, name, NULL, NULL);
	remember(s, kind_info[k].name, name);
	send_request(s, KUBE_GET, path, KUBE_JSON, NULL, next);
}

/* A namespace stands in none, so it has no place in model/kinds.def. Its name passed the policy. */
void
step_get_namespace(struct step *s, step_next *next)
{
	char path[HTTP_PATH_MAX];

	snprintf(path, sizeof(path), "/api/v1/namespaces/%s", s->req.namespace);
	remember(s, "Namespace", s->req.namespace);
	send_request(s, KUBE_GET, path, KUBE_JSON, NULL, next);
}

void
step_list(struct step *s, enum kind k, step_next *next, const char *query, ...)
{
	char path[HTTP_PATH_MAX], text[HTTP_PATH_MAX / 2];
	va_list ap;
	int n;

	va_start(ap, query);
	n = vsnprintf(text, sizeof(text), query, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(text))
		die("the query of a list is too long");
	kube_path(path, k, s->req.namespace, NULL, NULL, text);
	remember(s, kind_info[k].name, "list");
	send_request(s, KUBE_GET, path, KUBE_JSON, NULL, next);
}

void
step_list_cluster(struct step *s, enum kind k, step_next *next)
{
	step_list(s, k, next, "labelSelector=bestgres.io%%2Fcluster%%3D%s&limit=%u", s->req.name,
	    LIST_PAGE);
}

void
step_post(
    struct step *s, enum kind k, const char *name, bool dry_run, struct buf *body, step_next *next)
{
	char path[HTTP_PATH_MAX];

	kube_path(
	    path, k, s->req.namespace, NULL, NULL, dry_run ? WRITE_QUERY DRY_RUN : WRITE_QUERY);
	remember(s, kind_info[k].name, name);
	send_request(s, KUBE_POST, path, KUBE_JSON, body, next);
}

void
step_patch(struct step *s, enum kind k, const char *name, const char *sub, struct buf *body,
    step_next *next)
{
	char path[HTTP_PATH_MAX];

	kube_path(path, k, s->req.namespace, name, sub,
	    s->req.verb == CHOICE_verb_TRY_TEMPLATE ? WRITE_QUERY DRY_RUN : WRITE_QUERY);
	remember(s, kind_info[k].name, name);
	send_request(s, KUBE_PATCH, path, KUBE_MERGE_PATCH, body, next);
}

void
step_patch_guarded(struct step *s, enum kind k, const char *name, const char *sub,
    const struct guard *g, struct buf *patch, step_next *next)
{
	struct buf body;
	struct err e;
	int rc;

	buf_init(&body, HTTP_BODY_MAX);
	rc = patch_guarded(&body, g, buf_view(patch), &s->arena, &e);
	buf_free(patch);
	if (rc == 0) {
		step_patch(s, k, name, sub, &body, next);
		return;
	}
	buf_free(&body);
	step_end_err(s, &e);
}

void
step_delete(struct step *s, enum kind k, const char *name, const struct guard *g,
    const char *propagation, step_next *next)
{
	char path[HTTP_PATH_MAX];
	struct buf body;

	buf_init(&body, HTTP_BODY_MAX);
	patch_delete_options(&body, g, propagation);
	kube_path(path, k, s->req.namespace, name, NULL, NULL);
	remember(s, kind_info[k].name, name);
	send_request(s, KUBE_DELETE, path, KUBE_JSON, &body, next);
}

/* --- Replies. */

bool
step_replied(const struct kube_reply *r, int status)
{
	return r->outcome == KUBE_REPLIED && r->status == status;
}

bool
step_ok(const struct kube_reply *r)
{
	return r->outcome == KUBE_REPLIED && r->status >= 200 && r->status <= 299;
}

/* What the API server sends and we can not read is never the user's fault: RETRY. */
static void
end_unreadable(struct step *s, const struct err *e)
{
	step_end(s, CHOICE_step_code_RETRY, REASON_NONE, "%s %s: unreadable reply: %s",
	    s->sent.what, s->sent.name, e->text);
}

int
step_parse_cluster(
    struct step *s, struct str body, struct json *j, struct err *limit, struct err *e)
{
	struct buf outline;
	char *copy;
	int r;

	if (json_parse(j, body, &s->arena, e) == 0)
		return 0;
	if (e->code != ERR_LIMIT)
		return -1;
	*limit = *e;
	buf_init(&outline, JSON_OBJECT_MAX);
	r = json_outline(body, &outline, e);
	copy = r == 0 ? arena_strndup(&s->arena, outline.p, outline.len) : NULL;
	if (r == 0 && copy == NULL)
		r = err_set(e, ERR_LIMIT, "the object is too large to be kept");
	if (r == 0)
		r = json_parse(j, (struct str){copy, outline.len}, &s->arena, e);
	buf_free(&outline);
	return r;
}

bool
step_parse(struct step *s, const struct kube_reply *r, struct json *j)
{
	struct err e, limit;
	int rc;

	if (!step_ok(r)) {
		step_fail(s, r);
		return false;
	}
	if (s->sent.what == kind_info[KIND_BGCLUSTER].name)
		rc = step_parse_cluster(s, r->body, j, &limit, &e);
	else
		rc = json_parse(j, r->body, &s->arena, &e);
	if (rc == -1)
		end_unreadable(s, &e);
	return rc == 0;
}

bool
step_parse_object(struct step *s, const struct kube_reply *r, const char *name, struct json *j,
    struct object_meta *m)
{
	struct err e = {.code = ERR_NONE};

	if (!step_parse(s, r, j))
		return false;
	if (decode_meta(j, json_root(j), &s->arena, m, &e) == -1) {
		end_unreadable(s, &e);
		return false;
	}
	if (uid_none(&m->uid) || m->resource_version == 0 || !str_is(m->name, name) ||
	    !str_is(m->namespace, s->req.namespace)) {
		err_set(&e, ERR_INVALID, "it is another object");
		end_unreadable(s, &e);
		return false;
	}
	return true;
}

void
step_saw(struct step *s, const struct object_meta *m)
{
	s->done.present = true;
	s->done.child_uid = m->uid;
	s->done.version = m->resource_version;
	s->done.generation = m->generation;
	s->done.terminating = m->deleting;
}

bool
step_items(struct step *s, const struct kube_reply *r,
    int (*on_item)(void *arg, const struct feed_item *i), void *arg)
{
	struct feed f;
	struct err e;
	int rc;

	if (!step_ok(r)) {
		step_fail(s, r);
		return false;
	}
	feed_init(&f, FEED_LIST, on_item, arg);
	rc = feed_push(&f, r->body.p, r->body.len, &e);
	if (rc == 0)
		rc = feed_end(&f, &e);
	feed_free(&f);
	if (rc == -1)
		end_unreadable(s, &e);
	return rc == 0;
}

/* --- Whose is it? */

/*
 * By its owner, even if someone took our label off; or by the label, if an earlier cluster of this
 * name left it.
 */
bool
step_owns(const struct step *s, const struct object_meta *m)
{
	return uid_eq(&m->owner, &s->req.uid) ||
	       (str_is(m->cluster, s->req.name) && !uid_none(&m->owner));
}

void
step_end_foreign(struct step *s, enum kind k, const char *name)
{
	step_end(s, CHOICE_step_code_FOREIGN, REASON_NAME_TAKEN,
	    "%s %s exists and is not this cluster's", kind_info[k].name, name);
}
