/*
 * The vocabulary's tables: what every room relies on without looking. Numbers travel between
 * processes as u8, names become labels, texts become JSON and conditions.
 */
#include "model/model.h"
#include "tests/unit/tap.h"

static void
test_vocabularies(void)
{
	static const char *const names[VOCAB_COUNT] = {
#define CHOICES(name) [VOCAB_##name] = #name,
#define CHOICE_ROW(...)
#define END_CHOICES(name)
#include "model/choices.def"
#undef CHOICES
#undef CHOICE_ROW
#undef END_CHOICES
	    [VOCAB_reason] = "reason"};

	for (unsigned v = 0; v < VOCAB_COUNT; v++) {
		bool unique = true, plain = true;
		unsigned n = choice_count((enum vocab)v);

		for (unsigned i = 0; i < n; i++) {
			const char *text = choice_text((enum vocab)v, i);

			if (text == NULL) {
				plain = false;
				continue;
			}
			unique = unique && choice_find((enum vocab)v, str_of(text)) == (int)i;
			plain = plain && charset_ok(CHARS_PRINT, str_of(text)) &&
			        strpbrk(text, "\"\\ ") == NULL && (i == 0 || text[0] != '\0') &&
			        strlen(text) < 64;
		}
		CHECK(n > 1 && n < UINT8_MAX, names[v]);
		CHECK(unique, "  no text stands twice");
		CHECK(plain, "  every row has a text, and only the first may be empty");
		CHECK(choice_text((enum vocab)v, n) == NULL &&
			  choice_text((enum vocab)v, UINT32_MAX) == NULL &&
			  choice_find((enum vocab)v, STR("no such text")) == -1,
		    "  nothing past the end");
	}
}

/* Reasons of Events that only tell: nothing is to be done. */
static bool
only_tells(unsigned r)
{
	return r == REASON_NONE || r == REASON_PRIMARY_CHANGED || r == REASON_READY ||
	       r == REASON_RESUMED || r == REASON_INSTANCES_UNFENCED || r == REASON_ROLLOUT_BEGUN ||
	       r == REASON_ROLLOUT_ENDED;
}

static void
test_reasons(void)
{
	bool advice = true, form = true;

	for (unsigned r = 0; r < CHOICE_reason_COUNT; r++) {
		const char *name = reason_info[r].name, *text = reason_info[r].advice;
		size_t n = strlen(text);

		advice = advice && only_tells(r) == (n == 0);
		/* Reasons are CamelCase (metav1.Condition); a sentence ends with a full stop. */
		form = form &&
		       (r == REASON_NONE ||
			   (name[0] >= 'A' && name[0] <= 'Z' && strchr(name, '-') == NULL)) &&
		       (n == 0 || text[n - 1] == '.') && n <= IPC_TEXT_MAX;
	}
	CHECK(advice, "every reason says what to do, or is one that only tells");
	CHECK(form, "reasons are CamelCase, their advice is one message's length of sentences");
}

static void
test_kinds(void)
{
	bool form = true, unique = true;

	for (unsigned k = 0; k < KIND_COUNT; k++) {
		form = form && (str_starts(str_of(kind_info[k].root), "/apis/") ||
				   str_starts(str_of(kind_info[k].root), "/api/v1"));
		form = form && !str_ends(str_of(kind_info[k].root), "/") &&
		       charset_ok(CHARS_DNS1123, str_of(kind_info[k].plural)) &&
		       kind_info[k].plural[0] != '\0';
		for (unsigned other = 0; other < k; other++)
			unique = unique && strcmp(kind_info[k].name, kind_info[other].name) != 0 &&
			         strcmp(kind_info[k].plural, kind_info[other].plural) != 0;
	}
	CHECK(form && unique, "kinds: paths can be made of them, and each stands once");
	CHECK(kind_info[KIND_SECRET].watch == WATCH_NONE &&
		  kind_info[KIND_POD].watch == WATCH_NONE &&
		  kind_info[KIND_CONFIGMAP].watch == WATCH_NONE,
	    "Secrets, Pods and ConfigMaps are never watched");
}

