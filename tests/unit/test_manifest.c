/* SPDX-License-Identifier: MIT */
/* config/manifest*.c: the manifest of a good file, one clear line for every bad one, and no crash on any bytes. */
#include <check.h>
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/str.h"
#include "config/manifest.h"
#include "config_fixture.h"

#define HEAD "[plugin]\nid = x\nversion = 1\nkind = transform\nsummary = s\nprivileges = none\n"

static struct manifest *manifest;
static struct pfc_error error;

static int parse(const char *text)
{
	return manifest_parse(text, strlen(text), "/plugins/x.so", &manifest, &error);
}

static void expect_bad(const char *text, const char *why)
{
	ck_assert_int_eq(parse(text), PFC_EINVAL);
	ck_assert_str_eq(error.what, "manifest of /plugins/x.so");
	ck_assert_str_eq(error.why, why);
}

START_TEST(reads_a_whole_manifest)
{
	ck_assert_int_eq(
		parse("[plugin]\nid = perf-cpu\nversion = 0.1.0\nkind = collector\nsummary = Samples\n"
		      "privileges = perf, target-files\nperturbs = yes\n"
		      "[input stacks]\ntype = profcore.stacks/1\nmultiplicity = each\nneeds = samples.stack, "
		      "stacks.parent\n"
		      "signal = cpu\noptional = yes\nsummary = In\n"
		      "[input more]\ntype = profcore.stacks/1\nmultiplicity = optional\n"
		      "[output stacks]\ntype = image/svg+xml\nsignal = cpu\nfile = f.{signal}.svg\nlink = "
		      "f_{run}_{stage}.svg\n"
		      "[option frequency]\ntype = int\ndefault = 997\nmin = 1\nmax = 50000\nunit = Hz\nhelp "
		      "= How often\n"
		      "[option wait]\ntype = duration\nmin = 1ms\nhelp = h\n"
		      "[option color]\ntype = enum\nvalues = a, b\ndefault = b\nhelp = h\n"
		      "[metric samples]\n[metric rate]\nunit = req/s\nlabel = Requests\n"),
		0);
	ck_assert_str_eq(manifest->id, "perf-cpu");
	ck_assert_str_eq(manifest->path, "/plugins/x.so");
	ck_assert_int_eq(manifest->kind, PLUGIN_COLLECTOR);
	ck_assert_uint_eq(manifest->privileges, PRIVILEGE_PERF | PRIVILEGE_TARGET_FILES);
	ck_assert(manifest->perturbs);
	ck_assert_uint_eq(manifest->port_count, 3);
	ck_assert_int_eq(manifest_port(manifest, "stacks", false)->multiplicity, PORT_EACH);
	ck_assert(manifest_port(manifest, "stacks", false)->optional);
	ck_assert_str_eq(manifest_port(manifest, "stacks", false)->needs[1], "stacks.parent");
	ck_assert_ptr_null(manifest_port(manifest, "stacks", false)->needs[2]);
	ck_assert(manifest_port(manifest, "more", false)->optional);
	ck_assert_ptr_null(manifest_port(manifest, "more", true));
	ck_assert_str_eq(manifest_port(manifest, "stacks", true)->file, "f.{signal}.svg");
	ck_assert_ptr_nonnull(manifest_port(manifest, "stacks", true)->needs);
	ck_assert_double_eq(manifest_option(manifest, "frequency")->max, 50000);
	ck_assert_double_eq(manifest_option(manifest, "wait")->min, 1e6);
	ck_assert(!manifest_option(manifest, "wait")->has_max);
	ck_assert_str_eq(manifest_option(manifest, "color")->values[1], "b");
	ck_assert_str_eq(manifest->metrics[0].unit, "count");
	ck_assert_str_eq(manifest->metrics[0].label, "samples");
	ck_assert_str_eq(manifest->metrics[1].label, "Requests");
	manifest_destroy(manifest);
}
END_TEST

