/* patroni.yml: the whole file for a plain spec, and hostile values that must stay values. */
#include "instance/pgctl.h"
#include "tests/unit/tap.h"

static struct credentials credentials;
static struct msg_spec spec;
static struct str_list hba;
static struct buf out;
static const char *wal;

static void
credential(struct credential *c, const char *name, const char *password)
{
	(void)snprintf(c->username, sizeof(c->username), "%s", name);
	secret_free(&c->password);
	secret_alloc(&c->password, strlen(password) + 1);
	memcpy(c->password.p, password, strlen(password));
	c->password.len = strlen(password);
}

static int
render(const char *ip, const char *dynamic, unsigned major)
{
	const struct patroni_config c = {.cluster = STR("demo"),
	    .namespace = STR("prod"),
	    .pod = STR("demo-0"),
	    .pod_ip = str_of(ip),
	    .bin_dir = STR("/usr/lib/postgresql/17/bin"),
	    .wal = wal,
	    .major = major,
	    .retry_timeout = 10,
	    .dynamic = str_of(dynamic),
	    .hba = &hba,
	    .spec = &spec,
	    .credentials = &credentials};
	struct err e;

	buf_free(&out);
	return patroni_render(&c, &out, &e);
}

static bool
has(const char *text)
{
	return memmem(out.p, out.len, text, strlen(text)) != NULL;
}

static const char golden[] =
    "{\"scope\":\"demo\",\"name\":\"demo-0\","
    "\"kubernetes\":{\"namespace\":\"prod\",\"labels\":{\"application\":\"bestgres\"},\"scope_"
    "label\":\"cluster-name\","
    "\"role_label\":\"role\",\"leader_label_value\":\"primary\",\"follower_label_value\":"
    "\"replica\","
    "\"standby_leader_label_value\":\"primary\",\"use_endpoints\":false,\"bypass_api_service\":"
    "false},"
    "\"restapi\":{\"listen\":\"0.0.0.0:8008\",\"connect_address\":\"10.0.0.7:8008\","
    "\"authentication\":{\"username\":\"patroni\",\"password\":\"r1\"}},"
    "\"watchdog\":{\"mode\":\"required\",\"driver\":\"testing\",\"device\":\"/run/bestgres/"
    "watchdog\",\"safety_margin\":12},"
    "\"bootstrap\":{\"dcs\":{\"ttl\":30},\"initdb\":[{\"encoding\":\"UTF8\"},{\"locale\":\"C.UTF-"
    "8\"},"
    "{\"auth-local\":\"scram-sha-256\"},{\"auth-host\":\"scram-sha-256\"},\"data-checksums\"]},"
    "\"postgresql\":{\"data_dir\":\"/pgdata/data\",\"bin_dir\":\"/usr/lib/postgresql/17/"
    "bin\",\"listen\":\"*:5432\","
    "\"connect_address\":\"10.0.0.7:5432\",\"pgpass\":\"/run/bestgres/"
    "pgpass\",\"use_unix_socket\":true,"
    "\"use_unix_socket_repl\":true,\"pg_hba\":[\"local all all scram-sha-256\",\"local replication "
    "all scram-sha-256\","
    "\"host replication \\\"standby\\\" all scram-sha-256\",\"host all \\\"rewind_user\\\" all "
    "scram-sha-256\","
    "\"host all \\\"postgres\\\" all reject\",\"host all all all scram-sha-256\"],"
    "\"authentication\":{\"superuser\":{\"username\":\"postgres\",\"password\":\"s1\"},"
    "\"replication\":{\"username\":\"standby\",\"password\":\"p1\"},"
    "\"rewind\":{\"username\":\"rewind_user\",\"password\":\"w1\"}},"
    "\"basebackup\":[{\"checkpoint\":\"fast\"}],"
    "\"parameters\":{\"unix_socket_directories\":\"/run/"
    "postgresql\",\"password_encryption\":\"scram-sha-256\"}}}\n";

static void
test_golden(void)
{
	CHECK(render("10.0.0.7", "{\"ttl\":30}", 17) == 0 && out.len == sizeof(golden) - 1 &&
		  memcmp(out.p, golden, out.len) == 0,
	    "the file of a plain spec, byte by byte");
	CHECK(render("fd00::7", "{}", 17) == 0 && has("\"listen\":\"[::]:8008\"") &&
		  has("\"connect_address\":\"[fd00::7]:8008\"") &&
		  has("\"connect_address\":\"[fd00::7]:5432\""),
	    "IPv6 in brackets");
}

