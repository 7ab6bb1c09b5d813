/*
 * Patroni's configuration file, from typed values (research: Patroni's YAML configuration
 * settings). JSON is YAML, so nothing that a user wrote can break out of its place; in ASCII, since
 * YAML readers refuse or fold some characters that JSON allows raw. The local file beats the
 * dynamic configuration, so it holds only what Bestgres must win.
 */
#include "instance/pgctl.h"

static bool
is_ipv6(struct str ip)
{
	return memchr(ip.p, ':', ip.len) != NULL;
}

static void
put_address(struct jw *w, const char *key, struct str ip, int port)
{
	jw_key(w, key);
	jw_printf(w, is_ipv6(ip) ? "[%.*s]:%d" : "%.*s:%d", (int)ip.len, ip.p, port);
}

static void
put_kubernetes(struct jw *w, const struct patroni_config *c)
{
	jw_key(w, "kubernetes");
	jw_object(w);
	jw_kv_str(w, "namespace", c->namespace);
	jw_key(w, "labels");
	jw_object(w);
	jw_kv(w, LABEL_APPLICATION, "bestgres");
	jw_end(w);
	jw_kv(w, "scope_label", LABEL_SCOPE);
	jw_kv(w, "role_label", LABEL_ROLE);
	jw_kv(w, "leader_label_value", "primary");
	jw_kv(w, "follower_label_value", "replica");
	jw_kv(w, "standby_leader_label_value", "primary");
	jw_kv_bool(w, "use_endpoints", false);
	jw_kv_bool(w, "bypass_api_service", false);
	jw_end(w);
}

static void
put_credential(struct jw *w, const char *key, const struct credential *c)
{
	jw_key(w, key);
	jw_object(w);
	jw_kv(w, "username", c->username);
	jw_kv_str(w, "password", (struct str){c->password.p, c->password.len});
	jw_end(w);
}

static void
put_restapi(struct jw *w, const struct patroni_config *c)
{
	jw_key(w, "restapi");
	jw_object(w);
	jw_kv(w, "listen", is_ipv6(c->pod_ip) ? "[::]:8008" : "0.0.0.0:8008");
	put_address(w, "connect_address", c->pod_ip, PORT_PATRONI);
	put_credential(w, "authentication", &c->credentials->restapi);
	jw_end(w);
}

static void
put_watchdog(struct jw *w, const struct patroni_config *c)
{
	jw_key(w, "watchdog");
	jw_object(w);
	jw_kv(w, "mode", "required");
	jw_kv(w, "driver", "testing");
	jw_kv(w, "device", WATCHDOG_PATH);
	jw_kv_int(w, "safety_margin", SAFETY_MARGIN_S(c->retry_timeout));
	jw_end(w);
}

static void
put_option(struct jw *w, const char *name, const char *value)
{
	if (value[0] == '\0')
		return;
	jw_object(w);
	jw_kv(w, name, value);
	jw_end(w);
}

/*
 * In a directory of the volume, not its root: initdb and pg_basebackup want it empty, and Patroni
 * removes or renames it together with PGDATA.
 */
static void
put_waldir(struct jw *w, const struct patroni_config *c)
{
	char path[64];

	if (c->wal == NULL)
		return;
	(void)snprintf(path, sizeof(path), "%s/pg_wal", c->wal);
	put_option(w, "waldir", path);
}

/*
 * C.UTF-8 unless the user asks otherwise: every image has it, and its order of characters never
 * changes with the C library, so an image's update can not corrupt indexes.
 */
static void
put_initdb(struct jw *w, const struct patroni_config *c)
{
	const struct msg_spec *s = c->spec;
	char size[8];

	jw_key(w, "initdb");
	jw_array(w);
	put_option(w, "encoding", s->encoding[0] != '\0' ? s->encoding : "UTF8");
	put_option(w, "locale", s->locale[0] != '\0' ? s->locale : "C.UTF-8");
	put_option(w, "locale-provider", s->locale_provider);
	put_option(w, "icu-locale", s->icu_locale);
	put_option(w, "auth-local", "scram-sha-256");
	put_option(w, "auth-host", "scram-sha-256");
	if (s->wal_segment_mb != 0) {
		(void)snprintf(size, sizeof(size), "%u", s->wal_segment_mb);
		put_option(w, "wal-segsize", size);
	}
	put_waldir(w, c);
	if (s->checksums)
		jw_cstr(w, "data-checksums");
	else if (c->major >= 18)
		jw_cstr(w, "no-data-checksums"); /* on by default from 18 on */
	jw_end(w);
}

static void
put_bootstrap(struct jw *w, const struct patroni_config *c)
{
	jw_key(w, "bootstrap");
	jw_object(w);
	jw_kv_raw(w, "dcs", c->dynamic);
	put_initdb(w, c);
	jw_end(w);
}