START_TEST(names_each_fault)
{
	char options[64 * 300];
	size_t at = 0;

	expect_bad("", "x.so:1: no [plugin] section");
	expect_bad("[plugin]\n", "x.so:1: [plugin] lacks the key id; x.so:1: [plugin] lacks the key version; "
				 "x.so:1: [plugin] lacks "
				 "the key kind; x.so:1: [plugin] lacks the key summary; x.so:1: [plugin] "
				 "lacks the key privileges");
	expect_bad(HEAD "sumary = x\n",
		   "x.so:7: unknown key \"sumary\" in [plugin]; did you mean \"summary\"?");
	expect_bad("[plugin]\nid = X\nversion = 1\nkind = transfrom\nsummary = s\nprivileges = prf\n",
		   "x.so:2: id = X: use lower-case letters, digits, - and _, at most 40; x.so:4: kind = "
		   "transfrom: is none of "
		   "driver, collector, transform, reporter; did you mean \"transform\"?; x.so:6: privileges "
		   "= prf: is none of "
		   "none, perf, bpf, ptrace, target-files, network, uprobe; did you mean \"perf\"?");
	expect_bad(HEAD "perturbs = maybe\n", "x.so:7: perturbs = maybe: is neither yes nor no");
	expect_bad(HEAD "perturbs_when = how = hard\n",
		   "x.so:7: perturbs_when = how = hard: write OPTION = VALUE, with an option of this plugin");
	expect_bad(HEAD "[inptu a]\ntype = a/1\n",
		   "x.so:7: unknown section [inptu a]; did you mean [input a]?");
	expect_bad(HEAD "[input]\ntype = a/1\n",
		   "x.so:7: [input]: names have lower-case letters, digits, - and _, at most 40");
	expect_bad(HEAD "[input a]\n", "x.so:7: [input a] lacks the key type");
	expect_bad(HEAD "[input a]\ntype = stacks\n",
		   "x.so:8: type = stacks: write a type such as profcore.stacks/1, or a media type such as "
		   "text/plain");
	expect_bad(HEAD "[input a]\ntype = a/1\nmultiplicity = two\n",
		   "x.so:9: multiplicity = two: is none of one, optional, many, each");
	expect_bad(HEAD "[input a]\ntype = a/1\nneeds = time\n", "x.so:9: needs = time: write table.column");
	expect_bad(HEAD "[input a]\ntype = a/1\n[input  a]\ntype = b/1\n",
		   "x.so:9: [input  a] a second time");
	expect_bad(
		HEAD "[output a]\ntype = a/1\nfile = ../x\n",
		"x.so:9: file = ../x: a plain file name of letters, digits, . - _ + with {signal}, {stage}");
	expect_bad(HEAD "[output a]\ntype = a/1\nlink = {who}\n",
		   "x.so:9: link = {who}: a plain file name of letters, digits, . - _ + with {signal}, "
		   "{stage}, {run}");
	expect_bad(HEAD "[output a]\ntype = a/1\nwhen = b\n",
		   "x.so:9: when = b: name an input of this plugin with multiplicity = each");
	expect_bad(HEAD "[output  a]\ntype = a/1\nwhen = b\n[input b]\ntype = a/1\nmultiplicity = many\n",
		   "x.so:9: when = b: name an input of this plugin with multiplicity = each");
	expect_bad(HEAD "[option a]\ntype = it\nhelp = h\n",
		   "x.so:8: type = it: is none of int, float, bool, string, enum, duration, size, list; did "
		   "you mean \"int\"?");
	expect_bad(HEAD "[option a]\ntype = int\nhelp = h\ndefault = x\n",
		   "x.so:10: default = x: is no whole number");
	expect_bad(HEAD "[option a]\ntype = int\nhelp = h\ndefault = 1\nmin = 2\n",
		   "x.so:10: default = 1: is below the minimum 2");
	expect_bad(HEAD "[option a]\ntype = int\nhelp = h\nmin = 3\nmax = 2\n", "x.so:10: min is above max");
	expect_bad(HEAD "[option a]\ntype = string\nhelp = h\nmin = 3\n",
		   "x.so:10: min: an option of type string has no limits");
	expect_bad(HEAD "[option a]\ntype = enum\nhelp = h\n", "x.so:7: [option a] lacks the key values");
	expect_bad(HEAD "[option a]\ntype = enum\nvalues = a\nhelp = h\ndefault = b\n",
		   "x.so:11: default = b: is none of a");
	expect_bad(HEAD "[option a]\ntype = int\nvalues = a\nhelp = h\n",
		   "x.so:9: values: only an option of type enum has them");
	expect_bad(HEAD "[option use]\ntype = int\nhelp = h\n",
		   "x.so:7: [option use]: this name is a key of every stage, choose another");
	expect_bad(HEAD "nonsense\n",
		   "x.so:7: \"nonsense\" is no `key = value`, section, comment or continued value");
	at += (size_t)sprintf(options + at, "%s", HEAD);
	for (int i = 0; i <= MANIFEST_OPTIONS_MAX; i++) {
		at += (size_t)sprintf(options + at, "[option o%d]\ntype = int\nhelp = h\n", i);
	}
	expect_bad(options, "x.so:775: [option o256]: more than 256 of them");
}
END_TEST

