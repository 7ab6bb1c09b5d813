/*
 * The poison record: what a worker is at right now, written to a memfd that outlives it. Written by
 * the worker around each handler (one pwrite each way), read by the supervisor after a death. The
 * worker may be anyone's by then, so every field is checked.
 */
#include "ipc/ipc.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

/* seq, kind, uid, generation, line, namespace, name; integers little-endian. */
enum { AT_SEQ = 0, AT_KIND = 8, AT_UID = 9, AT_GENERATION = 25, AT_LINE = 33, AT_NAMESPACE = 41 };
enum { NAME_SIZE = 64, AT_NAME = AT_NAMESPACE + NAME_SIZE, RECORD_SIZE = AT_NAME + NAME_SIZE };

static uint64_t sequence; /* of this process's record */

static void
put_u64(uint8_t *p, uint64_t v)
{
	for (unsigned i = 0; i < 8; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t
get_u64(const uint8_t *p)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < 8; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

static void
store(int fd, const uint8_t *p, size_t n)
{
	if (pwrite(fd, p, n, 0) != (ssize_t)n)
		die("the poison record can not be written");
}

int
ipc_poison_new(void)
{
	int fd = memfd_create("poison", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd == -1)
		return -1;
	if (ftruncate(fd, RECORD_SIZE) == -1 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == -1)
		fd_close(&fd);
	return fd;
}

void
ipc_poison_clear(int fd)
{
	const uint8_t zero[RECORD_SIZE] = {0};

	store(fd, zero, sizeof(zero));
}

void
ipc_poison_enter(const struct ipc_poison *p)
{
	uint8_t r[RECORD_SIZE] = {0};

	sequence |= 1;
	put_u64(r + AT_SEQ, sequence);
	r[AT_KIND] = p->kind;
	memcpy(r + AT_UID, p->uid.b, sizeof(p->uid.b));
	put_u64(r + AT_GENERATION, p->generation);
	put_u64(r + AT_LINE, p->line);
	memcpy(r + AT_NAMESPACE, p->namespace, strnlen(p->namespace, NAME_SIZE - 1));
	memcpy(r + AT_NAME, p->name, strnlen(p->name, NAME_SIZE - 1));
	store(IPC_FD_POISON, r, sizeof(r));
}

void
ipc_poison_leave(void)
{
	uint8_t r[8];

	sequence = (sequence | 1) + 1;
	put_u64(r, sequence);
	store(IPC_FD_POISON, r, sizeof(r));
}

static int
get_name(char out[NAME_SIZE], const uint8_t *p)
{
	size_t n = strnlen((const char *)p, NAME_SIZE);

	if (n == NAME_SIZE || !charset_ok(CHARS_SUBDOMAIN, (struct str){(const char *)p, n}))
		return -1;
	memcpy(out, p, n + 1);
	return 0;
}

int
ipc_poison_read(int fd, struct ipc_poison *out)
{
	struct ipc_poison p = {0};
	uint8_t r[RECORD_SIZE];

	if (pread(fd, r, sizeof(r), 0) != (ssize_t)sizeof(r))
		return -1;
	p.seq = get_u64(r + AT_SEQ);
	p.kind = r[AT_KIND];
	memcpy(p.uid.b, r + AT_UID, sizeof(p.uid.b));
	p.generation = get_u64(r + AT_GENERATION);
	p.line = get_u64(r + AT_LINE);
	if (p.seq % 2 == 0 || p.kind >= KIND_COUNT)
		return -1;
	if (uid_none(&p.uid) && p.line == 0)
		return -1;
	if (get_name(p.namespace, r + AT_NAMESPACE) == -1 || get_name(p.name, r + AT_NAME) == -1)
		return -1;
	*out = p;
	return 0;
}
