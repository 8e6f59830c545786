/* SPDX-License-Identifier: MIT */
/*
 * core/plan/{plan,join,print}.c over manifests: those of the build, and made-up ones, which are a built plugin whose embedded
 * text is overwritten. tests/integration/test_plan.py looks at the same from outside, test_plan_memory.c when memory runs out.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/str.h"
#include "config_fixture.h"
#include "plan/plan.h"

#define HEAD(id, kind)                                                                                       \
	"[plugin]\nid = " id "\nversion = 1\nkind = " kind "\nsummary = s\nprivileges = none\nperturbs = "   \
							   "no\n"
#define OUT(name, type, more) "[output " name "]\ntype = " type "\nsummary = s\n" more
#define IN(name, type, more)  "[input " name "]\ntype = " type "\nsummary = s\n" more
#define TARGET                "[target]\npid = 1\n"

static struct registry *registry;
static struct config *config;
static struct diag_list diags;
static struct plan *plan;
static struct pfc_error error;

/* A plugin in the test's folder with this manifest. */
static void add(const char *id, const char *manifest)
{
	size_t bytes;
	unsigned char *data = fixture_read(fixture_plugin("flamegraph"), &bytes);
	char *at = memmem(data, bytes, "[plugin]\n", 9);
	char name[64];
	size_t room;

	ck_assert_ptr_nonnull(at);
	room = strlen(at);
	ck_assert_uint_le(strlen(manifest), room);
	memset(at, '\n', room);
	memcpy(at, manifest, strlen(manifest));
	snprintf(name, sizeof(name), "%s.so", id);
	ck_assert_int_eq(chmod(fixture_write_bytes(name, data, bytes), 0644), 0);
	free(data);
}

static void add_usual(void)
{
	add("cpu", HEAD("cpu", "collector") OUT("a", "t.stacks/1", "signal = cpu\n"));
	add("heap", HEAD("heap", "collector") OUT("a", "t.stacks/1", "signal = heap\n"));
	add("each", HEAD("each", "transform") IN("in", "t.stacks/1", "multiplicity = each\n")
			    OUT("doc", "text/plain", "file = d.{signal}.txt\nlink = d_{run}_{stage}.txt\n"));
	add("maybe",
	    HEAD("maybe", "transform") IN("in", "t.stacks/1", "multiplicity = each\noptional = yes\n")
		    OUT("doc", "text/plain", ""));
	add("one", HEAD("one", "transform") IN("in", "t.stacks/1", ""));
	add("opt", HEAD("opt", "transform") IN("in", "t.stacks/1", "multiplicity = optional\n"));
	add("many", HEAD("many", "reporter") IN("in", "t.stacks/1", "multiplicity = many\n"));
	add("docs", HEAD("docs", "reporter") IN("in", "text/plain", "multiplicity = many\n"));
	add("heaps",
	    HEAD("heaps", "reporter") IN("in", "t.stacks/1", "multiplicity = many\nsignal = heap\n"));
	add("pass",
	    HEAD("pass", "transform") IN("in", "t.stacks/1", "") OUT("a", "t.stacks/1", "signal = passed\n"));
}

static void make_mode(const char *text, const struct plan_mode *mode)
{
	char *path = str_printf("%s:%s/tests/standins:%s/plugins", fixture_folder(),
				getenv("PROFCORE_BUILD_ROOT"), getenv("PROFCORE_BUILD_ROOT"));

	setenv("PROFCORE_PLUGIN_PATH", path, 1);
	free(path);
	ck_assert_int_eq(registry_open(&registry, &error), 0);
	ck_assert_int_eq(config_load(fixture_write("c.ini", text), NULL, 0, &diags, &config, &error), 0);
	ck_assert_int_eq(plan_build(config, registry, mode, &diags, &plan, &error), 0);
	ck_assert_ptr_nonnull(plan);
}

static void release(void)
{
	plan_destroy(plan);
	config_destroy(config);
	diag_finish(&diags);
	registry_close(registry);
	diags = (struct diag_list){ 0 };
	plan = NULL;
}

/* A plan without a remark. */
static void make(const char *text)
{
	make_mode(text, &(struct plan_mode){ 0 });
	ck_assert_msg(diags.count == 0, "%s", fixture_remarks(&diags));
}

/* A plan with exactly this remark. */
static void check_remark(const char *text, const char *remark)
{
	make_mode(text, &(struct plan_mode){ 0 });
	ck_assert_str_eq(fixture_remarks(&diags), remark);
	release();
}