static void
test_children(void)
{
	static const char cluster[] = "a23456789-123456789-123456789-123456789-12345";
	char names[CHILD_COUNT][NAME_MAX_LABEL + 1];
	char pod[100], pvc[120];
	bool fit = true, unique = true, rows = true;

	CHECK(strlen(cluster) == NAME_MAX_CLUSTER, "(a name of the greatest length)");
	for (unsigned c = 0; c < CHILD_COUNT; c++) {
		model_child_name(names[c], (enum child)c, cluster, INSTANCES_MAX - 1);
		fit = fit && strlen(names[c]) <= NAME_MAX_LABEL &&
		      charset_ok(CHARS_DNS1035, str_of(names[c]));
		rows =
		    rows && child_info[c].revision > 0 && child_info[c].groups < 1u << GROUP_COUNT;
		for (unsigned other = 0; other < c; other++)
			unique = unique && (child_info[c].kind != child_info[other].kind ||
					       strcmp(names[c], names[other]) != 0);
	}
	CHECK(fit, "every child's name is a label of at most 63 bytes");
	CHECK(unique, "no two children of one kind have one name");
	CHECK(rows, "every child has a renderer revision and known groups");
	snprintf(pod, sizeof pod, "%s-%u", cluster, INSTANCES_MAX - 1);
	snprintf(pvc, sizeof pvc, "pgdata-%s", pod);
	CHECK(strlen(pod) <= NAME_MAX_LABEL && strlen(pvc) <= NAME_MAX_LABEL,
	    "and so are a pod's and a PVC's");
	CHECK(strcmp(names[CHILD_INSTANCE], pod) == 0, "an instance has its pod's name");
}

static void
test_inputs(void)
{
	uint64_t hash[GROUP_COUNT];
	bool right = true, pods = true;

	for (unsigned g = 0; g < GROUP_COUNT; g++)
		hash[g] = 100 + g;
	for (unsigned g = 0; g < GROUP_COUNT; g++) {
		uint64_t pod = model_pod_inputs(hash), child[CHILD_COUNT];

		for (unsigned c = 0; c < CHILD_COUNT; c++)
			child[c] = model_child_inputs((enum child)c, hash);
		hash[g]++;
		for (unsigned c = 0; c < CHILD_COUNT; c++)
			right = right && (child[c] != model_child_inputs((enum child)c, hash)) ==
			                     ((child_info[c].groups >> g & 1) != 0);
		pods =
		    pods && (pod != model_pod_inputs(hash)) == (g == GROUP_POD || g == GROUP_META);
		hash[g]--;
	}
	CHECK(right, "a child's inputs change with its groups and with no other");
	CHECK(
	    pods, "a pod's inputs change with POD and META only: nothing else restarts a database");
	CHECK((child_info[CHILD_STATEFULSET].groups & (1u << GROUP_POD)) == 0 &&
		  (child_info[CHILD_STATEFULSET].groups & (1u << GROUP_META)) != 0,
	    "of what the StatefulSet is rendered from, its template tells by itself");
}

static const char *const parameters[] = {
#define OWNED_PARAMETER(name) name,
#include "model/owned.def"
};
static const char *const variables[] = {
#define OWNED_VARIABLE(name) name,
#include "model/owned.def"
};

static bool
sorted(const char *const *table, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (strcmp(table[i - 1], table[i]) >= 0) {
			printf("# %s stands before %s\n", table[i - 1], table[i]);
			return false;
		}
	return true;
}

static void
test_owned(void)
{
	size_t n = sizeof parameters / sizeof *parameters, m = sizeof variables / sizeof *variables;
	bool form = true;

	CHECK(sorted(parameters, n) && sorted(variables, m),
	    "owned names are sorted, and each stands once");
	for (size_t i = 0; i < n; i++)
		form = form && charset_ok(CHARS_GUC, str_of(parameters[i])) &&
		       model_parameter_owned(str_of(parameters[i]));
	for (size_t i = 0; i < m; i++)
		form = form && str_starts(str_of(variables[i]), "PATRONI_") &&
		       model_variable_owned(str_of(variables[i]));
	CHECK(form, "each is found by its name");
	CHECK(!model_parameter_owned(STR("work_mem")) && !model_parameter_owned(STR("por")) &&
		  !model_parameter_owned(STR("")) &&
		  !model_variable_owned(STR("PATRONI_LOG_LEVEL")) &&
		  !model_variable_owned(STR("PATRONI_NAME_")),
	    "and others are not");
}

static void
test_status_hash(void)
{
	struct cluster_status s = {.n = 0}, t;
	uint64_t h;

	CHECK(model_status_hash(&s) == 0, "an empty status is 0");
	s = (struct cluster_status){
	    .ready_instances = 1, .primary = STR("a"), .phase = STR("b"), .generation = 2, .n = 1};
	s.conditions[0].text = STR("c");
	h = model_status_hash(&s);
	t = s;
	CHECK(h != 0 && model_status_hash(&t) == h, "equal statuses are equal");
	t.primary = STR("");
	t.phase = STR("ab");
	CHECK(model_status_hash(&t) != h, "texts do not run into each other");
	t = s;
	t.conditions[1].type = 3;
	CHECK(model_status_hash(&t) == h, "what is past n does not count");
	t.n = 2;
	CHECK(model_status_hash(&t) != h, "and n does");
}

int
main(void)
{
	test_vocabularies();
	test_reasons();
	test_kinds();
	test_children();
	test_inputs();
	test_owned();
	test_status_hash();
	return tap_done();
}
