/*
 * ipc: how our processes talk. One table (msg.def), one pure codec, one channel over SOCK_SEQPACKET
 * socketpairs. The file descriptor is the peer's identity: no message carries a sender.
 */
#ifndef IPC_IPC_H
#define IPC_IPC_H

#include "base/base.h"
#include "model/model.h"

struct ev_loop;

enum ipc_role {
	ROLE_SUPERVISOR,
	ROLE_BROKER,
	ROLE_WATCHER,
	ROLE_RECONCILER,
	ROLE_EXECUTOR,
	ROLE_INIT,
	ROLE_AGENT,
	ROLE_PGCTL,
	IPC_ROLE_COUNT
};
const char *ipc_role_name(enum ipc_role r);

/* Fixed fd numbers in a worker. Edges: the channel to peer p is at IPC_FD_EDGE + p, where there is
 * one. */
#define IPC_FD_CONTROL 3
#define IPC_FD_POISON 4
#define IPC_FD_EDGE 5

enum ipc_state {
	IPC_START = 1, /* before READY (control) or before EDGE_HELLO (edges) */
	IPC_RUN = 2,
	IPC_ANY = IPC_START | IPC_RUN,
};

#define R(x) (1u << ROLE_##x)
enum ipc_type {
#define MSG(ID, id, from, to, state, fds) IPC_##ID,
#include "ipc/msg.def"
	IPC_TYPE_COUNT
};

#define IPC_CONDITIONS_MAX CHOICE_condition_type_COUNT
struct ipc_condition {
	uint8_t type, status, reason;
	char text[IPC_TEXT_MAX + 1];
};
struct ipc_conditions {
	uint8_t n;
	struct ipc_condition at[IPC_CONDITIONS_MAX]; /* sorted by type, types unique */
};

/* What a pod was told to do in one slot, and how far that is. id: whose it is; none = nothing. */
struct ipc_task {
	struct uid id;
	uint64_t step; /* what it says of its step, as a hash */
	uint16_t attempt;
	uint8_t kind;             /* choice task_kind */
	uint8_t phase, percent;   /* phase: choice task_phase; NONE = it has not begun */
	bool cancel, interrupted; /* interrupted: it failed, and nobody knows how far it came */
};
struct ipc_tasks {
	uint8_t n;
	struct ipc_task at[TASKS_MAX]; /* by slot */
};

/* One struct per message: struct msg_step { uint32_t id; uint8_t verb; ... char name[46]; };
 * strings are NUL-terminated. */
#define MSG(ID, id, from, to, state, fds) struct msg_##id {
#define F_U8(name, max) uint8_t name;
#define F_U16(name, max) uint16_t name;
#define F_U32(name, max) uint32_t name;
#define F_U64(name, max) uint64_t name;
#define F_HASH(name) uint64_t name;
#define F_BOOL(name) bool name;
#define F_ENUM(name, vocab) uint8_t name;
#define F_KIND(name) uint8_t name;
#define F_CHILD(name) uint8_t name;
#define F_UID(name) struct uid name;
#define F_STR(name, charset, max) char name[(max) + 1];
#define F_CONDITIONS(name) struct ipc_conditions name;
#define F_WINDOWS(name) struct windows name;
#define F_TASKS(name) struct ipc_tasks name;
#define END_MSG(id)                                                                                \
	}                                                                                          \
	;
#include "ipc/msg.def"

#define IPC_FDS_MAX 2
struct ipc_msg {
	enum ipc_type type;
	int fds[IPC_FDS_MAX]; /* owned by the message: -1 = none or taken */
	union {
#define MSG(ID, id, from, to, state, fds) struct msg_##id id;
#include "ipc/msg.def"
	};
};

const char *ipc_type_name(enum ipc_type t);
uint64_t ipc_table_hash(void); /* over the whole table: two builds that differ refuse each other */
unsigned ipc_type_fds(enum ipc_type t);

/* --- Pure codec. Wire: u16 type, then the fields in order; no length (the packet is one), no
 * padding. */
