/*
 * What a hostile peer can put into one packet. First byte: who sends it (bits 0-2), to whom (3-5),
 * in which state (6), and with as many descriptors as its type asks for (7) or none. Oracle: what
 * is decoded encodes to the same bytes, and so to nothing the decoder would refuse.
 */
#include "fuzz/fuzz.h"
#include "ipc/ipc.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ipc_msg msg;
	static uint8_t out[IPC_MSG_MAX];
	enum ipc_role from, to;
	enum ipc_state state;
	unsigned type, nfds;
	struct err e;
	ssize_t n;

	if (size < 3 || size > IPC_MSG_MAX + 1)
		return 0;
	from = data[0] & 7;
	to = data[0] >> 3 & 7;
	state = (data[0] & 0x40) != 0 ? IPC_RUN : IPC_START;
	type = data[1] | (unsigned)data[2] << 8;
	nfds = (data[0] & 0x80) != 0 ? ipc_type_fds((enum ipc_type)type) : 0;
	data++;
	size--;
	if (ipc_decode(data, size, nfds, from, to, state, &msg, &e) == -1) {
		if (e.code != ERR_INVALID)
			die("refused with code %d", (int)e.code);
		return 0;
	}
	n = ipc_encode(&msg, from, to, out, &e);
	if (n == -1)
		die("decoded, but not encoded: %s", e.text);
	if ((size_t)n != size || memcmp(out, data, size) != 0)
		die("%s: encoded to other bytes", ipc_type_name(msg.type));
	return 0;
}
