/*
 * The StatefulSet: how many pods, their volumes, when they may be replaced (never by itself:
 * OnDelete). What runs in a pod is pod.c's.
 */
#include "objects/render.h"

static void
format_storage_inputs(char out[17], const struct render *r)
{
	snprintf(out, 17, "%016llx", (unsigned long long)r->c->hash[GROUP_STORAGE]);
}

/*
 * ReadWriteOnce, not ReadWriteOncePod: many drivers have only the former, an access mode can not be
 * changed later, and two pods on one node are kept apart by the lock that init takes beside PGDATA.
 * The claims' labels are ours alone: they outlive the BGCluster. Their storage-inputs tell whether
 * a claim that was never bound is of this spec, whatever class the API server chose for it.
 */
static void
put_claim(struct render *r, const char *name, struct str size, struct str class)
{
	char uid[UID_TEXT_SIZE], inputs[17];

	uid_format(uid, &r->c->meta.uid);
	format_storage_inputs(inputs, r);
	jw_object(&r->w);
	jw_key(&r->w, "metadata");
	jw_object(&r->w);
	jw_kv(&r->w, "name", name);
	jw_key(&r->w, "labels");
	jw_object(&r->w);
	jw_kv(&r->w, LABEL_CLUSTER, r->cluster);
	jw_end(&r->w);
	jw_key(&r->w, "annotations");
	jw_object(&r->w);
	jw_kv(&r->w, ANNOTATION_OWNER, uid);
	jw_kv(&r->w, ANNOTATION_STORAGE_INPUTS, inputs);
	jw_end(&r->w);
	jw_end(&r->w);
	jw_key(&r->w, "spec");
	jw_object(&r->w);
	jw_key(&r->w, "accessModes");
	jw_array(&r->w);
	jw_cstr(&r->w, "ReadWriteOnce");
	jw_end(&r->w);
	if (class.len > 0)
		jw_kv_str(&r->w, "storageClassName", class);
	jw_key(&r->w, "resources");
	jw_object(&r->w);
	jw_key(&r->w, "requests");
	jw_object(&r->w);
	jw_kv_str(&r->w, "storage", size);
	jw_end(&r->w);
	jw_end(&r->w);
	jw_end(&r->w);
	jw_end(&r->w);
}

void
objects_put_statefulset(struct render *r)
{
	char inputs[17];

	format_storage_inputs(inputs, r);
	objects_put_meta(
	    r, &(struct meta_extra){
		   .owner = OWNED_BY_NOBODY, .key = ANNOTATION_STORAGE_INPUTS, .value = inputs});
	jw_key(&r->w, "spec");
	jw_object(&r->w);
	jw_kv_int(&r->w, "replicas", model_replicas(r->c));
	objects_put_name(r, "serviceName", child_info[CHILD_SERVICE_PODS].suffix);
	/* Parallel: whichever pod holds the lock must be able to start, not pod 0 first. */
	jw_kv(&r->w, "podManagementPolicy", "Parallel");
	jw_key(&r->w, "updateStrategy");
	jw_object(&r->w);
	jw_kv(&r->w, "type", "OnDelete");
	if (r->seen_root != JSON_NONE) { /* what RollingUpdate had, OnDelete may not have */
		jw_key(&r->w, "rollingUpdate");
		jw_null(&r->w);
	}
	jw_end(&r->w);
	/*
	 * The default, said aloud so that an edit of it is healed: the other value destroys data.
	 */
	jw_key(&r->w, "persistentVolumeClaimRetentionPolicy");
	jw_object(&r->w);
	jw_kv(&r->w, "whenDeleted", "Retain");
	jw_kv(&r->w, "whenScaled", "Retain");
	jw_end(&r->w);
	jw_key(&r->w, "selector");
	jw_object(&r->w);
	objects_put_selector(r, "matchLabels", "spec.selector.matchLabels", NULL, NULL);
	jw_end(&r->w);
	jw_key(&r->w, "template");
	jw_object(&r->w);
	objects_put_pod_meta(r);
	objects_put_pod_spec(r);
	jw_end(&r->w);
	jw_key(&r->w, "volumeClaimTemplates");
	jw_array(&r->w);
	put_claim(r, CLAIM_PGDATA, r->c->storage_size, r->c->storage_class);
	if (r->c->wal_size.len > 0)
		put_claim(r, CLAIM_PGWAL, r->c->wal_size, r->c->wal_class);
	jw_end(&r->w);
	jw_end(&r->w);
}
