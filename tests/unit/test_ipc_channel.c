/* ipc/channel.c on real socketpairs: one end is a channel, the other one a raw socket that plays
 * the hostile peer, or a channel too. */
#include "ipc/ipc.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/tap.h"

static struct ev_loop *loop;
static struct seen {
	unsigned msgs, closed, breaches, writable, hellos;
	uint32_t last_seq;
	char text[ERR_TEXT_MAX];
	int kept; /* an fd taken out of a message */
	bool keep, close_self, pause_self;
	struct ipc_chan *chan;
} seen;
static struct ipc_msg msg;

static void
on_msg(void *arg, struct ipc_msg *m)
{
	struct seen *s = arg;

	s->msgs++;
	if (m->type == IPC_PING)
		s->last_seq = m->ping.seq;
	if (s->keep) {
		s->kept = m->fds[0];
		m->fds[0] = -1;
	}
	if (s->pause_self)
		ipc_chan_pause(s->chan, true);
	if (s->close_self) {
		ipc_chan_close(s->chan);
		s->chan = NULL;
	}
}

static void
on_closed(void *arg)
{
	struct seen *s = arg;

	s->closed++;
	s->chan = NULL;
}

static void
on_breach(void *arg, const char *text)
{
	struct seen *s = arg;

	s->breaches++;
	str_copy_text(s->text, sizeof(s->text), str_of(text));
	ipc_chan_close(s->chan); /* harmless */
	s->chan = NULL;
}

static void
on_writable(void *arg)
{
	((struct seen *)arg)->writable++;
}

static const struct ipc_chan_ops ops = {
    .on_msg = on_msg, .on_closed = on_closed, .on_breach = on_breach, .on_writable = on_writable};

/* A worker's channel to the supervisor; returns the supervisor's raw end. */
static int
open_pair(enum ipc_state state)
{
	int fds[2];

	memset(&seen, 0, sizeof(seen));
	seen.kept = -1;
	if (ipc_pair(fds) == -1)
		die("no pair");
	seen.chan = ipc_chan_open(loop, fds[0], ROLE_WATCHER, ROLE_SUPERVISOR, &ops, &seen);
	ipc_chan_set_state(seen.chan, state);
	return fds[1];
}

static void
turn(int times)
{
	for (int i = 0; i < times; i++)
		ev_run(loop, EVRUN_NOWAIT);
}

static ssize_t
encode(enum ipc_type type, uint32_t seq, uint8_t *out)
{
	struct err e;

	memset(&msg, 0, sizeof(msg));
	msg.type = type;
	msg.ping.seq = seq;
	if (type == IPC_NEWCHAN)
		msg.newchan.peer = ROLE_BROKER;
	return ipc_encode(&msg, ROLE_SUPERVISOR, ROLE_WATCHER, out, &e);
}

/* Sends raw bytes with n copies of fd. */
static void
send_raw(int to, const void *p, size_t len, int fd, unsigned n)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * 8)];
		struct cmsghdr align;
	} control = {.bytes = {0}};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)p, .iov_len = len};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};

	if (n > 0) {
		mh.msg_control = control.bytes;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * n);
		struct cmsghdr *h = CMSG_FIRSTHDR(&mh);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(sizeof(int) * n);
		for (unsigned i = 0; i < n; i++)
			memcpy(CMSG_DATA(h) + i * sizeof(int), &fd, sizeof(int));
	}
	if (sendmsg(to, &mh, MSG_NOSIGNAL) != (ssize_t)len)
		die("sendmsg: %s", strerror(errno));
}

static unsigned
open_fds(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 256; fd++)
		if (fcntl(fd, F_GETFD) != -1)
			n++;
	return n;
}

static void
test_messages(void)
{
	uint8_t p[64];
	int raw = open_pair(IPC_RUN);

	for (uint32_t i = 1; i <= 40; i++)
		send_raw(raw, p, (size_t)encode(IPC_PING, i, p), -1, 0);
	turn(1);
	CHECK(seen.msgs > 0 && seen.msgs < 40, "one wakeup does not read without end");
	turn(10);
	CHECK(seen.msgs == 40 && seen.last_seq == 40, "all arrive, in order");
	close(raw);
	turn(2);
	CHECK(seen.closed == 1 && seen.breaches == 0, "the peer's end is seen once");

	raw = open_pair(IPC_RUN);
	send_raw(raw, p, (size_t)encode(IPC_PING, 1, p), -1, 0);
	send_raw(raw, "", 0, -1, 0);
	turn(2);
	CHECK(seen.msgs == 1 && seen.closed == 1, "a packet of no bytes is an end");
	close(raw);

	raw = open_pair(IPC_RUN);
	struct err e;
	msg.type = IPC_PONG;
	msg.pong.seq = 1;
	CHECK(ipc_send(seen.chan, &msg, &e) == 0, "a message to a peer that will not read it");
	send_raw(raw, p, (size_t)encode(IPC_PING, 7, p), -1, 0);
	close(raw);
	turn(3);
	CHECK(seen.msgs == 1 && seen.last_seq == 7 && seen.closed == 1,
	    "what a peer said before it died with our packets unread still counts");
}