/*
 * Decodes one packet that `from` sent to `to`, with nfds descriptors, while the channel was in
 * `state`. 0, or -1 with ERR_INVALID: the sender is hostile. fds are set by the caller. Writes *msg
 * only on success.
 */
int ipc_decode(const uint8_t *bytes, size_t len, unsigned nfds, enum ipc_role from,
    enum ipc_role to, enum ipc_state state, struct ipc_msg *msg, struct err *e);
/*
 * Encodes after the same checks as the decoder's: ERR_INVALID names the field, so that honest code
 * can never send a breach, whatever a user wrote. Returns the length, or -1. out holds IPC_MSG_MAX.
 */
ssize_t ipc_encode(
    const struct ipc_msg *msg, enum ipc_role from, enum ipc_role to, uint8_t *out, struct err *e);

/*
 * --- Channel: one end of a socketpair on an ev_loop. Allocates nothing; no callback is nested in
 * another. One message is under way at a time in a process: what on_msg is given lies in one static
 * place and is void when it returns.
 */
struct ipc_chan;
struct ipc_chan_ops {
	/* May take fds (sets them to -1); the rest are closed. */
	void (*on_msg)(void *arg, struct ipc_msg *msg);
	/*
	 * The peer is gone (all it sent was delivered), or is hostile (nothing of that packet was
	 * delivered). The channel is closed already and frees itself after this call: forget the
	 * pointer.
	 */
	void (*on_closed)(void *arg);
	void (*on_breach)(void *arg, const char *text);
	void (*on_writable)(void *arg); /* after ipc_send said ERR_RETRY; may be NULL */
};
/* Takes fd, which must be non-blocking. State starts as IPC_START; see ipc_chan_set_state. Dies on
 * setup errors. */
struct ipc_chan *ipc_chan_open(struct ev_loop *loop, int fd, enum ipc_role self, enum ipc_role peer,
    const struct ipc_chan_ops *ops, void *arg);
/* Safe inside a callback; no callback follows; NULL is fine. */
void ipc_chan_close(struct ipc_chan *c);
void ipc_chan_set_state(struct ipc_chan *c, enum ipc_state s); /* of what the peer may send us */
/*
 * 0 sent; -1 ERR_RETRY: the socket is full, on_writable will be called; ERR_GONE: the peer is gone
 * (on_closed follows, once what it sent before is read); ERR_INVALID: the message breaks a rule of
 * the table and was not sent. fds are not consumed.
 */
int ipc_send(struct ipc_chan *c, const struct ipc_msg *msg, struct err *e);
/* Stops and resumes reading: backpressure. */
void ipc_chan_pause(struct ipc_chan *c, bool pause);
int ipc_pair(int fds[2]); /* SOCK_SEQPACKET, CLOEXEC, non-blocking; -1 on EMFILE and ENFILE, dies on
                             any other failure */

/*
 * --- accuse.c: BREACH ends whomever it accuses, since a true one must. So that one who was taken
 * over can not keep its peers dead by lies, it ends itself with the one that is too much: nobody
 * can tell which of the two is honest, and both come back as they were made.
 */
struct ipc_accuser { /* of one life; all zero at its start */
	struct msec at[ACCUSATIONS_MAX];
	unsigned n;
};
/* Notes one more; true: more than ACCUSATIONS_MAX within ACCUSATIONS_WINDOW_MS. */
bool ipc_accuses_too_often(struct ipc_accuser *a, struct msec now);

/* --- The poison record: what a worker is at, in a memfd that the supervisor reads after
 * a death. */
struct ipc_poison {
	uint64_t seq; /* odd while inside a handler */
	uint8_t kind;
	struct uid uid; /* none: only the line's hash is known */
	uint64_t generation, line;
	char namespace[64], name[64];
};
int ipc_poison_new(void); /* a memfd of the record's size, sealed against growing; -1 on failure */
void ipc_poison_clear(int fd);                     /* before a new life gets it */
void ipc_poison_enter(const struct ipc_poison *p); /* pwrite to IPC_FD_POISON; seq is set here */
void ipc_poison_leave(void);
int ipc_poison_read(
    int fd, struct ipc_poison *out); /* 0 when it was inside a handler; checks every field */

#endif
