/*
 * base: what every other room stands on. No I/O beyond the log line, no Kubernetes, no
 * knowledge of the processes. Errors, arenas, buffers, strings, time, hashes, uids, sealed
 * memfds and secrets live here; limits live in base/bounds.h.
 */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/bounds.h"
#include "base/poison.h"

/* --- Exit codes: what the supervisor (supervisor/restart.c) learns from a death. */
enum exit_code {
	EXIT_ASKED = 0,    /* SIGTERM, or the control channel closed */
	EXIT_CONFIG = 64,  /* what we were given can not work: restarting will not help */
	EXIT_BUG = 70,     /* die(): a broken invariant */
	EXIT_OOM = 71,     /* malloc returned NULL */
	EXIT_SANDBOX = 72, /* a required sandbox mechanism is missing */
};

/* --- Errors. The code says what the caller does next; the text goes to a log or a condition. */
enum err_code {
	ERR_NONE,
	ERR_RETRY,    /* try again later: transport, 429, 5xx */
	ERR_CONFLICT, /* the world moved: look again, plan again */
	ERR_GONE,     /* the object is not there */
	ERR_INVALID,  /* malformed, refused by a schema, or not what we understand */
	ERR_DENIED,   /* 401, 403 or our own policy */
	ERR_LIMIT,    /* a cap of base/bounds.h was reached */
};
struct err {
	enum err_code code;
	char text[ERR_TEXT_MAX];
};
/* Sets e (which may be NULL) and returns -1, so that `return err_set(...)` reads as one thought.
 * The arguments may point into e->text: that is how a caller puts words before them. */
int err_set(struct err *e, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
const char *err_code_name(enum err_code code);

/* Broken invariant: one log line at level=error event=die, then _exit(EXIT_BUG). Never compiled
 * out. */
_Noreturn void die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* malloc that never returns NULL: a log line and _exit(EXIT_OOM) instead. Zeroed. */
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t n, size_t size); /* dies on overflow; new bytes are not zeroed */
void xfree(void *p);                            /* the only free outside an arena */

/* --- Strings: a borrowed view, not NUL-terminated. */
struct str {
	const char *p;
	size_t len;
};
#define STR(lit) ((struct str){(lit), sizeof(lit) - 1})
struct str str_of(const char *cstr); /* NULL gives an empty view */
bool str_eq(struct str a, struct str b);
bool str_is(struct str a, const char *cstr);
bool str_starts(struct str a, const char *prefix);
bool str_ends(struct str a, const char *suffix);
/* Copies into a char array with a terminating NUL. -1, and dst empty: it does not fit or has a
 * NUL inside. */
int str_copy(char *dst, size_t size, struct str s);
/* For messages: as str_copy, but cuts between two characters instead of failing; a control
 * character becomes a space, a byte that is not UTF-8 a question mark. */
void str_copy_text(char *dst, size_t size, struct str s);
/* Decimal digits only, no sign (str_to_i64: a leading - only), no overflow; -1 otherwise. */
int str_to_u64(struct str s, uint64_t *out);
int str_to_hash(struct str s, uint64_t *out); /* 16 lower-case hex digits, as "%016llx" writes */
int str_to_i64(struct str s, int64_t *out);
/* Bytes of the valid UTF-8 sequence that p[0..n) begins with; 0 = none. */
size_t utf8_next(const char *p, size_t n);
bool utf8_valid(struct str s);

/* Character classes that names on the wire and in paths are checked against. */
enum charset {
	CHARS_DNS1123,   /* [a-z0-9]([-a-z0-9]*[a-z0-9])?: namespaces, most object names */
	CHARS_DNS1035,   /* as above, first is a letter: Services, BGClusters */
	CHARS_SUBDOMAIN, /* dns1123 labels joined by dots */
	CHARS_GUC,       /* [a-z_][a-z0-9_.]* */
	CHARS_TEXT,      /* UTF-8 without control characters */
	CHARS_LINES,     /* UTF-8; of the control characters only \n and \t */
	CHARS_PRINT,     /* 0x20..0x7e */
};
/* The empty string is ok: emptiness is another check. */
bool charset_ok(enum charset c, struct str s);

/* --- Arena: all memory of one message, reply or reconcile; reset at the top of the loop. */
struct arena_block;
struct arena {
	struct arena_block *head;
	size_t used;
	size_t cap; /* of used: arena_alloc gives NULL past it, and the caller says ERR_LIMIT */
};
void arena_init(struct arena *a, size_t cap);
void *arena_alloc(struct arena *a, size_t n);              /* zeroed, 16-aligned; NULL at the cap */
void *arena_array(struct arena *a, size_t n, size_t size); /* NULL at the cap or on overflow */
char *arena_strndup(struct arena *a, const char *p, size_t n); /* NUL-terminated copy */
void arena_reset(struct arena *a);                             /* keeps one block */
void arena_free(struct arena *a);