static const struct plan_stage *stage(const char *name)
{
	for (size_t i = 0; i < plan->stage_count; i++) {
		if (str_equal(plan->stages[i]->name, name)) {
			return plan->stages[i];
		}
	}
	ck_abort_msg("no stage %s", name);
	return NULL;
}

/* What is joined to an input, "a.x b.y". */
static const char *joined(const char *name, size_t input)
{
	static char text[4096];

	text[0] = '\0';
	ck_assert_uint_lt(input, stage(name)->input_count);
	for (size_t i = 0; i < stage(name)->inputs[input].edge_count; i++) {
		const struct plan_output *from = stage(name)->inputs[input].edges[i].output;

		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s.%s", i > 0 ? " " : "",
			 from->stage->name, from->port->name);
	}
	return text;
}

/* All stages have their place, and what they take comes before them. */
static void check_order(void)
{
	for (size_t i = 0; i < plan->stage_count; i++) {
		const struct plan_stage *to = plan->stages[i];

		ck_assert_uint_eq(to->index, i);
		for (size_t p = 0; p < to->input_count; p++) {
			for (size_t e = 0; e < to->inputs[p].edge_count; e++) {
				ck_assert_uint_lt(to->inputs[p].edges[e].output->stage->index, i);
			}
		}
	}
}

START_TEST(each_of_several)
{
	add_usual();
	make(TARGET "[plugin:each]\n[plugin:cpu]\n[plugin:heap]\n");
	ck_assert_uint_eq(plan->stage_count, 4);
	check_order();
	ck_assert_str_eq(joined("each[cpu.a]", 0), "cpu.a");
	ck_assert_str_eq(joined("each[heap.a]", 0), "heap.a");
	ck_assert_str_eq(stage("each[heap.a]")->section, "each");
	ck_assert_str_eq(stage("each[heap.a]")->outputs[0].signal, "heap");
	ck_assert_str_eq(stage("each[heap.a]")->outputs[0].path, "d.heap.txt");
	ck_assert_str_eq(stage("each[cpu.a]")->outputs[0].link, "d_{run}_each[cpu.a].txt");
	release();
}
END_TEST

START_TEST(each_of_one_and_of_none)
{
	add_usual();
	make(TARGET "[plugin:cpu]\n[plugin:each]\n");
	ck_assert_str_eq(joined("each", 0), "cpu.a");
	release();
	make("[plugin:docs]\nenabled = no\n" TARGET "[plugin:null]\n[plugin:maybe]\n");
	ck_assert_uint_eq(plan->stage_count, 1);
	release();
	check_remark("[plugin:each]\n", "c.ini:1: error: each.in needs t.stacks/1, and no stage makes it; "
					"plugins that do: cpu, heap, pass\n");
}
END_TEST

/* Several `each` inputs: an instance for each artifact of each, with the outputs that belong to that input. */
static void add_reports(const char *optional)
{
	char manifest[2048];

	add("calls", HEAD("calls", "collector") OUT("b", "t.calls/1", "signal = calls\n"));
	snprintf(manifest, sizeof(manifest),
		 HEAD("reports", "transform") IN("in", "t.stacks/1", "multiplicity = each\n%s")
			 IN("calls", "t.calls/1", "multiplicity = each\n%s")
				 IN("all", "t.stacks/1", "multiplicity = many\noptional = yes\n")
					 OUT("doc", "text/plain", "file = d.{signal}.txt\nwhen = in\n")
						 OUT("table", "text/plain", "file = t.{signal}.txt\nwhen = calls\n")
							 OUT("log", "text/plain", "file = l.{signal}.txt\n"),
		 optional, optional);
	add("reports", manifest);
}

static const char *outputs_of(const char *name)
{
	static char text[256];

	text[0] = '\0';
	for (size_t i = 0; i < stage(name)->output_count; i++) {
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", i > 0 ? " " : "",
			 stage(name)->outputs[i].path);
	}
	return text;
}

