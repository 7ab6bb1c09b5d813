/*
 * The two Secrets. They are only ever created: the executor may not read them, so they are never
 * compared, and the passwords exist nowhere else. Each carries the anchor's uid, so that the pod
 * can tell whether what it has mounted belongs to this data.
 */
#include "objects/render.h"

#define PASSWORD_MIN 32
#define DEFAULT_NAME "app" /* of database and role, as in the CRD */

static struct str
password(const struct render *r, size_t n)
{
	struct str p = r->ctx->password[n];

	if (p.len < PASSWORD_MIN)
		die("render: password %zu was not made", n);
	return p;
}

struct str
objects_app_name(struct str s)
{
	return s.len > 0 ? s : STR(DEFAULT_NAME);
}

static void
open_secret(struct render *r)
{
	char uid[UID_TEXT_SIZE];

	objects_put_meta(r, &(struct meta_extra){.owner = OWNED_BY_ANCHOR});
	jw_kv(&r->w, "type", "Opaque");
	jw_key(&r->w, "stringData");
	jw_object(&r->w);
	uid_format(uid, &r->ctx->anchor);
	jw_kv(&r->w, "anchor-uid", uid);
}

void
objects_put_credentials(struct render *r)
{
	static const char *const roles[][3] = {
	    {"superuser-username", "superuser-password", "postgres"},
	    {"replication-username", "replication-password", "standby"},
	    {"rewind-username", "rewind-password", "rewind_user"},
	    {"restapi-username", "restapi-password", "patroni"},
	};

	open_secret(r);
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
		jw_kv(&r->w, roles[i][0], roles[i][2]);
		jw_kv_str(&r->w, roles[i][1], password(r, i));
	}
	jw_end(&r->w);
}

/* Everything but RFC 3986's unreserved characters: database and role may have any name. */
static void
put_percent(struct buf *b, struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char ch = (unsigned char)s.p[i];

		if ((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
		    (ch >= '0' && ch <= '9') || (ch != '\0' && strchr("-._~", ch) != NULL))
			buf_put(b, &ch, 1);
		else
			buf_printf(b, "%%%02X", ch);
	}
}

static void
put_uris(struct render *r, struct str host, struct str dbname, struct str username)
{
	struct buf uri, jdbc;

	buf_init(&uri, HTTP_PATH_MAX);
	buf_init(&jdbc, HTTP_PATH_MAX);
	uri.wipe = jdbc.wipe = true; /* they hold a password */
	buf_puts(&uri, "postgresql://");
	put_percent(&uri, username);
	buf_puts(&uri, ":");
	put_percent(&uri, password(r, 0));
	buf_printf(&uri, "@%.*s:%d/", (int)host.len, host.p, PORT_POSTGRES);
	put_percent(&uri, dbname);
	buf_printf(&jdbc, "jdbc:postgresql://%.*s:%d/", (int)host.len, host.p, PORT_POSTGRES);
	put_percent(&jdbc, dbname);
	buf_puts(&jdbc, "?user=");
	put_percent(&jdbc, username);
	buf_puts(&jdbc, "&password=");
	put_percent(&jdbc, password(r, 0));
	jw_kv_str(&r->w, "uri", buf_view(&uri));
	jw_kv_str(&r->w, "jdbc-uri", buf_view(&jdbc));
	if (uri.full || jdbc.full)
		die("render: a connection URI of bounded parts is too long");
	buf_free(&uri);
	buf_free(&jdbc);
}

void
objects_put_app(struct render *r)
{
	struct str dbname = objects_app_name(r->c->database),
		   username = objects_app_name(r->c->owner);
	struct buf host;

	buf_init(&host, HTTP_PATH_MAX);
	buf_printf(&host, "%s%s.", r->cluster, child_info[CHILD_SERVICE_RW].suffix);
	buf_str(&host, r->c->meta.namespace);
	buf_puts(&host, ".svc"); /* good in every namespace, whatever the cluster's domain */
	open_secret(r);
	jw_kv_str(&r->w, "host", buf_view(&host));
	jw_key(&r->w, "port");
	jw_printf(&r->w, "%d", PORT_POSTGRES);
	jw_kv_str(&r->w, "dbname", dbname);
	jw_kv_str(&r->w, "username", username);
	jw_kv_str(&r->w, "password", password(r, 0));
	put_uris(r, buf_view(&host), dbname, username);
	jw_end(&r->w);
	buf_free(&host);
}