static void
test_initdb(void)
{
	spec.checksums = false;
	CHECK(render("10.0.0.7", "{}", 17) == 0 && !has("checksums"),
	    "no checksums before 18: the default");
	CHECK(render("10.0.0.7", "{}", 18) == 0 && has("\"no-data-checksums\""),
	    "from 18 on it must be said");
	spec.checksums = true;
	spec.wal_segment_mb = 64;
	(void)snprintf(spec.encoding, sizeof(spec.encoding), "LATIN1");
	(void)snprintf(spec.locale, sizeof(spec.locale), "de_DE");
	(void)snprintf(spec.locale_provider, sizeof(spec.locale_provider), "icu");
	(void)snprintf(spec.icu_locale, sizeof(spec.icu_locale), "de-x-\"}");
	CHECK(render("10.0.0.7", "{}", 17) == 0 &&
		  has("\"initdb\":[{\"encoding\":\"LATIN1\"},{\"locale\":\"de_DE\"},{\"locale-"
		      "provider\":\"icu\"},"
		      "{\"icu-locale\":\"de-x-\\\"}\"},{\"auth-local\":\"scram-sha-256\"},"
		      "{\"auth-host\":\"scram-sha-256\"},{\"wal-segsize\":\"64\"},\"data-"
		      "checksums\"]"),
	    "every option, each in its own string");
	memset(&spec, 0, sizeof(spec));
	spec.checksums = true;
}

static void
test_wal(void)
{
	wal = "/pgwal";
	CHECK(render("10.0.0.7", "{}", 17) == 0 &&
		  has("{\"waldir\":\"/pgwal/pg_wal\"},\"data-checksums\"]") &&
		  has("\"basebackup\":[{\"checkpoint\":\"fast\"},{\"waldir\":\"/pgwal/pg_wal\"}]"),
	    "the WAL's volume, for a first instance and for a replica");
	wal = NULL;
	CHECK(render("10.0.0.7", "{}", 17) == 0 && !has("waldir"), "only where there is one");
}

static void
test_hostile(void)
{
	struct str lines[] = {STR("host all all 0.0.0.0/0 trust\"],\"bin_dir\":\"/evil"),
	    STR("local all all trust"), STR("# \xc2\x85\xe2\x80\xa8\xf0\x9f\x98\x80\x7f")};
	const char *ours, *theirs;
	struct arena a;
	struct json j;
	bool ascii = true;

	arena_init(&a, 4u << 20);
	hba = (struct str_list){lines, 3};
	CHECK(render("10.0.0.7", "{\"x\":\"\xc3\xa4\"}", 17) == 0, "hostile lines render");
	CHECK(has("trust\\\"],\\\"bin_dir\\\":\\\"/evil"), "quotes stay inside their string");
	CHECK(!has("host all all all scram"), "with lines of the user's there is no default line");
	ours = memmem(out.p, out.len, "local all all scram", 19);
	theirs = memmem(out.p, out.len, "local all all trust", 19);
	CHECK(ours != NULL && theirs != NULL && ours < theirs,
	    "our line for the local socket comes first");
	CHECK(has("\\u0085\\u2028\\U0001f600\\u007f") && has("\"x\":\"\\u00e4\""),
	    "what YAML minds is escaped");
	for (size_t i = 0; i + 1 < out.len; i++)
		ascii = ascii && out.p[i] >= 0x20 && out.p[i] < 0x7f;
	CHECK(ascii && out.p[out.len - 1] == '\n', "one line of printable ASCII");
	lines[2] = STR("#");
	CHECK(render("10.0.0.7", "{}", 17) == 0 && json_parse(&j, buf_view(&out), &a, NULL) == 0 &&
		  json_count(&j, json_path(&j, json_root(&j), "postgresql.pg_hba")) == 8 &&
		  json_string_is(&j, json_path(&j, json_root(&j), "postgresql.bin_dir"),
		      "/usr/lib/postgresql/17/bin"),
	    "read back, the file says what was meant");
	credential(&credentials.superuser, "postgres", "a\"b\\c");
	CHECK(render("10.0.0.7", "{}", 17) == 0 && has("\"password\":\"a\\\"b\\\\c\""),
	    "passwords are strings too");
	hba = (struct str_list){NULL, 0};
	arena_free(&a);
}

static void
test_ascii(void)
{
	buf_reset(&out);
	patroni_ascii(STR("a\xff\x80z"), &out);
	CHECK(str_is(buf_view(&out), "a\\ufffd\\ufffdz"),
	    "bytes that are no UTF-8 become replacement characters");
	buf_reset(&out);
	patroni_ascii(STR("\xef\xbf\xbf\xf4\x8f\xbf\xbf"), &out);
	CHECK(str_is(buf_view(&out), "\\uffff\\U0010ffff"), "the last characters of each form");
}

int
main(void)
{
	buf_init(&out, 2u << 20);
	spec.checksums = true;
	credential(&credentials.superuser, "postgres", "s1");
	credential(&credentials.replication, "standby", "p1");
	credential(&credentials.rewind, "rewind_user", "w1");
	credential(&credentials.restapi, "patroni", "r1");
	test_golden();
	test_initdb();
	test_wal();
	test_hostile();
	test_ascii();
	credentials_free(&credentials);
	buf_free(&out);
	return tap_done();
}