START_TEST(each_by_several_inputs)
{
	add_usual();
	add_reports("");
	make(TARGET "[plugin:cpu]\n[plugin:heap]\n[plugin:calls]\n[plugin:reports]\n");
	ck_assert_uint_eq(plan->stage_count, 6);
	check_order();
	ck_assert_str_eq(joined("reports[cpu.a]", 0), "cpu.a");
	ck_assert_str_eq(joined("reports[cpu.a]", 1), "");
	ck_assert_str_eq(joined("reports[cpu.a]", 2), "cpu.a heap.a");
	ck_assert_str_eq(outputs_of("reports[cpu.a]"), "d.cpu.txt l.cpu.txt");
	ck_assert_str_eq(joined("reports[calls.b]", 0), "");
	ck_assert_str_eq(joined("reports[calls.b]", 1), "calls.b");
	ck_assert_str_eq(joined("reports[calls.b]", 2), "cpu.a heap.a");
	ck_assert_str_eq(outputs_of("reports[calls.b]"), "t.calls.txt l.calls.txt");
	release();
	make(TARGET "[plugin:calls]\n[plugin:reports]\n");
	ck_assert_str_eq(joined("reports", 1), "calls.b");
	release();
}
END_TEST

START_TEST(each_by_several_inputs_needs_one_of_them)
{
	add_reports("");
	check_remark(TARGET "[plugin:reports]\n[plugin:null]\n",
		     "c.ini:3: error: reports needs one of t.stacks/1, t.calls/1, and no stage makes any of them\n");
	add_reports("optional = yes\n");
	make(TARGET "[plugin:reports]\n[plugin:null]\n");
	ck_assert_uint_eq(plan->stage_count, 1);
	release();
}
END_TEST

START_TEST(one_and_optional)
{
	add_usual();
	make(TARGET "[plugin:opt]\n[plugin:cpu]\n[plugin:one]\n");
	ck_assert_str_eq(joined("one", 0), "cpu.a");
	ck_assert_str_eq(joined("opt", 0), "cpu.a");
	check_order();
	release();
	make("[plugin:opt]\n");
	ck_assert_str_eq(joined("opt", 0), "");
	release();
	check_remark("[plugin:one]\n", "c.ini:1: error: one.in needs t.stacks/1, and no stage makes it; "
				       "plugins that do: cpu, heap, pass\n");
	check_remark(TARGET "[plugin:cpu]\n[plugin:heap]\n[plugin:opt]\n",
		     "c.ini:5: error: opt.in takes one t.stacks/1, and there are several: cpu.a, heap.a; "
		     "choose with input.in = "
		     "STAGE.PORT\n");
	make(TARGET "[plugin:cpu]\n[plugin:heap]\n[plugin:opt]\ninput.in = heap\n");
	ck_assert_str_eq(joined("opt", 0), "heap.a");
	release();
}
END_TEST

START_TEST(many)
{
	add_usual();
	make(TARGET "[plugin:many]\n[plugin:heap]\n[plugin:cpu]\n[plugin:b]\nuse = cpu\n");
	ck_assert_str_eq(joined("many", 0), "heap.a cpu.a b.a");
	check_order();
	release();
	make(TARGET
	     "[plugin:many]\ninput.in = cpu.a , b\n[plugin:heap]\n[plugin:cpu]\n[plugin:b]\nuse = cpu\n");
	ck_assert_str_eq(joined("many", 0), "cpu.a b.a");
	release();
	check_remark("[plugin:many]\n", "c.ini:1: error: many.in needs t.stacks/1, and no stage makes it; "
					"plugins that do: cpu, heap, pass\n");
}
END_TEST

/* Twice the same artifact would count everything twice. */
START_TEST(named_twice_is_joined_once)
{
	add_usual();
	make(TARGET "[plugin:many]\ninput.in = cpu.a, cpu, cpu.a\n[plugin:cpu]\n[plugin:one]\ninput.in = "
		    "cpu, cpu.a\n");
	ck_assert_str_eq(joined("many", 0), "cpu.a");
	ck_assert_str_eq(joined("one", 0), "cpu.a");
	release();
}
END_TEST

/* A section that became several stages is named by its own name: all of them, or by one's. */
START_TEST(a_section_of_several_stages_is_named)
{
	add_usual();
	make(TARGET "[plugin:cpu]\n[plugin:heap]\n[plugin:each]\n[plugin:docs]\ninput.in = each.doc\n"
		    "[plugin:d2]\nuse = docs\ninput.in = each\n"
		    "[plugin:d3]\nuse = docs\ninput.in = each[heap.a].doc\n[plugin:d4]\nuse = docs\ninput.in "
		    "= each[cpu.a]\n");
	ck_assert_str_eq(joined("docs", 0), "each[cpu.a].doc each[heap.a].doc");
	ck_assert_str_eq(joined("d2", 0), "each[cpu.a].doc each[heap.a].doc");
	ck_assert_str_eq(joined("d3", 0), "each[heap.a].doc");
	ck_assert_str_eq(joined("d4", 0), "each[cpu.a].doc");
	release();
	make_mode(TARGET "[plugin:cpu]\n[plugin:each]\n[plugin:docs]\ninput.in = eac.doc\n",
		  &(struct plan_mode){ 0 });
	ck_assert_uint_eq(diag_errors(&diags), 1);
	release();
}
END_TEST

