/*
 * ENSURE of the two Secrets. We may create Secrets and nothing else, so one is made once: its
 * anchor then remembers that, and from then on it is only probed for (a dry run of POST says 409
 * when it is there). It is never made anew: the database knows the old passwords. When the first
 * creation finds one, it is ours, made just before a crash: before the anchor was made there was
 * none (executor_anchor.c). Should it be a foreign one after all, the pod will tell: it reports
 * the anchor's uid that stands in the mounted Secret (BGInstance.status.secretsAnchorUID).
 */
#include "objects/objects.h"
#include "workers/executor.h"

#include <string.h>

#define NAMES_MAX 1024
#define PASSWORDS 4
#define PASSWORD_LEN 32 /* of 62 characters: 190 bits */

/* Uniform over 62 characters: bytes past the last multiple are thrown again. */
static void
fill_password(char *out)
{
	static const char chars[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	const unsigned n = sizeof(chars) - 1;
	unsigned char byte;

	for (unsigned i = 0; i < PASSWORD_LEN;) {
		rand_bytes(&byte, 1);
		if (byte < 256 / n * n)
			out[i++] = chars[byte % n];
	}
	explicit_bzero(&byte, sizeof(byte));
}

static int
render_with(struct step *s, const char *passwords, struct buf *out, struct err *e)
{
	struct object_ctx ctx = {.anchor = s->anchor.meta.uid};

	for (unsigned i = 0; i < PASSWORDS; i++)
		ctx.password[i] = (struct str){passwords + i * PASSWORD_LEN, PASSWORD_LEN};
	return objects_render(s->req.child, 0, &s->cluster, &ctx, out, e);
}

/*
 * Once with worthless passwords, so that the buffer has its size and no growth leaves a copy of the
 * real ones behind.
 */
static int
render_secret(struct step *s, struct buf *out, struct err *e)
{
	char worthless[PASSWORDS * PASSWORD_LEN];
	struct secret passwords;
	int rc;

	memset(worthless, 'x', sizeof(worthless));
	if (render_with(s, worthless, out, e) == -1)
		return -1;
	buf_reset(out);
	secret_alloc(&passwords, sizeof(worthless));
	for (unsigned i = 0; i < PASSWORDS; i++)
		fill_password(passwords.p + i * PASSWORD_LEN);
	rc = render_with(s, passwords.p, out, e);
	secret_free(&passwords);
	return rc;
}

/* A dry run of the smallest Secret of that name: 409 = there is one, 201 = there is none. */
void
verb_probe_secret(struct step *s, enum child c, step_next *next)
{
	char name[NAME_MAX_LABEL + 1];
	struct buf body;
	struct jw w;

	model_child_name(name, c, s->req.name, 0);
	buf_init(&body, HTTP_BODY_MAX);
	jw_init(&w, &body);
	jw_object(&w);
	jw_kv(&w, "apiVersion", "v1");
	jw_kv(&w, "kind", "Secret");
	jw_key(&w, "metadata");
	jw_object(&w);
	jw_kv(&w, "name", name);
	jw_kv(&w, "namespace", s->req.namespace);
	jw_end(&w);
	jw_end(&w);
	step_post(s, KIND_SECRET, name, true, &body, next);
}

static bool
was_made(const struct step *s)
{
	return s->req.child == CHILD_APP ? s->anchor.app_made : s->anchor.credentials_made;
}

static void
end_present(struct step *s)
{
	s->done.present = true;
	step_end_done(s);
}

static void
on_probed(struct step *s, const struct kube_reply *r)
{
	if (step_replied(r, 409))
		end_present(s);
	else if (step_ok(r))
		step_end(s, CHOICE_step_code_INVALID, REASON_CREDENTIALS_MISSING,
		    "Secret %s is missing, and the database knows its passwords: restore it",
		    s->name);
	else
		step_fail(s, r);
}

static void
on_recorded(struct step *s, const struct kube_reply *r)
{
	if (step_ok(r))
		end_present(s);
	else
		step_fail(s, r);
}

/* What the application's Secret is made with, and then its database: owner and name. */
static void
put_names(const struct step *s, struct buf *out)
{
	struct jw w;

	buf_init(out, NAMES_MAX);
	jw_init(&w, out);
	jw_array(&w);
	jw_str(&w, objects_app_name(s->cluster.owner));
	jw_str(&w, objects_app_name(s->cluster.database));
	jw_end(&w);
	buf_put(out, "", 1);
}

static void
on_made(struct step *s, const struct kube_reply *r)
{
	struct guard guard = patch_guard(&s->anchor.meta);
	struct buf body, names;

	if (!step_ok(r) && !step_replied(r, 409)) {
		step_fail(s, r);
		return;
	}
	buf_init(&body, HTTP_BODY_MAX);
	put_names(s, &names);
	if (s->req.child == CHILD_APP)
		patch_anchor_data(&body, &guard, ANCHOR_APP, names.p);
	else
		patch_anchor_data(&body, &guard, ANCHOR_CREDENTIALS, "true");
	buf_free(&names);
	step_patch(s, KIND_CONFIGMAP, s->anchor_name, NULL, &body, on_recorded);
}

bool
verb_names_differ(const struct step *s)
{
	struct buf names;
	bool same;

	if (!s->anchor.app_made || str_is(s->anchor.app, "true"))
		return false;
	put_names(s, &names);
	same = str_is(s->anchor.app, names.p);
	buf_free(&names);
	return !same;
}

static void
on_secret_anchor(struct step *s)
{
	struct buf body;
	struct err e;

	if (s->req.child == CHILD_APP && verb_names_differ(s)) {
		step_end(s, CHOICE_step_code_INVALID, REASON_BOOTSTRAP_DIFFERS,
		    "The kept data has [owner, database] %.*s, and no other is made beside it: "
		    "make the BGCluster with these in spec.bootstrap",
		    (int)s->anchor.app.len, s->anchor.app.p);
		return;
	}
	if (was_made(s)) {
		verb_probe_secret(s, s->req.child, on_probed);
		return;
	}
	buf_init(&body, HTTP_BODY_MAX);
	if (render_secret(s, &body, &e) == 0) {
		step_post(s, KIND_SECRET, s->name, false, &body, on_made);
		return;
	}
	explicit_bzero(body.p, body.size);
	buf_free(&body);
	step_end_err(s, &e);
}

void
verb_ensure_secret(struct step *s)
{
	verb_with_anchor(s, on_secret_anchor);
}
