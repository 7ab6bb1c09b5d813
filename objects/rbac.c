/*
 * What the pods of one cluster may do: ServiceAccount, Role, RoleBinding. Patroni calls create,
 * list, watch, get and patch on ConfigMaps and list, watch, get and patch on Pods (its
 * kubernetes.py); list, watch and create can not be narrowed by name in RBAC, the rest is. The
 * agent reads its BGCluster and the BGInstances and writes only the latter's status. No owners: a
 * foreground deletion would take the rights away while Patroni still needs them to stop in order.
 */
#include "objects/render.h"

struct rule {
	const char *group, *resource;
	const char *verbs[4];
	enum { ANY_NAME, CLUSTER_NAME, INSTANCE_NAMES, PATRONI_NAMES } names;
};
/*
 * The executor's Role (deploy/tenant) must hold every right that stands here: RBAC's escalation
 * check.
 */
static const struct rule rules[] = {
    {"bestgres.io", "bgclusters", {"get", "list", "watch"}, CLUSTER_NAME},
    {"bestgres.io", "bginstances", {"get", "list", "watch"}, INSTANCE_NAMES},
    {"bestgres.io", "bginstances/status", {"patch"}, INSTANCE_NAMES},
    {"", "configmaps", {"create", "list", "watch"}, ANY_NAME},
    {"", "configmaps", {"get", "patch"}, PATRONI_NAMES},
    {"", "pods", {"list", "watch"}, ANY_NAME},
    {"", "pods", {"get", "patch"}, INSTANCE_NAMES},
};

static void
put_names(struct render *r, const struct rule *rule)
{
	static const char *const patroni[] = {"-config", "-leader", "-failover", "-sync"};

	if (rule->names == ANY_NAME)
		return;
	jw_key(&r->w, "resourceNames");
	jw_array(&r->w);
	if (rule->names == CLUSTER_NAME)
		jw_cstr(&r->w, r->cluster);
	for (size_t i = 0; rule->names == PATRONI_NAMES && i < sizeof(patroni) / sizeof(patroni[0]);
	     i++)
		jw_printf(&r->w, "%s%s", r->cluster, patroni[i]);
	for (int i = 0; rule->names == INSTANCE_NAMES && i < r->c->instances; i++)
		jw_printf(&r->w, "%s-%d", r->cluster, i);
	jw_end(&r->w);
}

static void
put_strings(struct render *r, const char *key, const char *const *strings, size_t max)
{
	jw_key(&r->w, key);
	jw_array(&r->w);
	for (size_t i = 0; i < max && strings[i] != NULL; i++)
		jw_cstr(&r->w, strings[i]);
	jw_end(&r->w);
}

void
objects_put_serviceaccount(struct render *r)
{
	objects_put_meta(r, &(struct meta_extra){.owner = OWNED_BY_NOBODY});
	jw_kv_bool(&r->w, "automountServiceAccountToken",
	    false); /* our pod template says true; nobody else's need */
}

void
objects_put_role(struct render *r)
{
	objects_put_meta(r, &(struct meta_extra){.owner = OWNED_BY_NOBODY});
	jw_key(&r->w, "rules");
	jw_array(&r->w);
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		jw_object(&r->w);
		put_strings(r, "apiGroups", &rules[i].group, 1);
		put_strings(r, "resources", &rules[i].resource, 1);
		put_names(r, &rules[i]);
		put_strings(
		    r, "verbs", rules[i].verbs, sizeof(rules[i].verbs) / sizeof(rules[i].verbs[0]));
		jw_end(&r->w);
	}
	jw_end(&r->w);
}

void
objects_put_rolebinding(struct render *r)
{
	objects_put_meta(r, &(struct meta_extra){.owner = OWNED_BY_NOBODY});
	jw_key(&r->w, "roleRef");
	jw_object(&r->w);
	jw_kv(&r->w, "apiGroup", "rbac.authorization.k8s.io");
	jw_kv(&r->w, "kind", "Role");
	objects_put_name(r, "name", child_info[CHILD_ROLE].suffix);
	jw_end(&r->w);
	jw_key(&r->w, "subjects");
	jw_array(&r->w);
	jw_object(&r->w);
	jw_kv(&r->w, "kind", "ServiceAccount");
	objects_put_name(r, "name", child_info[CHILD_SERVICEACCOUNT].suffix);
	jw_kv_str(&r->w, "namespace", r->c->meta.namespace);
	jw_end(&r->w);
	jw_end(&r->w);
}