START_TEST(zero_bytes_end_the_text)
{
	static const char text[] = HEAD "\0\0";

	ck_assert_int_eq(manifest_parse(text, sizeof(text), "x.so", &manifest, &error), 0);
	manifest_destroy(manifest);
	/* Two manifests in one file: the zero byte of the first is in the way. */
	ck_assert_int_eq(manifest_parse("[plugin]\n\0[plugin]\n", 19, "x.so", &manifest, &error), PFC_EINVAL);
	ck_assert_ptr_nonnull(strstr(error.why, "x.so:2: NUL byte"));
}
END_TEST

START_TEST(reads_a_real_plugin)
{
	ck_assert_int_eq(manifest_read(fixture_plugin("null"), &manifest, &error), 0);
	ck_assert_str_eq(manifest->id, "null");
	ck_assert_str_eq(manifest->path, fixture_plugin("null"));
	ck_assert_int_eq(manifest->kind, PLUGIN_COLLECTOR);
	manifest_destroy(manifest);
}
END_TEST

static unsigned char *image;
static size_t image_bytes;

static void image_load(void)
{
	image = fixture_read(fixture_plugin("null"), &image_bytes);
}

static void expect_refused(size_t bytes, const char *why)
{
	int rc = manifest_read(fixture_write_bytes("x.so", image, bytes), &manifest, &error);

	ck_assert_msg(rc < 0 && strstr(error.why, why) != NULL, "got %d \"%s\", wanted \"%s\"", rc,
		      rc < 0 ? error.why : "", why);
	ck_assert_ptr_null(strchr(error.why, '\n'));
	ck_assert_ptr_nonnull(strstr(error.what, "x.so"));
}

static void image_reload(void)
{
	free(image);
	image_load();
}

static Elf64_Shdr *image_section(const char *name)
{
	Elf64_Ehdr *head = (Elf64_Ehdr *)image;
	Elf64_Shdr *sections = (Elf64_Shdr *)(image + head->e_shoff);
	const char *names = (const char *)image + sections[head->e_shstrndx].sh_offset;

	for (unsigned i = 0; i < head->e_shnum; i++) {
		if (str_equal(names + sections[i].sh_name, name)) {
			return &sections[i];
		}
	}
	ck_abort_msg("the plugin has no section %s", name);
	return NULL;
}

static void image_replace(const char *from, const char *to)
{
	unsigned char *at = memmem(image, image_bytes, from, strlen(from));

	ck_assert_ptr_nonnull(at);
	for (; at != NULL; at = memmem(at, image_bytes - (size_t)(at - image), from, strlen(from))) {
		memcpy(at, to, strlen(from));
	}
}

