/*
 * The environment as configuration: read once, before anything runs. Every refusal names the
 * variable, says what is wrong with it and what to set. Pure: the caller gives getenv. Workers get
 * the result as CONFIG, never the environment.
 */
#include "supervisor/supervisor.h"

#include <arpa/inet.h>

static int
required(const char *name, const char *value, const char *hint, struct err *e)
{
	if (value == NULL || value[0] == '\0')
		return err_set(e, ERR_INVALID, "%s is not set: %s", name, hint);
	return 0;
}

static int
text(char *dst, size_t size, enum charset charset, const char *name, const char *value,
    const char *hint, struct err *e)
{
	struct str s = str_of(value);

	if (required(name, value, hint, e) == -1)
		return -1;
	if (!charset_ok(charset, s) || str_copy(dst, size, s) == -1)
		return err_set(
		    e, ERR_INVALID, "%s is malformed or over %zu bytes: %s", name, size - 1, hint);
	return 0;
}

static int
add_namespace(struct supervisor_config *c, struct str ns, struct err *e)
{
	char *slot;

	while (ns.len > 0 && ns.p[0] == ' ')
		ns = (struct str){ns.p + 1, ns.len - 1};
	while (ns.len > 0 && ns.p[ns.len - 1] == ' ')
		ns.len--;
	if (ns.len == 0 || ns.len > NAME_MAX_LABEL || !charset_ok(CHARS_DNS1123, ns))
		return err_set(e, ERR_INVALID,
		    "BESTGRES_NAMESPACES: entry %u is no namespace's name: set names separated by "
		    "commas",
		    c->namespaces_n + 1);
	for (unsigned i = 0; i < c->namespaces_n; i++)
		if (str_is(ns, c->namespaces[i]))
			return err_set(e, ERR_INVALID, "BESTGRES_NAMESPACES: %s is there twice",
			    c->namespaces[i]);
	if (c->namespaces_n == NAMESPACES_MAX)
		return err_set(e, ERR_LIMIT,
		    "BESTGRES_NAMESPACES: more than %d: run a second operator for the rest",
		    NAMESPACES_MAX);
	slot = c->namespaces[c->namespaces_n++];
	return str_copy(slot, sizeof(c->namespaces[0]), ns);
}

static int
read_namespaces(struct supervisor_config *c, const char *value, struct err *e)
{
	struct str rest = str_of(value);

	if (rest.len == 0)
		return add_namespace(c, str_of(c->msg.namespace), e);
	for (;;) {
		const char *comma = memchr(rest.p, ',', rest.len);
		size_t n = comma != NULL ? (size_t)(comma - rest.p) : rest.len;

		if (add_namespace(c, (struct str){rest.p, n}, e) == -1)
			return -1;
		if (comma == NULL)
			return 0;
		rest = (struct str){comma + 1, rest.len - n - 1};
	}
}

static int
read_api(struct supervisor_config *c, const char *host, const char *port, struct err *e)
{
	static const char hint[] = "Kubernetes sets it in every pod; outside of one, set it to "
				   "the API server's";
	struct in6_addr addr;
	uint64_t n;

	if (text(c->msg.api_host, sizeof(c->msg.api_host), CHARS_PRINT, "KUBERNETES_SERVICE_HOST",
		host, hint, e) == -1)
		return -1;
	if (inet_pton(AF_INET, host, &addr) != 1 && inet_pton(AF_INET6, host, &addr) != 1)
		return err_set(e, ERR_INVALID,
		    "KUBERNETES_SERVICE_HOST is no IP address: the operator asks no DNS, set an "
		    "address");
	if (required("KUBERNETES_SERVICE_PORT", port, hint, e) == -1)
		return -1;
	if (str_to_u64(str_of(port), &n) == -1 || n < 1 || n > UINT16_MAX)
		return err_set(
		    e, ERR_INVALID, "KUBERNETES_SERVICE_PORT is no port: set 1 to 65535");
	c->msg.api_port = (uint16_t)n;
	return 0;
}

static int
read_pull_policy(struct supervisor_config *c, const char *value, struct err *e)
{
	struct str s = value != NULL && value[0] != '\0' ? str_of(value) : STR("IfNotPresent");

	if (choice_find(VOCAB_pull_policy, s) == -1)
		return err_set(e, ERR_INVALID,
		    "BESTGRES_IMAGE_PULL_POLICY: set Always, IfNotPresent or Never");
	return str_copy(c->msg.image_pull_policy, sizeof(c->msg.image_pull_policy), s);
}

/* Unset means prefer: Linux 6.1 has neither MDWE nor Landlock for TCP; what took effect is logged
 * either way. */
static int
read_sandbox(struct supervisor_config *c, const char *value, struct err *e)
{
	struct str s = value != NULL && value[0] != '\0' ? str_of(value) : STR("prefer");

	if (!str_is(s, "prefer") && !str_is(s, "require"))
		return err_set(e, ERR_INVALID,
		    "BESTGRES_SANDBOX: set require (end where the kernel lacks a mechanism) or "
		    "prefer");
	c->msg.sandbox_require = str_is(s, "require");
	return 0;
}

int
supervisor_config_read(
    struct supervisor_config *c, const char *(*get)(const char *name), struct err *e)
{
	struct msg_config *m = &c->msg;
	const char *secret = get("BESTGRES_TOKEN_SECRET");

	*c = (struct supervisor_config){0};
	if (text(m->namespace, sizeof(m->namespace), CHARS_DNS1123, "POD_NAMESPACE",
		get("POD_NAMESPACE"), "set it from fieldRef metadata.namespace", e) == -1 ||
	    read_namespaces(c, get("BESTGRES_NAMESPACES"), e) == -1 ||
	    text(m->image, sizeof(m->image), CHARS_PRINT, "BESTGRES_IMAGE", get("BESTGRES_IMAGE"),
		"set the operator's own image, which database pods' init container runs",
		e) == -1 ||
	    read_pull_policy(c, get("BESTGRES_IMAGE_PULL_POLICY"), e) == -1 ||
	    read_sandbox(c, get("BESTGRES_SANDBOX"), e) == -1)
		return -1;
	if (text(m->token_secret, sizeof(m->token_secret), CHARS_SUBDOMAIN, "BESTGRES_TOKEN_SECRET",
		secret != NULL && secret[0] != '\0' ? secret : "bestgres-tokens",
		"set the name of the Secret that minted tokens are bound to", e) == -1)
		return -1;
	return read_api(c, get("KUBERNETES_SERVICE_HOST"), get("KUBERNETES_SERVICE_PORT"), e);
}