static void
test_breaches(void)
{
	static uint8_t big[IPC_MSG_MAX + 1];
	uint8_t p[64];
	ssize_t n;
	unsigned before;
	int raw = open_pair(IPC_START);

	send_raw(raw, p, (size_t)encode(IPC_PING, 1, p), -1, 0);
	turn(2);
	CHECK(seen.breaches == 1 && seen.msgs == 0 && seen.closed == 0, "PING before READY");
	CHECK(recv(raw, p, 1, MSG_DONTWAIT) == 0, "the channel is closed after a breach");
	close(raw);

	raw = open_pair(IPC_RUN);
	big[0] = IPC_PING;
	send_raw(raw, big, sizeof(big), -1, 0);
	turn(2);
	CHECK(seen.breaches == 1 && strstr(seen.text, "limit") != NULL, "a packet over the limit");
	close(raw);

	raw = open_pair(IPC_RUN);
	before = open_fds();
	n = encode(IPC_PING, 1, p);
	send_raw(raw, p, (size_t)n, 0, 1);
	turn(2);
	CHECK(seen.breaches == 1 && seen.msgs == 0 && open_fds() == before - 1,
	    "a descriptor nobody wants: refused and closed");
	close(raw);

	raw = open_pair(IPC_RUN);
	before = open_fds();
	n = encode(IPC_NEWCHAN, 1, p);
	send_raw(raw, p, (size_t)n, 0, 2);
	turn(2);
	CHECK(seen.breaches == 1 && seen.msgs == 0 && open_fds() == before - 1,
	    "two where one belongs: refused, both closed");
	close(raw);

	raw = open_pair(IPC_RUN);
	before = open_fds();
	send_raw(raw, p, (size_t)n, 0, 5);
	turn(2);
	CHECK(
	    seen.breaches == 1 && open_fds() == before - 1, "five: cut by the kernel, all closed");
	close(raw);

	raw = open_pair(IPC_RUN);
	send_raw(raw, p, (size_t)n, -1, 0);
	turn(2);
	CHECK(seen.breaches == 1, "none where one belongs");
	close(raw);

	raw = open_pair(IPC_RUN);
	send_raw(raw, "x", 1, -1, 0);
	send_raw(raw, p, (size_t)encode(IPC_PING, 1, p), -1, 0);
	turn(3);
	CHECK(seen.breaches == 1 && seen.msgs == 0, "nothing is read behind a breach");
	close(raw);
}

/* TOKEN has as many descriptors as fit: what the kernel cut off is all that tells. */
static void
test_cut_fds(void)
{
	uint8_t p[2];
	unsigned before;
	int pair[2], raw = open_pair(IPC_RUN);

	ipc_chan_close(seen.chan);
	close(raw);
	if (ipc_pair(pair) == -1)
		die("no pair");
	seen.chan = ipc_chan_open(loop, pair[0], ROLE_WATCHER, ROLE_BROKER, &ops, &seen);
	ipc_chan_set_state(seen.chan, IPC_RUN);
	before = open_fds();
	p[0] = IPC_TOKEN;
	p[1] = 0;
	send_raw(pair[1], p, 2, 0, 3);
	turn(2);
	CHECK(seen.breaches == 1 && seen.msgs == 0 && open_fds() == before - 1,
	    "three where two belong: refused, all closed");
	close(pair[1]);
}

static void
test_fds(void)
{
	uint8_t p[64];
	unsigned before;
	int pipe_fds[2], raw = open_pair(IPC_RUN);
	ssize_t n = encode(IPC_NEWCHAN, 1, p);
	char c = 0;

	if (pipe(pipe_fds) == -1)
		die("pipe");
	seen.keep = true;
	send_raw(raw, p, (size_t)n, pipe_fds[1], 1);
	turn(2);
	CHECK(seen.kept != -1 && write(seen.kept, "y", 1) == 1 && read(pipe_fds[0], &c, 1) == 1 &&
		  c == 'y',
	    "a descriptor arrives and works");
	CHECK((fcntl(seen.kept, F_GETFD) & FD_CLOEXEC) != 0, "it is close-on-exec");
	close(seen.kept);
	seen.keep = false;
	before = open_fds();
	send_raw(raw, p, (size_t)n, pipe_fds[1], 1);
	turn(2);
	CHECK(seen.msgs == 2 && open_fds() == before, "a descriptor that on_msg leaves is closed");
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	ipc_chan_close(seen.chan);
	close(raw);
}