START_TEST(foreign_files_get_one_clear_line)
{
	Elf64_Ehdr *head;

	ck_assert_int_eq(manifest_read(fixture_path("none.so"), &manifest, &error), PFC_ENOENT);
	ck_assert_int_eq(manifest_read(fixture_folder(), &manifest, &error), PFC_EINVAL);
	ck_assert_ptr_nonnull(strstr(error.why, "no regular file"));
	ck_assert_int_eq(manifest_read("/proc/self/exe", &manifest, &error), PFC_EINVAL);
	ck_assert_ptr_nonnull(strstr(error.why, "no section .profcore"));
	image_load();
	expect_refused(0, "the file is empty");
	expect_refused(3, "no ELF file");
	expect_refused(17, "truncated");
	expect_refused(40, "truncated");
	expect_refused(image_bytes / 2, "truncated");
	expect_refused(image_bytes - 1, "truncated");
	memcpy(image, "#!/b", 4);
	expect_refused(image_bytes, "no ELF file");
	image_reload();
	head = (Elf64_Ehdr *)image;
	head->e_machine = EM_AARCH64 == head->e_machine ? EM_X86_64 : EM_AARCH64;
	expect_refused(image_bytes, head->e_machine == EM_AARCH64 ? "built for AArch64 (64 bits)"
								  : "built for x86-64 (64 bits)");
	image_reload();
	image[EI_CLASS] = ELFCLASS32;
	expect_refused(image_bytes, "(32 bits)");
	image_reload();
	image[EI_DATA] = image[EI_DATA] == ELFDATA2LSB ? ELFDATA2MSB : ELFDATA2LSB;
	expect_refused(image_bytes, "other byte order");
	image_reload();
	((Elf64_Ehdr *)image)->e_type = ET_EXEC;
	expect_refused(image_bytes, "no shared object");
	image_reload();
	((Elf64_Ehdr *)image)->e_shoff = 0;
	expect_refused(image_bytes, "no section .profcore");
	free(image);
}
END_TEST

START_TEST(damaged_plugins_get_one_clear_line)
{
	image_load();
	image_replace(".profcore", ".profcorx");
	expect_refused(image_bytes, "it has no section .profcore");
	image_reload();
	image_replace("pfc_plugin_v1", "pfc_plugin_v2");
	expect_refused(image_bytes, "does not export the function pfc_plugin_v1");
	image_reload();
	image_section(".profcore")->sh_size = 1 << 20;
	expect_refused(image_bytes, "larger than 64 KiB");
	image_reload();
	image_section(".profcore")->sh_size = 0;
	expect_refused(image_bytes, "is empty");
	image_reload();
	image_section(".profcore")->sh_offset = image_bytes - 4;
	expect_refused(image_bytes, "truncated");
	image_reload();
	image_section(".profcore")->sh_offset = UINT64_MAX - 8;
	expect_refused(image_bytes, "truncated");
	image_reload();
	image_section(".profcore")->sh_flags |= SHF_COMPRESSED;
	expect_refused(image_bytes, "no plain text");
	image_reload();
	image_section(".profcore")->sh_type = SHT_NOBITS;
	expect_refused(image_bytes, "no plain text");
	image_reload();
	image_section(".dynsym")->sh_size = UINT64_MAX - 7;
	expect_refused(image_bytes, "dynamic symbols");
	image_reload();
	image_section(".dynsym")->sh_link = 60000;
	expect_refused(image_bytes, "dynamic symbols");
	image_reload();
	image_section(".dynsym")->sh_type = SHT_PROGBITS;
	expect_refused(image_bytes, "it exports nothing");
	image_reload();
	((Elf64_Ehdr *)image)->e_shstrndx = 0;
	expect_refused(image_bytes, "makes no sense");
	image_reload();
	image_replace("[plugin]", "[plugon]");
	expect_refused(image_bytes, "unknown section [plugon]");
	free(image);
}
END_TEST

