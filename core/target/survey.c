/* SPDX-License-Identifier: MIT */
#include "target/survey.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/str.h"
#include "stage/sandbox.h"
#include "target/procfs.h"

#define SECTIONS_MAX  512u
#define NAMES_MAX     65536u
#define COMMENT_MAX   4096u
#define DYNSTR_MAX    (1u << 20)
#define TEXT_MAX      (4u << 20) /* so much of the code is looked at */
#define PROLOGUES_MIN 8u
#define TEXT_BYTES_PER_PROLOGUE                                                                              \
	1200u /* one in so many bytes at least; code of small functions has one in 100 to 400 */
#define DEADLINE_NS 5000000000u
#define CPU_SECONDS 10

struct file {
	int fd;
	Elf64_Shdr sections[SECTIONS_MAX];
	size_t count;
	char names[NAMES_MAX + 1];
};

static bool read_at(int fd, uint64_t offset, void *to, size_t bytes)
{
	return offset <= INT64_MAX && pread(fd, to, bytes, (off_t)offset) == (ssize_t)bytes;
}

static bool read_sections(struct file *file)
{
	Elf64_Ehdr header;
	const Elf64_Shdr *names;

	if (!read_at(file->fd, 0, &header, sizeof(header)) || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
	    header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
	    header.e_shentsize != sizeof(Elf64_Shdr)) {
		return false;
	}
	file->count = header.e_shnum < SECTIONS_MAX ? header.e_shnum : SECTIONS_MAX;
	if (file->count == 0 || header.e_shstrndx >= file->count ||
	    !read_at(file->fd, header.e_shoff, file->sections, file->count * sizeof(file->sections[0]))) {
		return false;
	}
	names = &file->sections[header.e_shstrndx];
	memset(file->names, 0, sizeof(file->names));
	return pread(file->fd, file->names, names->sh_size < NAMES_MAX ? names->sh_size : NAMES_MAX,
		     (off_t)(names->sh_offset & INT64_MAX)) > 0;
}

static const Elf64_Shdr *find_section(const struct file *file, const char *name)
{
	for (size_t i = 0; i < file->count; i++) {
		if (file->sections[i].sh_name < NAMES_MAX &&
		    strcmp(file->names + file->sections[i].sh_name, name) == 0) {
			return &file->sections[i];
		}
	}
	return NULL;
}

/* The first bytes of a section; the caller frees. */
static char *read_section(const struct file *file, const char *name, size_t max, size_t *ret_bytes)
{
	const Elf64_Shdr *section = find_section(file, name);
	size_t bytes = section != NULL && section->sh_size < max ? section->sh_size : max;
	char *data;

	if (section == NULL || section->sh_type == SHT_NOBITS || bytes == 0) {
		return NULL;
	}
	data = malloc(bytes);
	if (data != NULL && !read_at(file->fd, section->sh_offset, data, bytes)) {
		free(data);
		data = NULL;
	}
	*ret_bytes = bytes;
	return data;
}

static bool section_holds(const struct file *file, const char *name, size_t max, const char *text)
{
	size_t bytes = 0;
	char *data = read_section(file, name, max, &bytes);
	bool holds = data != NULL && memmem(data, bytes, text, strlen(text)) != NULL;

	free(data);
	return holds;
}

static enum survey_language guess_language(const struct file *file)
{
	if (find_section(file, ".gopclntab") != NULL || find_section(file, ".note.go.buildid") != NULL) {
		return SURVEY_GO;
	}
	if (section_holds(file, ".comment", COMMENT_MAX, "rustc") ||
	    section_holds(file, ".rodata", DYNSTR_MAX, "/rustc/") ||
	    section_holds(file, ".rodata", DYNSTR_MAX, "RUST_BACKTRACE")) {
		return SURVEY_RUST;
	}
	if (section_holds(file, ".dynstr", DYNSTR_MAX, "libstdc++.so") ||
	    section_holds(file, ".dynstr", DYNSTR_MAX, "libc++.so")) {
		return SURVEY_CPP;
	}
	/* Distributions strip the compiler's name: what needs the C library and bears no other mark is C. */
	return section_holds(file, ".comment", COMMENT_MAX, "GCC") ||
			       section_holds(file, ".comment", COMMENT_MAX, "clang") ||
			       section_holds(file, ".dynstr", DYNSTR_MAX, "libc.")
		       ? SURVEY_C
		       : SURVEY_LANGUAGE_UNKNOWN;
}

/* push %rbp; mov %rsp,%rbp at the start of functions: where compilers keep frame pointers nearly all begin so. */
static enum survey_answer has_frame_pointers(const struct file *file)
{
#if defined(__x86_64__)
	static const unsigned char prologue[] = { 0x55, 0x48, 0x89, 0xe5 };
	size_t bytes = 0;
	size_t count = 0;
	char *text = read_section(file, ".text", TEXT_MAX, &bytes);
	enum survey_answer answer = SURVEY_UNKNOWN;

	for (const char *at = text; at != NULL;) {
		at = memmem(at, bytes - (size_t)(at - text), prologue, sizeof(prologue));
		count += at != NULL;
		at = at != NULL ? at + sizeof(prologue) : NULL;
	}
	if (text != NULL) {
		answer = count >= PROLOGUES_MIN && count >= bytes / TEXT_BYTES_PER_PROLOGUE ? SURVEY_YES
											    : SURVEY_NO;
	}
	free(text);
	return answer;
#else
	(void)file;
	return SURVEY_UNKNOWN;
#endif
}