START_TEST(signals)
{
	add_usual();
	make(TARGET "[plugin:heaps]\n[plugin:cpu]\n[plugin:heap]\n[plugin:pass]\ninput.in = cpu.a\n");
	ck_assert_str_eq(joined("heaps", 0), "heap.a");
	release();
	check_remark(TARGET "[plugin:heaps]\n[plugin:cpu]\n",
		     "c.ini:3: error: heaps.in needs t.stacks/1 of signal heap, and no stage makes it; "
		     "plugins that do: heap\n");
}
END_TEST

START_TEST(document_names_are_unique)
{
	add_usual();
	add("same", HEAD("same", "transform") OUT("a", "text/plain", "file = x.txt\nlink = x_{run}.txt\n")
			    OUT("b", "text/plain", "file = x.txt\n") OUT("c", "text/plain", "file = x.txt\n")
				    OUT("d", "text/plain", "file = plain\n")
					    OUT("e", "text/plain", "file = x.same.txt\n"));
	make("[plugin:same]\n[plugin:other]\nuse = same\n");
	for (size_t i = 0; i < 10; i++) {
		const struct plan_stage *a = stage(i < 5 ? "same" : "other");

		for (size_t j = 0; j < i; j++) {
			const struct plan_stage *b = stage(j < 5 ? "same" : "other");

			ck_assert_str_ne(a->outputs[i % 5].path, b->outputs[j % 5].path);
		}
	}
	ck_assert_str_eq(stage("same")->outputs[0].path, "x.txt");
	ck_assert_str_eq(stage("same")->outputs[0].link, "x_{run}.txt");
	ck_assert_str_eq(stage("other")->outputs[0].path, "x.other.txt");
	ck_assert_str_eq(stage("other")->outputs[3].path, "plain.other");
	ck_assert_str_eq(stage("other")->outputs[0].link, "");
	release();
}
END_TEST

/* The run's own files are nobody's to take. */
START_TEST(documents_do_not_take_the_files_of_the_run)
{
	static const char *const own[] = { "manifest.json", "target.json", "config.effective.ini",
					   "artifacts", "logs" };

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
		char *text =
			str_printf(HEAD("thief", "reporter") OUT("a", "text/plain", "file = %s\n"), own[i]);

		add("thief", text);
		make("[plugin:thief]\n");
		ck_assert_str_ne(stage("thief")->outputs[0].path, own[i]);
		release();
		free(text);
	}
}
END_TEST

START_TEST(cycles)
{
	struct str text = { 0 };

	add_usual();
	check_remark("[plugin:a]\nuse = pass\ninput.in = b.a\n[plugin:b]\nuse = pass\ninput.in = "
		     "a.a\n[plugin:one]\ninput.in = "
		     "b.a\n",
		     "c.ini:1: error: stages wait for each other: a takes from b takes from a; name what "
		     "each takes with "
		     "input.PORT = STAGE.PORT\n");
	make_mode("[plugin:a]\nuse = pass\ninput.in = a.a\n", &(struct plan_mode){ 0 });
	ck_assert_uint_eq(diag_errors(&diags), 1);
	release();
	for (int i = 0; i < 100; i++) {
		str_format(&text, "[plugin:ring-stage-%d]\nuse = pass\ninput.in = ring-stage-%d.a\n", i,
			   (i + 1) % 100);
	}
	make_mode(str_text(&text), &(struct plan_mode){ 0 });
	ck_assert_uint_eq(diag_errors(&diags), 1);
	ck_assert_ptr_nonnull(strstr(fixture_remarks(&diags), "wait for each other"));
	/* Too long to be told whole, and it claims no step that is none. */
	ck_assert_ptr_nonnull(strstr(fixture_remarks(&diags), "takes from ... takes from"));
	release();
	str_finish(&text);
}
END_TEST

