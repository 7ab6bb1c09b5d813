/*
 * ipc/codec.c against msg.def: the table is expanded here a second time, independently of the
 * codec's own expansion, and every message and field is tried at and past its limits, from both
 * sides. `test_ipc_codec --seeds DIR` writes one valid packet per message as a seed for
 * fuzz/fuzz_ipc_codec.c instead.
 */
#include "ipc/ipc.h"

#include "tests/unit/tap.h"

enum what { END, UINT, UID, TEXT, CONDITIONS, WINDOWS, TASKS };
struct field {
	const char *name;
	enum what what;
	size_t offset;
	unsigned bytes;
	uint64_t max;
	enum charset charset;
};
struct row {
	const char *name;
	enum ipc_type type;
	unsigned from, to, state, fds;
	size_t size;
	const struct field *(*fields)(void);
};

/* clang-format off */
#define MSG(ID, id, from, to, state, fds) \
	static const struct field *of_##id(void) { \
	typedef struct msg_##id self; static const struct field f[] = {
#define N(name, bytes, max) \
	{#name, UINT, offsetof(self, name), bytes, (uint64_t)(max), CHARS_PRINT},
#define F_U8(name, max) N(name, 1, max)
#define F_U16(name, max) N(name, 2, max)
#define F_U32(name, max) N(name, 4, max)
#define F_U64(name, max) N(name, 8, max)
#define F_HASH(name) N(name, 8, UINT64_MAX)
#define F_BOOL(name) N(name, 1, 1)
#define F_ENUM(name, vocab) N(name, 1, CHOICE_##vocab##_COUNT - 1)
#define F_KIND(name) N(name, 1, KIND_COUNT - 1)
#define F_CHILD(name) N(name, 1, CHILD_COUNT - 1)
#define F_UID(name) {#name, UID, offsetof(self, name), 16, 0, CHARS_PRINT},
#define F_STR(name, charset, max) {#name, TEXT, offsetof(self, name), 2, max, charset},
#define F_CONDITIONS(name) \
	{#name, CONDITIONS, offsetof(self, name), 1, IPC_CONDITIONS_MAX, CHARS_PRINT},
#define F_WINDOWS(name) {#name, WINDOWS, offsetof(self, name), 1, WINDOWS_MAX, CHARS_PRINT},
#define F_TASKS(name) {#name, TASKS, offsetof(self, name), 1, TASKS_MAX, CHARS_PRINT},
#define END_MSG(id) {NULL, END, 0, 0, 0, CHARS_PRINT}}; (void)sizeof(self); return f; }
#include "ipc/msg.def"

static const struct row rows[] = {
#define MSG(ID, id, from, to, state, fds) \
	{#ID, IPC_##ID, from, to, IPC_##state, fds, sizeof(struct msg_##id), of_##id},
#include "ipc/msg.def"
};
/* clang-format on */
#define ROWS (sizeof(rows) / sizeof(rows[0]))

enum fill { EMPTY, FULL, MIDDLE };
static struct ipc_msg msg, back;
static uint8_t wire[IPC_MSG_MAX + 64], again[IPC_MSG_MAX];

static uint8_t *
body(struct ipc_msg *m)
{
	return (uint8_t *)&m->config;
}

static void
put(uint8_t *p, unsigned bytes, uint64_t v)
{
	uint16_t v2 = (uint16_t)v;
	uint32_t v4 = (uint32_t)v;

	if (bytes == 1)
		*p = (uint8_t)v;
	else if (bytes == 2)
		memcpy(p, &v2, 2);
	else if (bytes == 4)
		memcpy(p, &v4, 4);
	else
		memcpy(p, &v, 8);
}

static void
fill_conditions(struct ipc_conditions *c, enum fill how)
{
	c->n = how == FULL ? IPC_CONDITIONS_MAX : how == MIDDLE ? 2 : 0;
	for (uint8_t i = 0; i < c->n; i++) {
		c->at[i].type = i;
		c->at[i].status = i % CHOICE_condition_status_COUNT;
		c->at[i].reason = CHOICE_reason_COUNT - 1;
		memset(c->at[i].text, 't', how == FULL ? IPC_TEXT_MAX : 3);
	}
}

static void
fill_windows(struct windows *w, enum fill how)
{
	w->n = how == FULL ? WINDOWS_MAX : how == MIDDLE ? 2 : 0;
	for (uint8_t i = 0; i < w->n; i++) {
		w->at[i].from_min = how == FULL ? 1439 : i;
		w->at[i].to_min = how == FULL ? 1439 : 300;
		w->at[i].days = how == FULL ? 127 : 64;
		memset(w->at[i].zone, 'z', how == FULL ? ZONE_NAME_MAX : 3);
	}
}

static void
fill_tasks(struct ipc_tasks *t, enum fill how)
{
	t->n = how == FULL ? TASKS_MAX : how == MIDDLE ? 2 : 0;
	for (uint8_t i = 0; i < t->n; i++) {
		memset(&t->at[i].id, 0xa5, sizeof(t->at[i].id));
		t->at[i].attempt = how == FULL ? TASK_ATTEMPTS_MAX : i;
		t->at[i].kind = how == FULL ? CHOICE_task_kind_COUNT - 1 : i;
		t->at[i].phase = how == FULL ? CHOICE_task_phase_COUNT - 1 : i;
		t->at[i].percent = how == FULL ? 100 : 40;
		t->at[i].step = how == FULL ? UINT64_MAX : 77;
		t->at[i].cancel = i == 0;
		t->at[i].interrupted = how == FULL;
	}
}

static void
fill_field(const struct field *f, uint8_t *b, enum fill how)
{
	size_t len = how == EMPTY ? 0 : how == FULL ? f->max : f->max / 2;

	switch (f->what) {
	case UINT:
		put(b + f->offset, f->bytes, how == EMPTY ? 0 : how == FULL ? f->max : f->max / 2);
		break;
	case UID:
		memset(b + f->offset, how == EMPTY ? 0 : 0xa5, 16);
		break;
	case TEXT:
		memset(b + f->offset, 'a', len < 60 || how == FULL ? len : 60);
		break;
	case CONDITIONS:
		fill_conditions((void *)(b + f->offset), how);
		break;
	case WINDOWS:
		fill_windows((void *)(b + f->offset), how);
		break;
	case TASKS:
		fill_tasks((void *)(b + f->offset), how);
		break;
	case END:
		break;
	}
}

static void
fill(const struct row *r, enum fill how)
{
	memset(&msg, 0, sizeof(msg));
	msg.type = r->type;
	for (const struct field *f = r->fields(); f->what != END; f++)
		fill_field(f, body(&msg), how);
}

static enum ipc_role
first(unsigned mask)
{
	unsigned r = 0;

	while ((mask & (1u << r)) == 0)
		r++;
	return r;
}

static ssize_t
encode(const struct row *r, uint8_t *out)
{
	struct err e;

	return ipc_encode(&msg, first(r->from), first(r->to), out, &e);
}

static bool
decodes(const struct row *r, const uint8_t *p, size_t len)
{
	enum ipc_state s = (r->state & IPC_RUN) != 0 ? IPC_RUN : IPC_START;
	struct err e;

	return ipc_decode(p, len, r->fds, first(r->from), first(r->to), s, &back, &e) == 0;
}

/* Bytes of an exact size, so that ASan sees a read past the end. */
static bool
decodes_copy(const struct row *r, const uint8_t *p, size_t len)
{
	uint8_t *copy = malloc(len == 0 ? 1 : len);
	bool ok;

	memcpy(copy, p, len);
	ok = decodes(r, copy, len);
	free(copy);
	return ok;
}

static bool
round_trip(const struct row *r, enum fill how)
{
	ssize_t n, m;

	fill(r, how);
	n = encode(r, wire);
	if (n < 2 || !decodes_copy(r, wire, (size_t)n) || back.type != r->type)
		return false;
	if (memcmp(body(&back), body(&msg), r->size) != 0)
		return false;
	msg = back;
	m = encode(r, again);
	return m == n && memcmp(wire, again, (size_t)n) == 0;
}

static bool
lengths_refused(const struct row *r)
{
	ssize_t n;

	fill(r, MIDDLE);
	n = encode(r, wire);
	for (ssize_t i = 0; i < n; i++)
		if (decodes_copy(r, wire, (size_t)i))
			return false;
	for (unsigned extra = 0; extra < 256; extra++) {
		wire[n] = (uint8_t)extra;
		if (decodes_copy(r, wire, (size_t)n + 1))
			return false;
	}
	return true;
}

static bool
ways_refused(const struct row *r)
{
	struct err e;
	ssize_t n;

	fill(r, MIDDLE);
	n = encode(r, wire);
	for (unsigned from = 0; from < IPC_ROLE_COUNT; from++)
		for (unsigned to = 0; to < IPC_ROLE_COUNT; to++) {
			bool may = (r->from & (1u << from)) != 0 && (r->to & (1u << to)) != 0;
			enum ipc_state s = (r->state & IPC_RUN) != 0 ? IPC_RUN : IPC_START;

			if ((ipc_decode(wire, (size_t)n, r->fds, from, to, s, &back, &e) == 0) !=
				may ||
			    (ipc_encode(&msg, from, to, again, &e) != -1) != may)
				return false;
		}
	return true;
}

static bool
states_and_fds_refused(const struct row *r)
{
	struct err e;
	ssize_t n;

	fill(r, MIDDLE);
	n = encode(r, wire);
	for (unsigned s = IPC_START; s <= IPC_RUN; s++)
		for (unsigned fds = 0; fds <= IPC_FDS_MAX + 2; fds++) {
			bool may = (r->state & s) != 0 && fds == r->fds;

			if ((ipc_decode(wire, (size_t)n, fds, first(r->from), first(r->to), s,
				 &back, &e) == 0) != may)
				return false;
		}
	return true;
}

/* The packet of an EMPTY message up to field f: where f lies on the wire. */
static size_t
wire_offset(const struct row *r, const struct field *f)
{
	size_t at = 2;

	for (const struct field *g = r->fields(); g != f; g++)
		at += g->bytes;
	return at;
}

static bool
uint_refused(const struct row *r, const struct field *f)
{
	uint64_t top = f->bytes == 8 ? UINT64_MAX : ((uint64_t)1 << (8 * f->bytes)) - 1;
	ssize_t n;

	if (f->max == top)
		return true;
	for (int i = 0; i < 2; i++) {
		uint64_t bad = i == 0 ? f->max + 1 : top;

		fill(r, EMPTY);
		n = encode(r, wire);
		for (unsigned b = 0; b < f->bytes; b++)
			wire[wire_offset(r, f) + b] = (uint8_t)(bad >> (8 * b));
		if (decodes(r, wire, (size_t)n))
			return false;
		put(body(&msg) + f->offset, f->bytes, bad);
		if (encode(r, again) != -1)
			return false;
	}
	return true;
}

/* An EMPTY packet with s as field f's text. */
static size_t
splice(const struct row *r, const struct field *f, const char *s, size_t len)
{
	size_t at = wire_offset(r, f);
	ssize_t n;

	fill(r, EMPTY);
	n = encode(r, wire);
	memmove(wire + at + 2 + len, wire + at + 2, (size_t)n - at - 2);
	wire[at] = (uint8_t)len;
	wire[at + 1] = (uint8_t)(len >> 8);
	memcpy(wire + at + 2, s, len);
	return (size_t)n + len;
}

static bool
text_refused(const struct row *r, const struct field *f)
{
	static const char *const bad[] = {"\x01", "a\x7f", "\x1b[2J", "\xff", "\xc0\x80", "a\r"};
	char *big = malloc(f->max + 2);
	bool ok;

	memset(big, 'a', f->max + 2);
	ok = !decodes(r, wire, splice(r, f, big, f->max + 1));
	ok = ok && decodes(r, wire, splice(r, f, big, f->max));
	ok = ok && !decodes(r, wire, splice(r, f, "a\0", 2)) &&
	     !decodes(r, wire, splice(r, f, "\0a", 2));
	fill(r, EMPTY);
	memcpy(body(&msg) + f->offset, big, f->max + 1); /* no NUL */
	ok = ok && encode(r, again) == -1;
	free(big);
	for (size_t i = 0; ok && i < sizeof(bad) / sizeof(bad[0]) && f->max >= 4; i++) {
		ok = !decodes(r, wire, splice(r, f, bad[i], strlen(bad[i])));
		fill(r, EMPTY);
		memcpy(body(&msg) + f->offset, bad[i], strlen(bad[i]));
		ok = ok && encode(r, again) == -1;
	}
	return ok;
}

static bool
fields_refused(const struct row *r)
{
	for (const struct field *f = r->fields(); f->what != END; f++) {
		bool ok = f->what == UINT   ? uint_refused(r, f)
		          : f->what == TEXT ? text_refused(r, f)
		                            : true;

		if (!ok) {
			printf("# %s.%s\n", r->name, f->name);
			return false;
		}
	}
	return true;
}

/* Those rules that one field's table row does not show. */
static void
test_charsets(void)
{
	static const struct {
		const char *name;
		bool ok;
	} names[] = {{"demo", true}, {"de-mo", true}, {"1demo", false}, {"Demo", false},
	    {"-demo", false}, {"demo-", false}, {"de.mo", false}, {"de mo", false}};
	const struct row *r = &rows[IPC_STEP];
	const struct field *f = r->fields();

	while (strcmp(f->name, "name") != 0)
		f++;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		size_t len = splice(r, f, names[i].name, strlen(names[i].name));

		CHECK(decodes(r, wire, len) == names[i].ok, names[i].name);
	}
	r = &rows[IPC_SPEC_SQL];
	CHECK(decodes(r, wire, splice(r, r->fields(), "a\n\tb", 4)), "SQL may have lines");
	r = &rows[IPC_SPEC_HBA];
	CHECK(!decodes(r, wire, splice(r, r->fields(), "a\nb", 3)), "an HBA line may not");
}

static bool
conditions_refused(void (*spoil)(struct ipc_conditions *))
{
	const struct row *r = &rows[IPC_STEP_STATUS];

	fill(r, MIDDLE);
	spoil(&msg.step_status.conditions);
	return encode(r, again) == -1;
}

static void
spoil_count(struct ipc_conditions *c)
{
	c->n = IPC_CONDITIONS_MAX + 1;
}

static void
spoil_order(struct ipc_conditions *c)
{
	c->at[0].type = 2;
}

static void
spoil_twice(struct ipc_conditions *c)
{
	c->at[1].type = c->at[0].type;
}

static void
spoil_reason(struct ipc_conditions *c)
{
	c->at[1].reason = CHOICE_reason_COUNT;
}

static void
spoil_text(struct ipc_conditions *c)
{
	c->at[1].text[1] = '\n';
}

static void
test_conditions(void)
{
	const struct row *r = &rows[IPC_STEP_STATUS];
	ssize_t n;

	CHECK(conditions_refused(spoil_count), "more conditions than there are types: not encoded");
	CHECK(conditions_refused(spoil_order), "conditions out of order: not encoded");
	CHECK(conditions_refused(spoil_twice), "a condition twice: not encoded");
	CHECK(conditions_refused(spoil_reason), "a condition's reason out of range: not encoded");
	CHECK(conditions_refused(spoil_text), "a condition's text with a newline: not encoded");

	/* conditions come last: count, then rows of (type, status, reason, length, 3 bytes) */
	fill(r, MIDDLE);
	n = encode(r, wire);
	size_t row1 = (size_t)n - 8, row0 = row1 - 8, count = row0 - 1;
	CHECK(wire[count] == 2 && decodes(r, wire, (size_t)n), "two conditions");
	wire[row0] = 1;
	CHECK(!decodes(r, wire, (size_t)n), "a condition twice: refused");
	wire[row0] = 2;
	CHECK(!decodes(r, wire, (size_t)n), "conditions out of order: refused");
	wire[row0] = 0;
	wire[row1] = CHOICE_condition_type_COUNT;
	CHECK(!decodes(r, wire, (size_t)n), "a condition's type out of range: refused");
	wire[row1] = 1;
	wire[row1 + 1] = CHOICE_condition_status_COUNT;
	CHECK(!decodes(r, wire, (size_t)n), "a condition's status out of range: refused");
	wire[row1 + 1] = 0;
	wire[count] = 3;
	CHECK(!decodes(r, wire, (size_t)n), "a count past the rows: refused");
	wire[count] = 255;
	CHECK(!decodes(r, wire, (size_t)n), "a count past the table: refused");
}

static void
test_windows(void)
{
	const struct row *r = &rows[IPC_REC_CLUSTER];
	struct windows *w = &msg.rec_cluster.windows;
	ssize_t n;

	fill(r, MIDDLE);
	w->n = WINDOWS_MAX + 1;
	CHECK(encode(r, again) == -1, "too many windows: not encoded");
	fill(r, MIDDLE);
	w->at[1].from_min = 1440;
	CHECK(encode(r, again) == -1, "a window from 24:00: not encoded");
	fill(r, MIDDLE);
	w->at[0].zone[1] = '\n';
	CHECK(encode(r, again) == -1, "a zone with a newline: not encoded");

	/* windows come last: count, then rows of (from, to, days, length, 3 bytes) */
	fill(r, MIDDLE);
	n = encode(r, wire);
	size_t row1 = (size_t)n - 10, count = row1 - 10 - 1;
	CHECK(wire[count] == 2 && decodes(r, wire, (size_t)n), "two windows, in any order");
	wire[row1 + 3] = 1440 >> 8;
	wire[row1 + 2] = 1440 & 255;
	CHECK(!decodes(r, wire, (size_t)n), "a window to 24:00: refused");
	wire[row1 + 3] = 0;
	wire[row1 + 4] = 128;
	CHECK(!decodes(r, wire, (size_t)n), "an eighth day: refused");
	wire[row1 + 4] = 1;
	wire[count] = 3;
	CHECK(!decodes(r, wire, (size_t)n), "a count past the rows: refused");
	wire[count] = WINDOWS_MAX + 1;
	CHECK(!decodes(r, wire, (size_t)n), "a count past the table: refused");
}

static void
test_tasks(void)
{
	const struct row *r = &rows[IPC_REC_INSTANCE];
	struct ipc_tasks *t = &msg.rec_instance.tasks;
	ssize_t n;

	fill(r, MIDDLE);
	t->n = TASKS_MAX + 1;
	CHECK(encode(r, again) == -1, "more tasks than slots: not encoded");
	fill(r, MIDDLE);
	t->at[1].percent = 101;
	CHECK(encode(r, again) == -1, "a task of 101 percent: not encoded");
	fill(r, MIDDLE);
	n = encode(r, wire);
	CHECK(n > 0 && decodes(r, wire, (size_t)n) && back.rec_instance.tasks.n == 2 &&
		  back.rec_instance.tasks.at[1].attempt == 1 &&
		  back.rec_instance.tasks.at[0].cancel && !back.rec_instance.tasks.at[1].cancel,
	    "two tasks, each in its slot");
}

static void
test_rest(void)
{
	struct err e;

	memset(&back, 0x5a, sizeof(back));
	wire[0] = IPC_PING;
	wire[1] = 0;
	CHECK(ipc_decode(wire, 2, 0, ROLE_SUPERVISOR, ROLE_BROKER, IPC_RUN, &back, &e) == -1 &&
		  ((uint8_t *)&back)[0] == 0x5a && ((uint8_t *)&back)[sizeof(back) - 1] == 0x5a,
	    "nothing is written unless all is good");
	wire[0] = IPC_TYPE_COUNT & 0xff;
	wire[1] = IPC_TYPE_COUNT >> 8;
	CHECK(ipc_decode(wire, 2, 0, ROLE_SUPERVISOR, ROLE_BROKER, IPC_RUN, &back, &e) == -1 &&
		  e.code == ERR_INVALID,
	    "a type past the table");
	wire[0] = wire[1] = 0xff;
	CHECK(ipc_decode(wire, 2, 0, ROLE_SUPERVISOR, ROLE_BROKER, IPC_RUN, &back, &e) == -1,
	    "0xffff");
	memset(&msg, 0, sizeof(msg));
	msg.type = IPC_TYPE_COUNT;
	CHECK(ipc_encode(&msg, ROLE_SUPERVISOR, ROLE_BROKER, again, &e) == -1,
	    "no such message to encode");
	CHECK(ipc_table_hash() == ipc_table_hash() && ipc_table_hash() != HASH_INIT,
	    "the table has a hash");
	CHECK(strcmp(ipc_role_name(ROLE_PGCTL), "pgctl") == 0 &&
		  strcmp(ipc_role_name(IPC_ROLE_COUNT), "?") == 0,
	    "names of roles");
	CHECK(strcmp(ipc_type_name(IPC_STEP_DONE), "STEP_DONE") == 0 &&
		  strcmp(ipc_type_name(IPC_TYPE_COUNT), "?") == 0 && ipc_type_fds(IPC_TOKEN) == 2,
	    "names of messages");
}

/* As fuzz/fuzz_ipc_codec.c reads its first byte. */
static int
write_seeds(const char *dir)
{
	for (size_t i = 0; i < ROWS; i++) {
		const struct row *r = &rows[i];
		char path[512];
		FILE *f;
		ssize_t n;
		uint8_t way = (uint8_t)(first(r->from) | first(r->to) << 3);

		if ((r->state & IPC_RUN) != 0)
			way |= 0x40;
		if (r->fds > 0)
			way |= 0x80;
		fill(r, MIDDLE);
		n = encode(r, wire);
		snprintf(path, sizeof(path), "%s/%s", dir, r->name);
		f = fopen(path, "w");
		if (n == -1 || f == NULL || fwrite(&way, 1, 1, f) != 1 ||
		    fwrite(wire, 1, (size_t)n, f) != (size_t)n || fclose(f) != 0)
			return 1;
	}
	return 0;
}

int
main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "--seeds") == 0)
		return write_seeds(argv[2]);
	for (size_t i = 0; i < ROWS; i++) {
		const struct row *r = &rows[i];
		char name[128];

#define EACH(cond, text) (snprintf(name, sizeof(name), "%s: %s", r->name, text), CHECK(cond, name))
		EACH(round_trip(r, EMPTY), "round trip, empty");
		EACH(round_trip(r, MIDDLE), "round trip");
		EACH(round_trip(r, FULL), "round trip, at every limit");
		EACH(lengths_refused(r), "cut short or with a byte more");
		EACH(ways_refused(r), "every direction but its own");
		EACH(
		    states_and_fds_refused(r), "every state and number of descriptors but its own");
		EACH(fields_refused(r), "every field past its limit");
	}
	test_charsets();
	test_conditions();
	test_windows();
	test_tasks();
	test_rest();
	return tap_done();
}
