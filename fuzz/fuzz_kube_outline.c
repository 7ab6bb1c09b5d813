/*
 * Any bytes to json_outline. Oracles: of what json_parse accepts there is an outline, which it
 * accepts too, whose outline is itself, and which has the same metadata.uid; no outline is longer
 * than its object but for the nulls.
 */
#include "fuzz/fuzz.h"
#include "kube/kube.h"

static void
uid_of(const struct json *j, char text[64])
{
	json_copy_text(j, json_path(j, json_root(j), "metadata.uid"), text, 64);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct buf first, second;
	static struct arena a;
	struct str text = {(const char *)data, size};
	char uid[64] = "", again[64] = "";
	struct json j;
	struct err e;
	bool valid;

	first.max = second.max = 2 * JSON_OBJECT_MAX;
	buf_reset(&first);
	buf_reset(&second);
	a.cap = 64u << 20;
	arena_reset(&a);
	valid = json_parse(&j, text, &a, &e) == 0;
	if (valid)
		uid_of(&j, uid);
	if (json_outline(text, &first, &e) == -1) {
		MUST(!valid && e.code == ERR_INVALID);
		return 0;
	}
	MUST(first.len <= 2 * size);
	if (!valid)
		return 0;
	MUST(json_parse(&j, buf_view(&first), &a, &e) == 0);
	uid_of(&j, again);
	MUST(strcmp(uid, again) == 0);
	MUST(json_outline(buf_view(&first), &second, &e) == 0);
	MUST(str_eq(buf_view(&first), buf_view(&second)));
	return 0;
}