static void take_build_id(const struct file *file, struct survey *ret)
{
	size_t bytes = 0;
	char *note = read_section(file, ".note.gnu.build-id", COMMENT_MAX, &bytes);
	Elf64_Nhdr header;

	if (note != NULL && bytes >= sizeof(header)) {
		memcpy(&header, note, sizeof(header));
		if (header.n_type == NT_GNU_BUILD_ID && header.n_namesz == 4 &&
		    header.n_descsz <= bytes - sizeof(header) - header.n_namesz) {
			ret->build_id_bytes = (uint8_t)(header.n_descsz < SURVEY_BUILD_ID_MAX ? header.n_descsz : SURVEY_BUILD_ID_MAX);
			memcpy(ret->build_id, note + sizeof(header) + header.n_namesz, ret->build_id_bytes);
		}
	}
	free(note);
}

void survey_one(int fd, struct survey *ret)
{
	struct file *file = calloc(1, sizeof(*file));

	memset(ret, 0, sizeof(*ret));
	if (file == NULL) {
		return;
	}
	file->fd = fd;
	if (fd >= 0 && read_sections(file)) {
		ret->symbols = find_section(file, ".debug_info") != NULL ? SURVEY_SYMBOLS_DEBUG
			       : find_section(file, ".symtab") != NULL   ? SURVEY_SYMBOLS_TABLE
									 : SURVEY_SYMBOLS_NONE;
		ret->language = guess_language(file);
		take_build_id(file, ret);
		/* Go keeps them always, but sets them up in other ways. */
		ret->frame_pointers = ret->language == SURVEY_GO ? SURVEY_YES : has_frame_pointers(file);
	}
	free(file);
}

/* ---- words and files ---- */

const char *survey_symbols_name(const struct survey *survey)
{
	static const char *const names[] = { "unknown", "none", "names", "debug" };

	return names[survey->symbols];
}

const char *survey_frame_pointers_name(const struct survey *survey)
{
	static const char *const names[] = { "unknown", "no", "yes" };

	return names[survey->frame_pointers];
}

const char *survey_language_name(const struct survey *survey)
{
	static const char *const names[] = { "", "C", "C++", "Rust", "Go" };

	return names[survey->language];
}

int survey_open(const char *path)
{
	struct stat stat_buf;
	char again[64];
	int path_fd = open(path, O_PATH | O_CLOEXEC);
	int fd = -1;

	if (path_fd >= 0 && fstat(path_fd, &stat_buf) == 0 && S_ISREG(stat_buf.st_mode)) {
		snprintf(again, sizeof(again), "/proc/self/fd/%d", path_fd);
		fd = open(again, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	}
	if (path_fd >= 0) {
		close(path_fd);
	}
	return fd;
}

int survey_open_process(int32_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	return survey_open(path);
}

/* ---- the process ---- */

static int be_surveyor(const int *fds, size_t count, int answer_fd)
{
	struct rlimit cpu = { CPU_SECONDS, CPU_SECONDS };
	struct pfc_error err;
	struct survey survey;
	const char *missing;

	(void)setrlimit(RLIMIT_CPU, &cpu);
	if (sandbox_enter(0, "/usr/lib", &missing, &err) < 0) {
		return 1;
	}
	for (size_t i = 0; i < count; i++) {
		survey_one(fds[i], &survey);
		if (write(answer_fd, &survey, sizeof(survey)) != (ssize_t)sizeof(survey)) {
			return 1;
		}
	}
	return 0;
}

static void take(struct survey *one)
{
	one->symbols = one->symbols <= SURVEY_SYMBOLS_DEBUG ? one->symbols : 0;
	one->frame_pointers = one->frame_pointers <= SURVEY_YES ? one->frame_pointers : 0;
	one->language = one->language <= SURVEY_GO ? one->language : 0;
	one->build_id_bytes = one->build_id_bytes <= SURVEY_BUILD_ID_MAX ? one->build_id_bytes : 0;
}

int survey_files(const int *fds, size_t count, struct survey *ret, struct pfc_error *err)
{
	uint64_t until_ns = procfs_now_ns() + DEADLINE_NS;
	int answer[2];
	size_t done = 0;
	pid_t pid;

	memset(ret, 0, count * sizeof(*ret));
	if (pipe2(answer, O_CLOEXEC) < 0) {
		return error_errno(err, errno, "make a pipe");
	}
	pid = fork();
	if (pid == 0) {
		_exit(be_surveyor(fds, count, answer[1]));
	}
	close(answer[1]);
	while (pid > 0 && done < count * sizeof(*ret)) {
		struct pollfd ready = { .fd = answer[0], .events = POLLIN };
		uint64_t now_ns = procfs_now_ns();
		ssize_t got;

		if (now_ns >= until_ns || poll(&ready, 1, (int)((until_ns - now_ns) / 1000000u) + 1) <= 0) {
			break; /* what came so far counts */
		}
		got = read(answer[0], (char *)ret + done, count * sizeof(*ret) - done);
		if (got <= 0) {
			break;
		}
		done += (size_t)got;
	}
	close(answer[0]);
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	for (size_t i = 0; i < count; i++) {
		take(&ret[i]);
	}
	return pid > 0 ? PFC_OK
		       : error_set(err, PFC_EIO, "no process could be started",
				   "look at the programs' files");
}
