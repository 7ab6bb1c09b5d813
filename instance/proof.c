/*
 * Proof that another instance leads, before this one's data directory gives way to a clone: the
 * lock's ConfigMap names another, and was renewed between two looks. A ConfigMap alone is no proof:
 * who is dead stays in it. Pure; agent_reinit.c asks.
 */
#include "instance/view.h"

static int
annotation(const struct json *j, struct str key)
{
	int metadata = json_get(j, json_root(j), STR("metadata"));

	return json_get(j, json_get(j, metadata, STR("annotations")), key);
}

uint64_t
proof_identifier(const struct json *j)
{
	char text[24];
	uint64_t n;

	json_copy_text(j, annotation(j, STR("initialize")), text, sizeof(text));
	return str_to_u64(str_of(text), &n) == 0 ? n : 0;
}

/* Patroni writes renewTime with each renewal (patroni/dcs/kubernetes.py, update_leader). */
bool
proof_look(struct proof *p, const struct json *j, const char *self)
{
	struct proof now = {0};
	bool proven;

	json_copy_text(j, annotation(j, STR("leader")), now.leader, sizeof(now.leader));
	json_copy_text(j, annotation(j, STR("renewTime")), now.renewed, sizeof(now.renewed));
	json_copy_text(j, json_path(j, json_root(j), "metadata.resourceVersion"), now.version,
	    sizeof(now.version));
	if (now.leader[0] == '\0' || now.renewed[0] == '\0' || now.version[0] == '\0' ||
	    strcmp(now.leader, self) == 0) {
		*p = (struct proof){0};
		return false;
	}
	proven = strcmp(p->leader, now.leader) == 0 && strcmp(p->version, now.version) != 0 &&
	         strcmp(p->renewed, now.renewed) != 0;
	if (strcmp(p->leader, now.leader) != 0)
		*p = now;
	return proven;
}
