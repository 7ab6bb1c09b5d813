/*
 * Two JSON texts, parted by the first newline: wanted and seen. Oracle: the patch, applied as
 * RFC 7396 says, leaves nothing to patch, and it changed something; no difference means that
 * nothing was written.
 */
#include "fuzz/fuzz.h"
#include "kube/kube.h"
#include "tests/unit/merge_patch.h"

static void
check_patch(struct str wanted, struct str seen, struct str patch, struct arena *a)
{
	struct buf patched, again, before;
	struct err e = {.code = ERR_NONE};
	int r;

	buf_init(&patched, JSON_OBJECT_MAX);
	buf_init(&again, JSON_OBJECT_MAX);
	buf_init(&before, JSON_OBJECT_MAX);
	MUST(merge_apply(seen, patch, a, &patched, &e) == 0);
	MUST(merge_canonical(seen, a, &before, &e) == 0);
	r = merge_canonical(buf_view(&patched), a, &again, &e);
	if (r == 0) {
		MUST(!str_eq(buf_view(&before), buf_view(&again)));
		buf_reset(&again);
		r = json_diff(wanted, buf_view(&patched), a, &again, &e);
	}
	/* Together they may be more than one object may have. */
	MUST((r == 0 && again.len == 0) || (r == -1 && e.code == ERR_LIMIT));
	buf_free(&patched);
	buf_free(&again);
	buf_free(&before);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *part = size == 0 ? NULL : memchr(data, '\n', size);
	struct str wanted, seen;
	static struct arena a;
	static struct buf out;
	struct err e;
	int r, order, mirrored;

	if (part == NULL)
		return 0;
	wanted = (struct str){(const char *)data, (size_t)(part - data)};
	seen = (struct str){(const char *)part + 1, size - wanted.len - 1};
	a.cap = 64u << 20;
	arena_reset(&a);
	out.max = JSON_OBJECT_MAX;
	buf_reset(&out);
	r = json_diff(wanted, seen, &a, &out, &e);
	MUST(r != 0 || out.len == 0);
	MUST(r >= 0 || e.code == ERR_INVALID || e.code == ERR_LIMIT);
	if (r == 1)
		check_patch(wanted, seen, buf_view(&out), &a);
	buf_reset(&out);
	MUST(r < 0 || json_diff(seen, seen, &a, &out, &e) == 0);
	if (quantity_compare(wanted, seen, &order) == 0)
		MUST(quantity_compare(seen, wanted, &mirrored) == 0 && order == -mirrored);
	return 0;
}
