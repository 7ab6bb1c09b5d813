/* supervisor/config.c: what an environment gives, and that each refusal names its variable. */
#include "supervisor/supervisor.h"

#include "tests/unit/tap.h"

static const char *changed, *changed_to; /* one variable that differs from a good environment */

static const char *
get(const char *name)
{
	static const char *const good[][2] = {{"POD_NAMESPACE", "bestgres"},
	    {"BESTGRES_NAMESPACES", "a, b,c"}, {"BESTGRES_IMAGE", "localhost/bestgres:dev"},
	    {"KUBERNETES_SERVICE_HOST", "10.0.0.1"}, {"KUBERNETES_SERVICE_PORT", "443"}};

	if (changed != NULL && strcmp(name, changed) == 0)
		return changed_to;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (strcmp(name, good[i][0]) == 0)
			return good[i][1];
	return NULL;
}

static struct supervisor_config c;

static bool
accepts(const char *name, const char *value)
{
	struct err e;

	changed = name;
	changed_to = value;
	return supervisor_config_read(&c, get, &e) == 0;
}

static void
refuses(const char *name, const char *value)
{
	char text[96];
	struct err e;
	int r;

	changed = name;
	changed_to = value;
	r = supervisor_config_read(&c, get, &e);
	snprintf(text, sizeof(text), "%s=%.40s", name, value == NULL ? "(unset)" : value);
	if (!CHECK(r == -1 && strstr(e.text, name) != NULL && strchr(e.text, ':') != NULL, text))
		printf("# %s\n", r == -1 ? e.text : "accepted");
}

/* What is accepted must also be what CONFIG can carry. */
static bool
can_be_sent(void)
{
	static struct ipc_msg m;
	static uint8_t out[IPC_MSG_MAX];

	m.type = IPC_CONFIG;
	m.config = c.msg;
	return ipc_encode(&m, ROLE_SUPERVISOR, ROLE_BROKER, out, NULL) > 0;
}

int
main(void)
{
	static char many[NAMESPACES_MAX * 8 + 64], long_text[600];
	size_t n = 0;

	CHECK(accepts(NULL, NULL) && can_be_sent(), "a good environment");
	CHECK(
	    c.namespaces_n == 3 && strcmp(c.namespaces[1], "b") == 0, "namespaces, blanks trimmed");
	CHECK(strcmp(c.msg.token_secret, "bestgres-tokens") == 0 && !c.msg.sandbox_require &&
		  strcmp(c.msg.image_pull_policy, "IfNotPresent") == 0 && c.msg.api_port == 443,
	    "what is not set has its default");
	CHECK(accepts("BESTGRES_NAMESPACES", "") && c.namespaces_n == 1 &&
		  strcmp(c.namespaces[0], "bestgres") == 0,
	    "no namespaces: the operator's own");
	CHECK(accepts("BESTGRES_SANDBOX", "require") && c.msg.sandbox_require, "require");
	CHECK(accepts("KUBERNETES_SERVICE_HOST", "fd00::1") && can_be_sent(), "IPv6");
	for (int i = 0; i < NAMESPACES_MAX; i++)
		n += (size_t)snprintf(many + n, sizeof(many) - n, "%sn%d", i > 0 ? "," : "", i);
	CHECK(accepts("BESTGRES_NAMESPACES", many) && c.namespaces_n == NAMESPACES_MAX,
	    "as many as may be");
	snprintf(many + n, sizeof(many) - n, ",more");
	refuses("BESTGRES_NAMESPACES", many);

	memset(long_text, 'a', sizeof(long_text) - 1);
	refuses("POD_NAMESPACE", NULL);
	refuses("POD_NAMESPACE", "");
	refuses("POD_NAMESPACE", "No_Name");
	refuses("POD_NAMESPACE", long_text);
	refuses("BESTGRES_NAMESPACES", "a,,b");
	refuses("BESTGRES_NAMESPACES", "a,");
	refuses("BESTGRES_NAMESPACES", "a,b,a");
	refuses("BESTGRES_NAMESPACES", "a;b");
	refuses("BESTGRES_NAMESPACES", long_text);
	refuses("BESTGRES_IMAGE", NULL);
	refuses("BESTGRES_IMAGE", "a\tb");
	refuses("BESTGRES_IMAGE", long_text);
	refuses("BESTGRES_IMAGE_PULL_POLICY", "Sometimes");
	refuses("BESTGRES_SANDBOX", "off");
	refuses("BESTGRES_TOKEN_SECRET", "a/b");
	refuses("KUBERNETES_SERVICE_HOST", NULL);
	refuses("KUBERNETES_SERVICE_HOST", "kubernetes.default.svc");
	refuses("KUBERNETES_SERVICE_PORT", NULL);
	refuses("KUBERNETES_SERVICE_PORT", "0");
	refuses("KUBERNETES_SERVICE_PORT", "65536");
	refuses("KUBERNETES_SERVICE_PORT", "tcp://10.0.0.1:443");
	return tap_done();
}
