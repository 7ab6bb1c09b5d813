/*
 * A scripted API server for the executor's tests: requests are kept, replies are given by hand, and
 * what the executor says to reconciler and log is kept too. The step machine, policy, rendering,
 * decoding and comparing are the real ones.
 */
#ifndef TESTS_UNIT_EXECUTOR_CASE_H
#define TESTS_UNIT_EXECUTOR_CASE_H

#include "workers/executor.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "objects/objects.h"
#include "tests/unit/tap.h"

#define NS "/namespaces/prod/"
#define CORE "/api/v1" NS
#define OWN "/apis/bestgres.io/v1" NS
#define APPS "/apis/apps/v1" NS
#define SETS APPS "statefulsets"
#define CR "GET " OWN "bgclusters/demo"
#define WRITE "?fieldValidation=Strict&fieldManager=bestgres"
#define UID_A "aaaaaaaa-0000-4000-8000-000000000001"  /* the cluster's */
#define UID_B "bbbbbbbb-0000-4000-8000-000000000002"  /* of what it owns */
#define UID_C "cccccccc-0000-4000-8000-000000000003"  /* somebody else's */
#define ORIGIN "11111111-0000-4000-8000-000000000004" /* the anchor's */

#define GUARD_55 "{\"metadata\":{\"uid\":\"" UID_B "\",\"resourceVersion\":\"55\""
/* More of a spec: other pods than those of "". */
#define OTHER_PODS                                                                                 \
	",\"resources\":{\"requests\":{\"cpu\":\"1000\"}},\"scheduling\":{\"nodeSelector\":{"      \
	"\"no\":\"such\"}},\"inheritedMetadata\":{\"labels\":{\"team\":\"x\"}}"

struct fake_request {
	char line[HTTP_PATH_MAX + 16]; /* "PATCH /api/..." */
	char *body;
	enum kube_body content;
	void (*done)(void *arg, const struct kube_reply *);
	void *arg;
};
static struct {
	struct fake_request at[512];
	unsigned sent, answered, looked;
	struct msg_step_done done;                 /* the last report */
	unsigned reports, told, breaches, drained; /* told: how many reports a test has looked at */
	bool no_room, paused;
	char breach[IPC_TEXT_MAX + 1];
	int log;
} fake;
static struct executor x;
static char fake_namespaces[2][64] = {"prod", "test"};
static struct arena case_arena; /* of one step */
static struct arena kept_arena; /* of the whole test */

static inline void
fake_send(struct kube *k, const struct kube_request *r,
    void (*done)(void *, const struct kube_reply *), void *arg)
{
	static const char *const methods[] = {[KUBE_GET] = "GET",
	    [KUBE_POST] = "POST",
	    [KUBE_PATCH] = "PATCH",
	    [KUBE_DELETE] = "DELETE"};
	struct fake_request *f = &fake.at[fake.sent];
	struct ipc_poison p;

	(void)k;
	if (ipc_poison_read(IPC_FD_POISON, &p) == -1 || strcmp(p.name, "demo") != 0)
		die("a request without a poison record");
	if (fake.sent == sizeof(fake.at) / sizeof(fake.at[0]))
		die("the script is too long");
	snprintf(f->line, sizeof(f->line), "%s %s", methods[r->method], r->path);
	f->body = arena_strndup(&case_arena, r->body.p != NULL ? r->body.p : "", r->body.len);
	f->content = r->content;
	f->done = done;
	f->arg = arg;
	fake.sent++;
}

static inline bool
fake_report(struct executor *e, const struct ipc_msg *m)
{
	uint8_t wire[IPC_MSG_MAX];
	struct err err;

	(void)e;
	if (fake.no_room)
		return false;
	if (ipc_encode(m, ROLE_EXECUTOR, ROLE_RECONCILER, wire, &err) == -1)
		die("a report that can not be sent: %s", err.text);
	fake.done = m->step_done;
	fake.reports++;
	return true;
}

static inline void
fake_breach(struct executor *e, const char *text)
{
	(void)e;
	snprintf(fake.breach, sizeof(fake.breach), "%s", text);
	fake.breaches++;
}

static inline void
fake_pause(struct executor *e, bool pause)
{
	(void)e;
	fake.paused = pause;
}

static inline void
fake_drained(struct executor *e)
{
	(void)e;
	fake.drained++;
}

static const struct executor_io fake_io = {
    fake_send, fake_report, fake_breach, fake_pause, fake_drained};