/* Both ends are channels: the other one is the supervisor's. */
static void
test_send_fd(void)
{
	struct seen peer = {.keep = true, .kept = -1};
	struct ipc_chan *sup;
	struct err e;
	int fds[2], raw = open_pair(IPC_RUN);

	close(raw);
	turn(2);
	if (ipc_pair(fds) == -1)
		die("no pair");
	peer.chan = ipc_chan_open(loop, fds[0], ROLE_WATCHER, ROLE_SUPERVISOR, &ops, &peer);
	sup = ipc_chan_open(loop, fds[1], ROLE_SUPERVISOR, ROLE_WATCHER, &ops, &seen);
	memset(&msg, 0, sizeof(msg));
	msg.type = IPC_NEWCHAN;
	msg.newchan.peer = ROLE_BROKER;
	msg.fds[0] = 0;
	CHECK(ipc_send(sup, &msg, &e) == 0, "a descriptor is sent");
	turn(2);
	CHECK(peer.msgs == 1 && peer.kept > 2 && fcntl(0, F_GETFD) != -1,
	    "and stays the sender's too");
	close(peer.kept);
	msg.type = IPC_PONG;
	CHECK(ipc_send(sup, &msg, &e) == -1 && e.code == ERR_INVALID,
	    "what is not ours to say is not sent");
	msg.type = IPC_NEWCHAN;
	msg.newchan.peer = IPC_ROLE_COUNT;
	CHECK(ipc_send(sup, &msg, &e) == -1 && e.code == ERR_INVALID,
	    "what the peer would refuse is not sent");
	turn(2);
	CHECK(peer.msgs == 1 && peer.breaches == 0, "nothing of it arrived");
	ipc_chan_close(sup);
	turn(2);
	CHECK(peer.closed == 1 && peer.chan == NULL, "closing one end ends the other");
}

static void
test_full(void)
{
	static uint8_t p[IPC_MSG_MAX];
	struct err e;
	unsigned sent = 0, got = 0;
	int raw = open_pair(IPC_RUN);

	memset(&msg, 0, sizeof(msg));
	msg.type = IPC_PONG;
	while (ipc_send(seen.chan, &msg, &e) == 0 && sent < 100000)
		sent++;
	CHECK(sent > 50 && e.code == ERR_RETRY, "a full socket says ERR_RETRY");
	turn(3);
	CHECK(seen.writable == 0, "on_writable does not come while it is full");
	while (recv(raw, p, sizeof(p), MSG_DONTWAIT) > 0)
		got++;
	turn(2);
	CHECK(seen.writable == 1 && got == sent,
	    "on_writable comes once there is room; nothing was lost");
	turn(3);
	CHECK(seen.writable == 1, "and comes once");
	CHECK(ipc_send(seen.chan, &msg, &e) == 0, "then there is room");
	close(raw);
	CHECK(ipc_send(seen.chan, &msg, &e) == -1 && e.code == ERR_GONE && seen.closed == 0,
	    "a peer that is gone: ERR_GONE, no callback from inside ipc_send");
	turn(3);
	CHECK(seen.closed == 1, "on_closed follows");
}

static void
test_pause_and_close(void)
{
	uint8_t p[64];
	struct err e;
	int raw = open_pair(IPC_RUN);

	seen.pause_self = true;
	for (uint32_t i = 1; i <= 3; i++)
		send_raw(raw, p, (size_t)encode(IPC_PING, i, p), -1, 0);
	turn(5);
	CHECK(seen.msgs == 1, "a pause inside on_msg holds from the next packet on");
	seen.pause_self = false;
	ipc_chan_pause(seen.chan, false);
	turn(5);
	CHECK(seen.msgs == 3 && seen.last_seq == 3, "and nothing is lost");
	ipc_chan_pause(seen.chan, true);
	close(raw);
	turn(3);
	CHECK(seen.closed == 0, "a paused channel says nothing");
	ipc_chan_pause(seen.chan, false);
	turn(3);
	CHECK(seen.closed == 1, "the end is seen on resuming");

	raw = open_pair(IPC_RUN);
	seen.close_self = true;
	send_raw(raw, p, (size_t)encode(IPC_PING, 1, p), -1, 0);
	send_raw(raw, p, (size_t)encode(IPC_PING, 2, p), -1, 0);
	turn(5);
	CHECK(seen.msgs == 1 && seen.closed == 0 && seen.breaches == 0,
	    "closed inside on_msg: no callback follows");
	CHECK(recv(raw, p, 1, MSG_DONTWAIT) <= 0, "and the peer sees it");
	close(raw);

	for (int i = 0; i < 100; i++) { /* more than there are slots */
		raw = open_pair(IPC_RUN);
		ipc_chan_close(seen.chan);
		close(raw);
	}
	raw = open_pair(IPC_RUN);
	memset(&msg, 0, sizeof(msg));
	msg.type = IPC_PONG;
	CHECK(ipc_send(seen.chan, &msg, &e) == 0, "slots are used again");
	ipc_chan_close(seen.chan);
	ipc_chan_close(NULL);
	close(raw);
}

int
main(void)
{
	loop = ev_loop_new(EVBACKEND_EPOLL);
	test_messages();
	test_breaches();
	test_cut_fds();
	test_fds();
	test_send_fd();
	test_full();
	test_pause_and_close();
	ev_loop_destroy(loop);
	return tap_done();
}