START_TEST(only_keeps_what_is_needed)
{
	struct plan_mode mode = { .only = "docs" };

	add_usual();
	make_mode(TARGET "[plugin:many]\n[plugin:docs]\n[plugin:each]\ninput.in = "
			 "heap.a\n[plugin:cpu]\n[plugin:heap]\n",
		  &mode);
	ck_assert_uint_eq(diags.count, 0);
	ck_assert_uint_eq(plan->stage_count, 3);
	check_order();
	ck_assert_str_eq(joined("docs", 0), "each.doc");
	ck_assert_str_eq(joined("each", 0), "heap.a");
	release();
}
END_TEST

START_TEST(only_of_what_is_not_there)
{
	struct plan_mode mode = { .only = "mony" };

	add_usual();
	make_mode(TARGET "[plugin:many]\n[plugin:cpu]\n", &mode);
	ck_assert_uint_eq(diag_errors(&diags), 1);
	ck_assert_msg(strstr(fixture_remarks(&diags), "\"mony\"") != NULL, "%s", fixture_remarks(&diags));
	ck_assert_msg(strstr(fixture_remarks(&diags), "did you mean \"many\"?") != NULL, "%s",
		      fixture_remarks(&diags));
	release();
}
END_TEST

#define SLOW_CPU                                                                                             \
	"[plugin]\nid = slow\nversion = 1\nkind = collector\nsummary = s\nprivileges = none\nperturbs = "    \
	"yes\n" OUT("a", "t.stacks/1", "signal = cpu\n")

START_TEST(interference)
{
	static const char *const orders[] = { TARGET "[plugin:cpu]\n[plugin:slow]\n",
					      TARGET "[plugin:slow]\n[plugin:cpu]\n" };

	add_usual();
	add("slow", SLOW_CPU);
	for (size_t i = 0; i < 2; i++) {
		make_mode(orders[i], &(struct plan_mode){ 0 });
		ck_assert_uint_eq(diag_errors(&diags), 0);
		ck_assert_msg(diags.count == 1, "order %zu: %zu remarks", i, diags.count);
		ck_assert_ptr_nonnull(strstr(fixture_remarks(&diags),
					     "slow slows the target down while cpu measures its CPU"));
		release();
	}
	make(TARGET "[plugin:slow]\n"); /* alone it disturbs nobody else */
	release();
}
END_TEST

#define SLOW_AT_WILL                                                                                         \
	"[plugin]\nid = maybe\nversion = 1\nkind = collector\nsummary = s\nprivileges = none\nperturbs_when "  \
	"= how = hard\n[option how]\ntype = enum\nvalues = easy, hard\ndefault = easy\nhelp = h\n"             \
	OUT("b", "t.other/1", "")

/* Only with the value that its manifest names. */
START_TEST(interference_by_an_option)
{
	add_usual();
	add("maybe", SLOW_AT_WILL);
	make(TARGET "[plugin:cpu]\n[plugin:maybe]\n");
	ck_assert_uint_eq(diags.count, 0);
	release();
	make_mode(TARGET "[plugin:cpu]\n[plugin:maybe]\nhow = hard\n", &(struct plan_mode){ 0 });
	ck_assert_uint_eq(diags.count, 1);
	ck_assert_ptr_nonnull(strstr(fixture_remarks(&diags), "maybe slows the target down while cpu measures its CPU"));
	release();
}
END_TEST

START_TEST(two_hundred_stages_in_the_wrong_order)
{
	struct str text = { 0 };

	add_usual();
	for (int i = 199; i > 0; i--) {
		str_format(&text, "[plugin:s%d]\nuse = pass\ninput.in = s%d.a\n", i, i - 1);
	}
	str_add(&text, TARGET "[plugin:s0]\nuse = cpu\n");
	make(str_text(&text));
	ck_assert_uint_eq(plan->stage_count, 200);
	check_order();
	ck_assert_str_eq(joined("s199", 0), "s198.a");
	ck_assert_str_eq(plan->stages[0]->name, "s0");
	release();
	str_finish(&text);
}
END_TEST