/*
 * The first line that matches decides. Ours come first, so that no line of the user's can open the
 * local socket or cut replication off; without any of his, everybody may come with a password, but
 * the superuser only from within the pod.
 */
static void
put_hba(struct jw *w, const struct patroni_config *c)
{
	const struct credentials *k = c->credentials;

	jw_key(w, "pg_hba");
	jw_array(w);
	jw_cstr(w, "local all all scram-sha-256");
	jw_cstr(w, "local replication all scram-sha-256");
	jw_printf(w, "host replication \"%s\" all scram-sha-256", k->replication.username);
	jw_printf(w, "host all \"%s\" all scram-sha-256", k->rewind.username);
	for (size_t i = 0; i < c->hba->n; i++)
		jw_str(w, c->hba->at[i]);
	jw_printf(w, "host all \"%s\" all reject", k->superuser.username);
	if (c->hba->n == 0)
		jw_cstr(w, "host all all all scram-sha-256");
	jw_end(w);
}

static void
put_postgresql(struct jw *w, const struct patroni_config *c)
{
	jw_key(w, "postgresql");
	jw_object(w);
	jw_kv(w, "data_dir", PGDATA_DIR);
	jw_kv_str(w, "bin_dir", c->bin_dir);
	jw_kv(w, "listen", "*:5432");
	put_address(w, "connect_address", c->pod_ip, PORT_POSTGRES);
	jw_kv(w, "pgpass", PGPASS_PATH);
	jw_kv_bool(w, "use_unix_socket", true);
	jw_kv_bool(w, "use_unix_socket_repl", true);
	put_hba(w, c);
	jw_key(w, "authentication");
	jw_object(w);
	put_credential(w, "superuser", &c->credentials->superuser);
	put_credential(w, "replication", &c->credentials->replication);
	put_credential(w, "rewind", &c->credentials->rewind);
	jw_end(w);
	jw_key(w, "basebackup");
	jw_array(w);
	put_option(
	    w, "checkpoint", "fast"); /* a new replica does not wait for the next checkpoint */
	put_waldir(w, c);
	jw_end(w);
	jw_key(w, "parameters");
	jw_object(w);
	jw_kv(w, "unix_socket_directories", SOCKET_DIR);
	jw_kv(w, "password_encryption", "scram-sha-256");
	jw_end(w);
	jw_end(w);
}

/*
 * JSON's strings are the only place for what is not ASCII, so each such character can be written as
 * YAML's escape. DEL too: YAML takes it for unprintable.
 */
void
patroni_ascii(struct str json, struct buf *out)
{
	for (size_t i = 0; i < json.len;) {
		const uint8_t *p = (const uint8_t *)json.p + i;
		size_t n = utf8_next(json.p + i, json.len - i);
		uint32_t c = p[0];

		if (n == 1 && c != 0x7f) {
			buf_put(out, p, 1);
		} else if (n <= 1) {
			buf_printf(out, "\\u%04x", n == 0 ? 0xfffdu : c);
		} else {
			c &= 0x7fu >> n;
			for (size_t k = 1; k < n; k++)
				c = c << 6 | (p[k] & 0x3fu);
			buf_printf(out, c > 0xffff ? "\\U%08x" : "\\u%04x", c);
		}
		i += n > 0 ? n : 1;
	}
}

static void
put_file(struct jw *w, const struct patroni_config *c)
{
	jw_object(w);
	jw_kv_str(w, "scope", c->cluster);
	jw_kv_str(w, "name", c->pod);
	put_kubernetes(w, c);
	put_restapi(w, c);
	put_watchdog(w, c);
	put_bootstrap(w, c);
	put_postgresql(w, c);
	jw_end(w);
}

/* Room at once, since growing would leave copies of the passwords behind in freed memory. */
static void
reserve(struct buf *b, size_t n)
{
	static const char zeros[4096];

	buf_init(b, n);
	for (size_t i = 0; i < n; i += sizeof(zeros))
		buf_put(b, zeros, sizeof(zeros));
	b->len = 0;
}

int
patroni_render(const struct patroni_config *c, struct buf *out, struct err *e)
{
	struct buf json;
	struct jw w;

	reserve(out, HTTP_BODY_MAX);
	reserve(&json, HTTP_BODY_MAX);
	jw_init(&w, &json);
	put_file(&w, c);
	patroni_ascii(buf_view(&json), out);
	buf_put(out, "\n", 1);
	if (json.p != NULL)
		explicit_bzero(json.p, json.size);
	if (json.full || out->full) {
		buf_free(&json);
		return err_set(e, ERR_LIMIT,
		    "Patroni's configuration would be larger than %u bytes", HTTP_BODY_MAX);
	}
	buf_free(&json);
	return 0;
}
