/*
 * A LIST's body or a watch's stream (bit 0 of the first byte), in pieces whose sizes follow
 * from the second byte. Oracle: the same items and the same end as in one piece; never more
 * than one object is held.
 */
#include "fuzz/fuzz.h"
#include "kube/kube.h"

struct result {
	uint64_t items; /* a hash of all that was handed out */
	unsigned n;
	int r;
	enum err_code code;
	uint64_t list_version, token;
};

static int
on_item(void *arg, const struct feed_item *item)
{
	struct result *out = arg;
	uint64_t h = out->items;

	MUST(json_type(item->j, item->object) == JSON_T_OBJECT);
	MUST(item->raw.len >= 2 && item->raw.p[0] == '{' && item->raw.p[item->raw.len - 1] == '}');
	MUST(item->initial_end ? item->event == FEED_BOOKMARK : true);
	MUST(utf8_valid(str_of(item->status.message)) && utf8_valid(str_of(item->status.reason)));
	h = hash_u64(hash_u64(h, item->event), item->version);
	h = hash_str(hash_u64(hash_u64(h, item->line_hash), item->initial_end), item->raw);
	h = hash_str(hash_u64(h, (uint64_t)item->status.code), str_of(item->status.message));
	out->items = h;
	out->n++;
	return out->n < 1000 ? 0 : -1;
}

static struct result
run(enum feed_mode mode, const char *p, size_t n, uint32_t seed)
{
	struct result out = {.items = HASH_INIT};
	struct feed f;
	struct err e = {.code = ERR_NONE};

	feed_init(&f, mode, on_item, &out);
	while (n > 0 && out.r == 0) {
		size_t piece = n;
		char *copy;

		if (seed != 0) {
			seed = seed * 1103515245u + 12345u;
			piece = 1 + (seed >> 16) % ((seed >> 8) % 4 == 0 ? 3 : 256);
			if (piece > n)
				piece = n;
		}
		/* A copy of its own, so that ASan sees who reads past a piece, or keeps it. */
		copy = malloc(piece);
		memcpy(copy, p, piece);
		out.r = feed_push(&f, copy, piece, &e);
		free(copy);
		p += piece;
		n -= piece;
		MUST(f.buf.len <= JSON_OBJECT_MAX && f.envelope.len <= 16384 &&
		     f.arena.used <= f.arena.cap);
	}
	if (out.r == 0)
		out.r = feed_end(&f, &e);
	MUST(out.r == 0 || e.code == ERR_INVALID || e.code == ERR_LIMIT || e.code == ERR_RETRY);
	MUST(feed_push(&f, "{", 1, NULL) == -1 && feed_end(&f, NULL) == -1);
	out.code = e.code;
	if (out.r == 0 && mode == FEED_LIST) {
		out.list_version = f.list_version;
		out.token = hash_str(HASH_INIT, str_of(f.continue_token));
	}
	feed_free(&f);
	return out;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct result whole, pieces;
	enum feed_mode mode;

	if (size < 2)
		return 0;
	mode = data[0] & 1 ? FEED_WATCH : FEED_LIST;
	whole = run(mode, (const char *)data + 2, size - 2, 0);
	pieces = run(mode, (const char *)data + 2, size - 2, data[1] + 1u);
	MUST(whole.r == pieces.r && whole.code == pieces.code && whole.n == pieces.n &&
	     whole.items == pieces.items);
	MUST(whole.list_version == pieces.list_version && whole.token == pieces.token);
	return 0;
}