/* The tests run in a child whose stderr is kept; where they fail, its end is shown. */
static inline void
keep_log(void)
{
	char tail[8192];
	int status;
	pid_t pid;

	/* Past the descriptors that have fixed places, whatever this process inherited. */
	fake.log = fcntl(memfd_create("log", 0), F_DUPFD, IPC_FD_EDGE + IPC_ROLE_COUNT);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		dup2(fake.log, STDERR_FILENO);
		return;
	}
	if (pid == -1 || waitpid(pid, &status, 0) == -1)
		die("no child");
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		off_t end = lseek(fake.log, 0, SEEK_END);
		ssize_t n = pread(fake.log, tail, sizeof(tail),
		    end > (off_t)sizeof(tail) ? end - (off_t)sizeof(tail) : 0);

		if (n > 0 && write(STDERR_FILENO, tail, (size_t)n) == -1)
			_exit(EXIT_BUG);
	}
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_BUG);
}

static inline void
case_init(void)
{
	keep_log();
	if (dup2(ipc_poison_new(), IPC_FD_POISON) == -1)
		die("no poison record");
	log_set_level(LOG_DEBUG);
	arena_init(&case_arena, 256u << 20);
	arena_init(&kept_arena, 256u << 20);
	x.io = &fake_io;
	x.image = STR("operator:1");
	x.pull_policy = STR("IfNotPresent");
	x.namespaces = fake_namespaces;
	x.namespaces_n = 2;
	executor_init(&x);
}

static inline const char *fmt(const char *format, ...) __attribute__((format(printf, 1, 2)));
static inline const char *
fmt(const char *format, ...)
{
	struct buf b;
	char text[65536];
	va_list ap;
	const char *copy;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	buf_init(&b, sizeof(text));
	buf_puts(&b, text);
	copy = arena_strndup(&case_arena, b.p, b.len);
	buf_free(&b);
	return copy;
}

static inline struct uid
uid_of(const char *text)
{
	struct uid u = {{0}};

	if (text != NULL && uid_parse(str_of(text), &u) == -1)
		die("%s is no uid", text);
	return u;
}

static inline const char *
keep(const char *text)
{
	return arena_strndup(&kept_arena, text, strlen(text));
}

static inline int
case_done(void)
{
	arena_free(&case_arena);
	arena_free(&kept_arena);
	return tap_done();
}

/* --- Asking. */

static inline void
take(uint8_t verb, uint8_t child, uint8_t ordinal, const char *target)
{
	struct ipc_msg m = {.type = IPC_STEP, .fds = {-1, -1}};

	m.step = (struct msg_step){.id = 7,
	    .verb = verb,
	    .child = child,
	    .ordinal = ordinal,
	    .namespace = "prod",
	    .name = "demo",
	    .uid = uid_of(UID_A),
	    .generation = 3,
	    .target = uid_of(target)};
	memset(&fake.done, 0, sizeof(fake.done));
	executor_take(&x, &m);
}

/* The next request must be this one; its body, or NULL. */
static inline const char *
asks(const char *line)
{
	struct fake_request *f = &fake.at[fake.looked];

	if (fake.looked < fake.sent && strcmp(f->line, line) == 0) {
		CHECK(true, line);
		fake.looked++;
		return f->body;
	}
	CHECK(false, line);
	printf("# but: %s\n", fake.looked < fake.sent ? f->line : "nothing");
	if (fake.reports > 0)
		printf("# last report: code %s reason %s text %s\n",
		    choice_text(VOCAB_step_code, fake.done.code),
		    choice_text(VOCAB_reason, fake.done.reason), fake.done.text);
	fake.looked = fake.sent;
	return "";
}

static inline void
answer_as(const struct kube_reply *r)
{
	struct fake_request *f = &fake.at[fake.answered];

	if (fake.answered == fake.sent) {
		CHECK(false, "there is a request to answer");
		return;
	}
	fake.answered++;
	f->done(f->arg, r);
}

/* The body is gone after the callback, as kube.h says. */
static inline void
answer(int status, const char *body)
{
	char *p = xcalloc(1, strlen(body) + 1);
	struct kube_reply r = {
	    .outcome = KUBE_REPLIED, .status = status, .body = {p, strlen(body)}};

	memcpy(p, body, strlen(body));
	answer_as(&r);
	xfree(p);
}

static inline void
answer_lost(void)
{
	struct kube_reply r = {.outcome = KUBE_UNKNOWN};

	err_set(&r.err, ERR_RETRY, "the connection broke");
	answer_as(&r);
}