START_TEST(plugins_of_the_build)
{
	size_t stacks = 0;

	make_mode("[target]\ncommand = "
		  "true\n[plugin:analyze]\n[plugin:flamegraph]\n[plugin:report]\n[plugin:load-test]\n"
		  "url = http://127.0.0.1:1/\n[plugin:strace]\n[plugin:memory]\n[plugin:perf-cpu]\n",
		  &(struct plan_mode){ 0 });
	ck_assert_msg(diag_errors(&diags) == 0, "%s", fixture_remarks(&diags));
	for (size_t i = 0; i < plan->stage_count; i++) {
		for (size_t o = 0; o < plan->stages[i]->output_count; o++) {
			stacks += str_equal(plan->stages[i]->outputs[o].port->type, "profcore.stacks/1");
		}
	}
	ck_assert_uint_ge(stacks, 3); /* one at least of each collector */
	ck_assert_uint_ge(plan->stage_count, 4 + stacks + stacks + 1);
	check_order();
	ck_assert(plan->has_target);
	ck_assert(plan_is_measuring(stage("load-test")));
	ck_assert(!plan_is_measuring(stage("report[memory.faults]")));
	ck_assert_str_eq(stage("flamegraph[strace.stacks]")->outputs[0].path, "flamegraph.off-cpu.svg");
	ck_assert_str_eq(stage("perf-cpu")->outputs[0].path, "artifacts/perf-cpu.stacks.pcol");
	release();
}
END_TEST

START_TEST(printed)
{
	char *text = NULL;
	size_t bytes;
	FILE *to = open_memstream(&text, &bytes);
	json_t *json;

	add_usual();
	make(TARGET
	     "[plugin:cpu]\non_failure = abort\n[plugin:each]\n[plugin:opt]\n[plugin:null]\nenabled = no\n");
	plan_print(plan, to);
	fputs("--\n", to);
	plan_print_dot(plan, to);
	fclose(to);
	ck_assert_str_eq(text,
			 "cpu                      collector  cpu 1  abort on failure\n"
			 "    -> a            t.stacks/1 of cpu  artifacts/cpu.a.pcol\n"
			 "each                     transform  each 1\n"
			 "    <- in           each      \n"
			 "         cpu.a\n"
			 "    -> doc          text/plain of cpu  d.cpu.txt\n"
			 "opt                      transform  opt 1\n"
			 "    <- in           optional  \n"
			 "         cpu.a\n"
			 "--\n"
			 "digraph plan {\n\trankdir=LR;\n\tnode [fontname=\"sans-serif\"];\n"
			 "\t\"cpu\" [shape=box];\n\t\"each\" [shape=ellipse];\n\t\"opt\" [shape=ellipse];\n"
			 "\t\"cpu\" -> \"each\" [label=\"t.stacks/1\"];\n\t\"cpu\" -> \"opt\" "
			 "[label=\"t.stacks/1\"];\n}\n");
	free(text);
	json = plan_to_json(plan);
	text = json_dumps(json_array_get(json_object_get(json, "stages"), 1), JSON_COMPACT | JSON_SORT_KEYS);
	ck_assert_str_eq(text, "{\"inputs\":[{\"from\":[{\"port\":\"a\",\"stage\":\"cpu\"}],\"multiplicity\":"
			       "\"each\",\"port\":"
			       "\"in\",\"type\":\"t.stacks/"
			       "1\"}],\"kind\":\"transform\",\"name\":\"each\",\"outputs\":[{\"path\":"
			       "\"d.cpu.txt\",\"port\":\"doc\",\"signal\":\"cpu\",\"type\":\"text/"
			       "plain\"}],\"plugin\":\"each\"}");
	free(text);
	json_decref(json);
	release();
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("plan");

	tcase_add_test(tests, each_of_several);
	tcase_add_test(tests, each_of_one_and_of_none);
	tcase_add_test(tests, each_by_several_inputs);
	tcase_add_test(tests, each_by_several_inputs_needs_one_of_them);
	tcase_add_test(tests, one_and_optional);
	tcase_add_test(tests, many);
	tcase_add_test(tests, named_twice_is_joined_once);
	tcase_add_test(tests, a_section_of_several_stages_is_named);
	tcase_add_test(tests, signals);
	tcase_add_test(tests, document_names_are_unique);
	tcase_add_test(tests, documents_do_not_take_the_files_of_the_run);
	tcase_add_test(tests, cycles);
	tcase_add_test(tests, only_keeps_what_is_needed);
	tcase_add_test(tests, only_of_what_is_not_there);
	tcase_add_test(tests, interference);
	tcase_add_test(tests, interference_by_an_option);
	tcase_add_test(tests, two_hundred_stages_in_the_wrong_order);
	tcase_add_test(tests, plugins_of_the_build);
	tcase_add_test(tests, printed);
	return fixture_main(tests, "plan");
}