/* A few thousand damaged copies of a real plugin: each is read or refused with a reason, none crashes or hangs. */
START_TEST(survives_mutations)
{
	Elf64_Ehdr *head;
	int fd = memfd_create("x.so", MFD_CLOEXEC); /* no disk: thousands of files cost minutes on some */
	unsigned seed = 20260102;
	size_t table_start;
	size_t refused = 0;

	image_load();
	head = (Elf64_Ehdr *)image;
	table_start = head->e_shoff;
	for (int round = 0; round < 6000; round++) {
		unsigned char *copy = malloc(image_bytes);
		size_t bytes = image_bytes;
		int flips = 1 + rand_r(&seed) % 8;
		int rc;

		ck_assert_ptr_nonnull(copy);
		memcpy(copy, image, image_bytes);
		for (int i = 0; i < flips; i++) {
			/* Half of them where it hurts: the header and the section table. */
			size_t at = (size_t)rand_r(&seed) % bytes;

			at = i % 4 == 1   ? at % sizeof(Elf64_Ehdr)
			     : i % 2 == 0 ? table_start + at % (bytes - table_start)
					  : at;
			copy[at] = rand_r(&seed) % 2 ? (unsigned char)rand_r(&seed)
						     : copy[at] ^ (1u << rand_r(&seed) % 8);
		}
		if (round % 10 == 0) {
			bytes = (size_t)rand_r(&seed) % bytes;
		}
		ck_assert_int_eq(ftruncate(fd, (off_t)bytes), 0);
		ck_assert_int_eq(pwrite(fd, copy, bytes, 0), (ssize_t)bytes);
		error.why[0] = '\0';
		rc = manifest_read_fd(fd, "x.so", &manifest, &error);
		if (rc == 0) {
			manifest_destroy(manifest);
		} else {
			ck_assert_msg(error.why[0] != '\0', "round %d: no reason", round);
			refused++;
		}
		free(copy);
	}
	printf("# 6000 mutations, %zu refused\n", refused);
	ck_assert_uint_gt(refused, 600);
	close(fd);
	free(image);
}
END_TEST

START_TEST(survives_noise_in_the_text)
{
	static const char *const pieces[] = { "[plugin]\n",
					      "[input a]\n",
					      "[output b]\n",
					      "[option c]\n",
					      "[metric d]\n",
					      "id = x\n",
					      "type = int\n",
					      "type = enum\n",
					      "values = a,b,\n",
					      "default = 3\n",
					      "min = 1\n",
					      "max = q\n",
					      "kind = driver\n",
					      "help = h\n",
					      "needs = a.b,c\n",
					      "multiplicity = each\n",
					      "[option ",
					      "]\n",
					      "=",
					      ",",
					      "type = a/1\n",
					      "file = {signal}{\n",
					      "\xff",
					      "\n" };
	unsigned seed = 20260103;
	char text[2048];

	for (int round = 0; round < 20000; round++) {
		size_t bytes = 0;

		for (int i = rand_r(&seed) % 40; i > 0; i--) {
			const char *piece =
				pieces[(size_t)rand_r(&seed) % (sizeof(pieces) / sizeof(pieces[0]))];

			bytes = (size_t)(stpcpy(text + bytes, piece) - text);
		}
		if (manifest_parse(text, bytes, "x.so", &manifest, &error) == 0) {
			manifest_destroy(manifest);
		} else {
			ck_assert(error.why[0] != '\0');
		}
	}
}
END_TEST

START_TEST(names_of_things)
{
	char text[64];

	ck_assert_str_eq(manifest_privilege_names(0, text, sizeof(text)), "none");
	ck_assert_str_eq(manifest_privilege_names(PRIVILEGE_PERF | PRIVILEGE_NETWORK, text, sizeof(text)),
			 "perf, network");
	ck_assert_uint_lt(strlen(manifest_privilege_names(31, text, 12)), 12);
	ck_assert_str_eq(manifest_kind_name(PLUGIN_REPORTER), "reporter");
	ck_assert_str_eq(manifest_kind_name((enum plugin_kind)77), "?");
	ck_assert_str_eq(manifest_multiplicity_name(PORT_EACH), "each");
	manifest_destroy(NULL);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("manifest");

	tcase_add_test(tests, reads_a_whole_manifest);
	tcase_add_test(tests, names_each_fault);
	tcase_add_test(tests, zero_bytes_end_the_text);
	tcase_add_test(tests, reads_a_real_plugin);
	tcase_add_test(tests, foreign_files_get_one_clear_line);
	tcase_add_test(tests, damaged_plugins_get_one_clear_line);
	tcase_add_test(tests, survives_mutations);
	tcase_add_test(tests, survives_noise_in_the_text);
	tcase_add_test(tests, names_of_things);
	return fixture_main(tests, "manifest");
}