/* --- Buffer: grows up to max, then `full` is set and stays; check once at the end. p, once it is
 * not NULL, ends in a NUL that len does not count. */
struct buf {
	char *p;
	size_t len, size, max;
	bool full;
	bool wipe; /* set after buf_init where secrets pass: memory is wiped before it goes back */
};
void buf_init(struct buf *b, size_t max);
void buf_put(struct buf *b, const void *p, size_t n);
void buf_puts(struct buf *b, const char *cstr);
void buf_str(struct buf *b, struct str s);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_drop(struct buf *b, size_t n); /* forget the first n bytes */
void buf_reset(struct buf *b);
void buf_free(struct buf *b);
struct str buf_view(const struct buf *b);

/* --- Time is a parameter: only loops read clocks, and pass struct msec on. */
struct msec {
	int64_t v;
};
struct msec clock_mono(void);
struct msec clock_boot(void);               /* goes on while the machine sleeps */
int64_t clock_wall_s(void);                 /* seconds since 1970: it may be set, and go back */
void time_rfc3339(char out[21], int64_t s); /* 2026-11-23T09:51:00Z */
void time_rfc3339_micro(char out[28], int64_t s, int64_t us); /* us: 0 to 999999 */
/* As the API server writes and takes it, a fraction or an offset included; -1 if it is no time. */
int time_parse(struct str s, int64_t *out);
/* "1h30m", "90m", "45s"; -1 if it is none or more than a year. */
int time_parse_duration(struct str s, int64_t *out_s);

/* --- Hashes: FNV-1a, 64 bits. Decides "changed or not" between honest inputs, never trust. */
#define HASH_INIT 0xcbf29ce484222325ULL
uint64_t hash_bytes(uint64_t h, const void *p, size_t n);
uint64_t hash_str(uint64_t h, struct str s); /* length first, so that a list has one reading */
uint64_t hash_u64(uint64_t h, uint64_t v);

/* --- Kubernetes uids: 16 bytes; all zero is "none". */
struct uid {
	uint8_t b[16];
};
#define UID_TEXT_SIZE 37
int uid_parse(struct str s, struct uid *out); /* the 36-byte lower-case form only */
void uid_format(char out[UID_TEXT_SIZE], const struct uid *u);
bool uid_eq(const struct uid *a, const struct uid *b);
bool uid_none(const struct uid *u);

/* --- Log: logfmt, one line <= 4096 bytes, one write to fd 2, values escaped, errno kept. The
 * supervisor stamps ts, proc and life. obj is "kind/ns/name" or NULL. */
enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
void log_set_level(enum log_level min);
void log_line(enum log_level l, const char *event, const char *obj, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)

/* --- File descriptors. */
int fd_nonblock(int fd);                           /* 0 or -1 */
void fd_close(int *fd);                            /* closes if >= 0, sets -1 */
int fd_write_all(int fd, const void *p, size_t n); /* blocking fds only; restarts on EINTR */
/* A memfd of these bytes, sealed against every change; -1 sets e. */
int fd_sealed(const char *name, const void *p, size_t n, struct err *e);
/* Checks seals and size (<= max) before reading with pread; the copy is NUL-terminated in a. */
int fd_sealed_read(int fd, size_t max, struct arena *a, struct str *out, struct err *e);
void rand_bytes(void *p, size_t n); /* getrandom(2); dies if the kernel has none */

/* --- Secrets: own pages, DONTDUMP, WIPEONFORK, wiped on free. Never in arenas, logs, messages.
 * A reader takes s as {0} or as a secret it already owns: replaced on success, untouched on
 * failure. p[len] is a NUL. */
struct secret {
	char *p;
	size_t len, size;
};
/* pread from 0 to the end of the file; ERR_LIMIT past max. */
int secret_read_fd(struct secret *s, int fd, size_t max, struct err *e);
/* One trailing \n dropped. ERR_GONE if there is no such file. */
int secret_read_file(struct secret *s, const char *path, size_t max, struct err *e);
void secret_alloc(struct secret *s, size_t size);
void secret_free(struct secret *s);
/* malloc family that wipes on free, for curl_global_init_mem and mbedtls_platform_set_calloc_free.
 * NULL only for a size that overflows; EXIT_OOM otherwise. */
void *wipe_malloc(size_t n);
void *wipe_calloc(size_t n, size_t size);
void *wipe_realloc(void *p, size_t n);
char *wipe_strdup(const char *s);
void wipe_free(void *p);

#endif