static inline const char *
status(int code, const char *message)
{
	return fmt("{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"Failure\",\"message\":"
		   "\"%s\",\"code\":%d}",
	    message, code);
}

static inline void
forget(void)
{
	fake.told = fake.reports;
	fake.looked = fake.answered = fake.sent = 0;
	arena_reset(&case_arena);
}

/* One report since the last call, of this code, and no request that was not looked at. */
static inline void
ends_as(enum choice_step_code code, enum choice_reason reason, const char *name)
{
	bool ok = fake.reports == fake.told + 1 && fake.done.code == code &&
	          fake.done.reason == reason && fake.looked == fake.sent &&
	          fake.answered == fake.sent && fake.done.id == 7;

	CHECK(ok, name);
	if (!ok)
		printf("# %s %s: %s; %u sent %u looked %u answered\n",
		    choice_text(VOCAB_step_code, fake.done.code),
		    choice_text(VOCAB_reason, fake.done.reason), fake.done.text, fake.sent,
		    fake.looked, fake.answered);
	forget();
}
#define ends(code, reason, name) ends_as(CHOICE_step_code_##code, REASON_##reason, name)

/* --- Objects. */

/* meta: more members of metadata, spec: more of spec; each begins with a comma or is empty. */
static inline const char *
cluster_json(const char *meta, const char *spec)
{
	return fmt(
	    "{\"apiVersion\":\"bestgres.io/"
	    "v1\",\"kind\":\"BGCluster\",\"metadata\":{\"name\":\"demo\",\"namespace\":\"prod\","
	    "\"uid\":\"" UID_A "\",\"generation\":3,\"resourceVersion\":\"100\"%s},\"spec\":{"
	    "\"image\":\"pg:17\",\"instances\":2,"
	    "\"storage\":{\"size\":\"1Gi\"}%s}}",
	    meta, spec);
}
#define FINALIZED ",\"finalizers\":[\"other/one\",\"" FINALIZER "\"]"
#define DELETING ",\"deletionTimestamp\":\"2026-11-23T09:51:00Z\""

static inline void
answer_cluster(void)
{
	asks(CR);
	answer(200, cluster_json(FINALIZED, ""));
}

static inline void
answer_hibernated(void)
{
	asks(CR);
	answer(200, cluster_json(FINALIZED, ",\"hibernated\":true"));
}

static inline void
answer_deleting(const char *spec)
{
	asks(CR);
	answer(200, cluster_json(FINALIZED DELETING, spec));
}

/* A body that was POSTed, as the API server would store it. */
static inline const char *
stored(const char *body, const char *uid, unsigned version)
{
	struct guard g = {uid_of(uid), version};
	struct buf out;
	struct err e;
	const char *copy;

	buf_init(&out, HTTP_BODY_MAX);
	if (patch_guarded(&out, &g, str_of(body), &case_arena, &e) == -1)
		die("%s", e.text);
	copy = arena_strndup(&case_arena, out.p, out.len);
	buf_free(&out);
	return copy;
}

/* An object with our marks; more: further members of the root. */
static inline const char *
owned(const char *name, const char *uid, const char *owner, const char *meta, const char *more)
{
	return fmt("{\"metadata\":{\"name\":\"%s\",\"namespace\":\"prod\",\"uid\":\"%s\","
		   "\"resourceVersion\":\"55\",\"generation\":1,"
		   "\"labels\":{\"" LABEL_CLUSTER
		   "\":\"demo\"},\"annotations\":{\"" ANNOTATION_OWNER "\":\"%s\"}%s}%s}",
	    name, uid, owner, meta, more);
}

static inline const char *
anchor_json(const char *owner, const char *data)
{
	return owned("demo-data", ORIGIN, owner, "", fmt(",\"data\":{%s}", data));
}

/* What POST of child says for that spec; the step ends with a failure of the server. */
static inline const char *
rendered(uint8_t child, const char *post, const char *spec)
{
	const char *body;

	take(CHOICE_verb_ENSURE, child, 0, NULL);
	asks(CR);
	answer(200, cluster_json(FINALIZED, spec));
	body = keep(asks(post));
	answer(500, status(500, "later"));
	ends(RETRY, NONE, "a rendering for later");
	return body;
}

static inline bool
has(const char *body, const char *what)
{
	return strstr(body, what) != NULL;
}

static inline const char *
log_text(void)
{
	static char text[4u << 20];
	ssize_t n = pread(fake.log, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

#endif
