/*
 * The codec: msg.def expanded into one table of rows (who may send what to whom, and when) and, for
 * each row, a table of fields. Encoder and decoder walk the same tables and share every check, so
 * that what one refuses the other refuses too. Pure: bytes in, struct out. Callers: ipc/channel.c,
 * tests and the fuzzer.
 */
#include "ipc/ipc.h"

enum field_type {
	FIELD_END,
	FIELD_UINT,
	FIELD_UID,
	FIELD_STR,
	FIELD_CONDITIONS, /* from here on: a count and rows, see lists[] */
	FIELD_WINDOWS,
	FIELD_TASKS
};
#define NO_VOCAB VOCAB_COUNT
struct field {
	const char *name;
	enum field_type type;
	size_t offset;        /* in its struct */
	unsigned bytes;       /* UINT: in its struct and on the wire */
	uint64_t max;         /* UINT: its value; STR: its length */
	enum charset charset; /* STR */
	enum vocab vocab;     /* UINT: what its values are called, or NO_VOCAB */
};

/* clang-format off */
#define UINT_ROW(name, bytes, max, vocab) \
	{#name, FIELD_UINT, offsetof(self, name), bytes, (uint64_t)(max), CHARS_PRINT, vocab},
#define UID_ROW(name) {#name, FIELD_UID, offsetof(self, name), 0, 0, CHARS_PRINT, NO_VOCAB},
#define STR_ROW(name, charset, max) \
	{#name, FIELD_STR, offsetof(self, name), 0, max, charset, NO_VOCAB},
#define END_ROW {NULL, FIELD_END, 0, 0, 0, CHARS_PRINT, NO_VOCAB}

static const struct field *
fields_condition(void)
{
	typedef struct ipc_condition self;
	static const struct field rows[] = {
		UINT_ROW(type, 1, CHOICE_condition_type_COUNT - 1, VOCAB_condition_type)
		UINT_ROW(status, 1, CHOICE_condition_status_COUNT - 1, VOCAB_condition_status)
		UINT_ROW(reason, 1, CHOICE_reason_COUNT - 1, VOCAB_reason)
		STR_ROW(text, CHARS_TEXT, IPC_TEXT_MAX)
		END_ROW
	};
	return rows;
}

static const struct field *
fields_window(void)
{
	typedef struct window self;
	static const struct field rows[] = {
		UINT_ROW(from_min, 2, WINDOW_MINUTE_MAX, NO_VOCAB)
		UINT_ROW(to_min, 2, WINDOW_MINUTE_MAX, NO_VOCAB)
		UINT_ROW(days, 1, WINDOW_EVERY_DAY, NO_VOCAB)
		STR_ROW(zone, CHARS_PRINT, ZONE_NAME_MAX)
		END_ROW
	};
	return rows;
}

static const struct field *
fields_slot(void)
{
	typedef struct ipc_task self;
	static const struct field rows[] = {
		UID_ROW(id)
		UINT_ROW(attempt, 2, TASK_ATTEMPTS_MAX, NO_VOCAB)
		UINT_ROW(kind, 1, CHOICE_task_kind_COUNT - 1, VOCAB_task_kind)
		UINT_ROW(cancel, 1, 1, NO_VOCAB)
		UINT_ROW(phase, 1, CHOICE_task_phase_COUNT - 1, VOCAB_task_phase)
		UINT_ROW(interrupted, 1, 1, NO_VOCAB)
		UINT_ROW(percent, 1, 100, NO_VOCAB)
		UINT_ROW(step, 8, UINT64_MAX, NO_VOCAB)
		END_ROW
	};
	return rows;
}

/* fields_step() and so on, one for each message. */
#define MSG(ID, id, from, to, state, fds) \
	static const struct field *fields_##id(void) { \
	typedef struct msg_##id self; static const struct field rows[] = {
#define F_U8(name, max) UINT_ROW(name, 1, max, NO_VOCAB)
#define F_U16(name, max) UINT_ROW(name, 2, max, NO_VOCAB)
#define F_U32(name, max) UINT_ROW(name, 4, max, NO_VOCAB)
#define F_U64(name, max) UINT_ROW(name, 8, max, NO_VOCAB)
#define F_HASH(name) UINT_ROW(name, 8, UINT64_MAX, NO_VOCAB)
#define F_BOOL(name) UINT_ROW(name, 1, 1, NO_VOCAB)
#define F_ENUM(name, vocab) UINT_ROW(name, 1, CHOICE_##vocab##_COUNT - 1, VOCAB_##vocab)
#define F_KIND(name) UINT_ROW(name, 1, KIND_COUNT - 1, NO_VOCAB)
#define F_CHILD(name) UINT_ROW(name, 1, CHILD_COUNT - 1, NO_VOCAB)
#define F_UID(name) UID_ROW(name)
#define F_STR(name, charset, max) STR_ROW(name, charset, max)
#define F_CONDITIONS(name) \
	{#name, FIELD_CONDITIONS, offsetof(self, name), 0, 0, CHARS_PRINT, NO_VOCAB},
#define F_WINDOWS(name) \
	{#name, FIELD_WINDOWS, offsetof(self, name), 0, 0, CHARS_PRINT, NO_VOCAB},
#define F_TASKS(name) \
	{#name, FIELD_TASKS, offsetof(self, name), 0, 0, CHARS_PRINT, NO_VOCAB},
#define END_MSG(id) END_ROW }; (void)sizeof(self); return rows; }
#include "ipc/msg.def"

struct row {
	const char *name;
	const struct field *(*fields)(void);
	size_t size; /* of the struct */
	unsigned from, to, state, fds;
};
static const struct row rows[IPC_TYPE_COUNT] = {
#define MSG(ID, id, from, to, state, fds) \
	[IPC_##ID] = {#ID, fields_##id, sizeof(struct msg_##id), from, to, IPC_##state, fds},
#include "ipc/msg.def"
};

/* No message can outgrow a packet or carry more fds than struct ipc_msg holds. */
#define CONDITIONS_WIRE_MAX (1 + IPC_CONDITIONS_MAX * (5 + IPC_TEXT_MAX))
#define WINDOWS_WIRE_MAX (1 + WINDOWS_MAX * (7 + ZONE_NAME_MAX))
#define TASKS_WIRE_MAX (1 + TASKS_MAX * 31)
#define MSG(ID, id, from, to, state, fds) _Static_assert((fds) <= IPC_FDS_MAX && 2
#define F_U8(name, max) + 1
#define F_U16(name, max) + 2
#define F_U32(name, max) + 4
#define F_U64(name, max) + 8
#define F_HASH(name) + 8
#define F_BOOL(name) + 1
#define F_ENUM(name, vocab) + 1
#define F_KIND(name) + 1
#define F_CHILD(name) + 1
#define F_UID(name) + 16
#define F_STR(name, charset, max) + 2 + (max)
#define F_CONDITIONS(name) + CONDITIONS_WIRE_MAX
#define F_WINDOWS(name) + WINDOWS_WIRE_MAX
#define F_TASKS(name) + TASKS_WIRE_MAX
#define END_MSG(id) <= IPC_MSG_MAX, #id " does not fit a packet");
#include "ipc/msg.def"
/* clang-format on */

/* A list in its struct: its length in the first byte, then room for max rows. */
static const struct list {
	const struct field *(*fields)(void); /* of a row */
	size_t at, stride;
	uint8_t max;
	bool ascending; /* by the first field, which is one byte: no two rows have the same */
} lists[] = {
    [FIELD_CONDITIONS] = {fields_condition, offsetof(struct ipc_conditions, at),
	sizeof(struct ipc_condition), IPC_CONDITIONS_MAX, true},
    [FIELD_WINDOWS] = {fields_window, offsetof(struct windows, at), sizeof(struct window),
	WINDOWS_MAX, false},
    [FIELD_TASKS] = {fields_slot, offsetof(struct ipc_tasks, at), sizeof(struct ipc_task),
	TASKS_MAX, false},
};
_Static_assert(offsetof(struct ipc_conditions, n) == 0 && offsetof(struct windows, n) == 0 &&
		   offsetof(struct ipc_tasks, n) == 0,
    "struct list");

static const char *const role_names[IPC_ROLE_COUNT] = {
    [ROLE_SUPERVISOR] = "supervisor",
    [ROLE_BROKER] = "broker",
    [ROLE_WATCHER] = "watcher",
    [ROLE_RECONCILER] = "reconciler",
    [ROLE_EXECUTOR] = "executor",
    [ROLE_INIT] = "init",
    [ROLE_AGENT] = "agent",
    [ROLE_PGCTL] = "pgctl",
};

const char *
ipc_role_name(enum ipc_role r)
{
	return (unsigned)r < IPC_ROLE_COUNT ? role_names[r] : "?";
}

const char *
ipc_type_name(enum ipc_type t)
{
	return (unsigned)t < IPC_TYPE_COUNT ? rows[t].name : "?";
}

unsigned
ipc_type_fds(enum ipc_type t)
{
	return (unsigned)t < IPC_TYPE_COUNT ? rows[t].fds : 0;
}

/* --- The checks that both directions share. */

static int
check_uint(const struct field *f, uint64_t v, struct err *e)
{
	if (v > f->max)
		return err_set(e, ERR_INVALID, "%s: %llu is over %llu", f->name,
		    (unsigned long long)v, (unsigned long long)f->max);
	return 0;
}

static int
check_str(const struct field *f, struct str s, struct err *e)
{
	if (s.len > f->max)
		return err_set(
		    e, ERR_INVALID, "%s: longer than %llu", f->name, (unsigned long long)f->max);
	if (!charset_ok(f->charset, s))
		return err_set(e, ERR_INVALID, "%s: a character it may not have", f->name);
	return 0;
}

static int
check_order(const struct field *f, int before, uint8_t first, struct err *e)
{
	if (lists[f->type].ascending && first <= before)
		return err_set(e, ERR_INVALID, "%s: rows not ascending", f->name);
	return 0;
}

static int
check_count(const struct field *f, uint8_t n, struct err *e)
{
	if (n > lists[f->type].max)
		return err_set(e, ERR_INVALID, "%s: too many", f->name);
	return 0;
}

static int
check_way(const struct row *row, enum ipc_role from, enum ipc_role to, struct err *e)
{
	if ((row->from & (1u << from)) == 0 || (row->to & (1u << to)) == 0)
		return err_set(e, ERR_INVALID, "%s does not go from %s to %s", row->name,
		    ipc_role_name(from), ipc_role_name(to));
	return 0;
}

/* --- Integers: little-endian on the wire, native in a struct. */

static uint64_t
wire_get(const uint8_t *p, unsigned bytes)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < bytes; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

static void
wire_put(uint8_t *p, unsigned bytes, uint64_t v)
{
	for (unsigned i = 0; i < bytes; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t
native_get(const uint8_t *p, unsigned bytes)
{
	uint16_t v2;
	uint32_t v4;
	uint64_t v8;

	switch (bytes) {
	case 1:
		return *p;
	case 2:
		memcpy(&v2, p, sizeof(v2));
		return v2;
	case 4:
		memcpy(&v4, p, sizeof(v4));
		return v4;
	default:
		memcpy(&v8, p, sizeof(v8));
		return v8;
	}
}

static void
native_put(uint8_t *p, unsigned bytes, uint64_t v)
{
	uint16_t v2 = (uint16_t)v;
	uint32_t v4 = (uint32_t)v;

	switch (bytes) {
	case 1:
		*p = (uint8_t)v;
		break;
	case 2:
		memcpy(p, &v2, sizeof(v2));
		break;
	case 4:
		memcpy(p, &v4, sizeof(v4));
		break;
	default:
		memcpy(p, &v, sizeof(v));
		break;
	}
}

/* --- Decoding. body is the struct to fill, or NULL to check only: nothing is stored before
 * everything is good. */

struct reader {
	const uint8_t *p;
	size_t left;
};

static const uint8_t *
take(struct reader *r, const struct field *f, size_t n, struct err *e)
{
	const uint8_t *p = r->p;

	if (r->left < n) {
		err_set(e, ERR_INVALID, "%s: cut short", f->name);
		return NULL;
	}
	r->p += n;
	r->left -= n;
	return p;
}

static int
decode_uint(const struct field *f, struct reader *r, uint8_t *body, struct err *e)
{
	const uint8_t *p = take(r, f, f->bytes, e);
	uint64_t v;

	if (p == NULL)
		return -1;
	v = wire_get(p, f->bytes);
	if (check_uint(f, v, e) == -1)
		return -1;
	if (body != NULL)
		native_put(body + f->offset, f->bytes, v);
	return 0;
}

static int
decode_uid(const struct field *f, struct reader *r, uint8_t *body, struct err *e)
{
	const uint8_t *p = take(r, f, sizeof(struct uid), e);

	if (p == NULL)
		return -1;
	if (body != NULL)
		memcpy(body + f->offset, p, sizeof(struct uid));
	return 0;
}

static int
decode_str(const struct field *f, struct reader *r, uint8_t *body, struct err *e)
{
	const uint8_t *p = take(r, f, 2, e);
	struct str s;

	if (p == NULL)
		return -1;
	s.len = (size_t)wire_get(p, 2);
	s.p = (const char *)take(r, f, s.len, e);
	if (s.p == NULL || check_str(f, s, e) == -1)
		return -1;
	if (body != NULL) {
		memcpy(body + f->offset, s.p, s.len);
		body[f->offset + s.len] = '\0';
	}
	return 0;
}

static int decode_fields(const struct field *, struct reader *, uint8_t *, struct err *);

static int
decode_list(const struct field *f, struct reader *r, uint8_t *body, struct err *e)
{
	const struct list *l = &lists[f->type];
	uint8_t *list = body != NULL ? body + f->offset : NULL;
	const uint8_t *p = take(r, f, 1, e);
	int before = -1;
	uint8_t n;

	if (p == NULL || check_count(f, *p, e) == -1)
		return -1;
	n = *p;
	for (uint8_t i = 0; i < n; i++) {
		uint8_t *at = list != NULL ? list + l->at + i * l->stride : NULL;
		int first = r->left > 0 ? *r->p : 0;

		if (decode_fields(l->fields(), r, at, e) == -1 ||
		    check_order(f, before, (uint8_t)first, e) == -1)
			return -1;
		before = first;
	}
	if (list != NULL)
		*list = n;
	return 0;
}

static int
decode_field(const struct field *f, struct reader *r, uint8_t *body, struct err *e)
{
	switch (f->type) {
	case FIELD_UINT:
		return decode_uint(f, r, body, e);
	case FIELD_UID:
		return decode_uid(f, r, body, e);
	case FIELD_STR:
		return decode_str(f, r, body, e);
	case FIELD_CONDITIONS:
	case FIELD_WINDOWS:
	case FIELD_TASKS:
		return decode_list(f, r, body, e);
	case FIELD_END:
		break;
	}
	die("field of no type");
}

static int
decode_fields(const struct field *f, struct reader *r, uint8_t *body, struct err *e)
{
	for (; f->type != FIELD_END; f++)
		if (decode_field(f, r, body, e) == -1)
			return -1;
	return 0;
}

/* Every message's struct starts where the union does. */
#define BODY_OFFSET offsetof(struct ipc_msg, config)

int
ipc_decode(const uint8_t *bytes, size_t len, unsigned nfds, enum ipc_role from, enum ipc_role to,
    enum ipc_state state, struct ipc_msg *msg, struct err *e)
{
	struct reader check, fill;
	const struct row *row;
	uint64_t type;

	if (len < 2 || (type = wire_get(bytes, 2)) >= IPC_TYPE_COUNT)
		return err_set(e, ERR_INVALID, "no message of ours");
	row = &rows[type];
	if (check_way(row, from, to, e) == -1)
		return -1;
	if ((row->state & state) == 0)
		return err_set(e, ERR_INVALID, "%s is out of order", row->name);
	if (nfds != row->fds)
		return err_set(
		    e, ERR_INVALID, "%s with %u descriptors, not %u", row->name, nfds, row->fds);
	check = fill = (struct reader){bytes + 2, len - 2};
	if (decode_fields(row->fields(), &check, NULL, e) == -1)
		return -1;
	if (check.left != 0)
		return err_set(e, ERR_INVALID, "%s: %zu bytes too many", row->name, check.left);

	uint8_t *body = (uint8_t *)msg + BODY_OFFSET;
	memset(body, 0, row->size);
	if (decode_fields(row->fields(), &fill, body, e) == -1)
		die("%s: checked, then refused", row->name);
	msg->type = (enum ipc_type)type;
	return 0;
}

/* --- Encoding. */

struct writer {
	uint8_t *p;
	size_t left;
};

static uint8_t *
give(struct writer *w, size_t n)
{
	uint8_t *p = w->p;

	if (w->left < n)
		die("a message outgrew its packet");
	w->p += n;
	w->left -= n;
	return p;
}

static int
encode_uint(const struct field *f, struct writer *w, const uint8_t *body, struct err *e)
{
	uint64_t v = native_get(body + f->offset, f->bytes);

	if (check_uint(f, v, e) == -1)
		return -1;
	wire_put(give(w, f->bytes), f->bytes, v);
	return 0;
}

static int
encode_str(const struct field *f, struct writer *w, const uint8_t *body, struct err *e)
{
	const char *p = (const char *)body + f->offset;
	struct str s = {p, strnlen(p, f->max + 1)};

	if (check_str(f, s, e) == -1)
		return -1;
	wire_put(give(w, 2), 2, s.len);
	memcpy(give(w, s.len), s.p, s.len);
	return 0;
}

static int encode_fields(const struct field *, struct writer *, const uint8_t *, struct err *);

static int
encode_list(const struct field *f, struct writer *w, const uint8_t *body, struct err *e)
{
	const struct list *l = &lists[f->type];
	const uint8_t *list = body + f->offset;
	int before = -1;

	if (check_count(f, *list, e) == -1)
		return -1;
	*give(w, 1) = *list;
	for (uint8_t i = 0; i < *list; i++) {
		const uint8_t *at = list + l->at + i * l->stride;
		const uint8_t *wire = w->p;

		if (encode_fields(l->fields(), w, at, e) == -1 ||
		    check_order(f, before, *wire, e) == -1)
			return -1;
		before = *wire;
	}
	return 0;
}

static int
encode_field(const struct field *f, struct writer *w, const uint8_t *body, struct err *e)
{
	switch (f->type) {
	case FIELD_UINT:
		return encode_uint(f, w, body, e);
	case FIELD_UID:
		memcpy(give(w, sizeof(struct uid)), body + f->offset, sizeof(struct uid));
		return 0;
	case FIELD_STR:
		return encode_str(f, w, body, e);
	case FIELD_CONDITIONS:
	case FIELD_WINDOWS:
	case FIELD_TASKS:
		return encode_list(f, w, body, e);
	case FIELD_END:
		break;
	}
	die("field of no type");
}

static int
encode_fields(const struct field *f, struct writer *w, const uint8_t *body, struct err *e)
{
	for (; f->type != FIELD_END; f++)
		if (encode_field(f, w, body, e) == -1)
			return -1;
	return 0;
}

ssize_t
ipc_encode(
    const struct ipc_msg *msg, enum ipc_role from, enum ipc_role to, uint8_t *out, struct err *e)
{
	struct writer w = {out, IPC_MSG_MAX};
	const struct row *row;

	if ((unsigned)msg->type >= IPC_TYPE_COUNT)
		return err_set(e, ERR_INVALID, "no message of ours");
	row = &rows[msg->type];
	if (check_way(row, from, to, e) == -1)
		return -1;
	wire_put(give(&w, 2), 2, msg->type);
	if (encode_fields(row->fields(), &w, (const uint8_t *)msg + BODY_OFFSET, e) == -1)
		return -1;
	return w.p - out;
}

/* --- The table's own hash: everything that gives a byte its meaning. */

static uint64_t
hash_fields(uint64_t h, const struct field *f)
{
	for (; f->type != FIELD_END; f++) {
		h = hash_str(h, str_of(f->name));
		h = hash_u64(h, f->type);
		h = hash_u64(h, f->bytes);
		h = hash_u64(h, f->max);
		h = hash_u64(h, f->charset);
		for (unsigned i = 0; f->vocab != NO_VOCAB && i < choice_count(f->vocab); i++)
			h = hash_str(h, str_of(choice_text(f->vocab, i)));
	}
	return h;
}

uint64_t
ipc_table_hash(void)
{
	uint64_t h = HASH_INIT;

	for (unsigned i = 0; i < IPC_ROLE_COUNT; i++)
		h = hash_str(h, str_of(role_names[i]));
	for (unsigned i = 0; i < KIND_COUNT; i++)
		h = hash_str(h, str_of(kind_info[i].name));
	for (unsigned i = 0; i < CHILD_COUNT; i++)
		h = hash_u64(hash_str(h, str_of(child_info[i].suffix)), child_info[i].kind);
	for (unsigned i = 0; i < IPC_TYPE_COUNT; i++) {
		h = hash_str(h, str_of(rows[i].name));
		h = hash_u64(h, rows[i].from);
		h = hash_u64(h, rows[i].to);
		h = hash_u64(h, rows[i].state);
		h = hash_u64(h, rows[i].fds);
		h = hash_fields(h, rows[i].fields());
	}
	h = hash_fields(hash_fields(h, fields_condition()), fields_window());
	return hash_fields(h, fields_slot());
}
