/* SPDX-License-Identifier: MIT */
/*
 * The manifest out of a plugin's file. libelf reads (never maps, so a file cut under us is an error and no signal); what it
 * is asked to allocate is bounded first. Nothing of the file is executed.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <profcore/plugin.h>

#include "base/str.h"
#include "config/manifest.h"

#define SECTIONS_MAX      4096
#define DYNSYM_BYTES_MAX  (16 * 1024 * 1024)
#define SECTION_NAMES_MAX (1024 * 1024)
#define CLASS_HERE        (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32)
#define HEADER_BYTES      (sizeof(void *) == 8 ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr))
#define DATA_HERE         (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB)

#if defined(__x86_64__)
#define MACHINE_HERE EM_X86_64
#elif defined(__aarch64__)
#define MACHINE_HERE EM_AARCH64
#elif defined(__riscv)
#define MACHINE_HERE EM_RISCV
#elif defined(__powerpc64__)
#define MACHINE_HERE EM_PPC64
#elif defined(__s390x__)
#define MACHINE_HERE EM_S390
#elif defined(__arm__)
#define MACHINE_HERE EM_ARM
#elif defined(__i386__)
#define MACHINE_HERE EM_386
#elif defined(__loongarch__)
#define MACHINE_HERE 258 /* EM_LOONGARCH, younger than our elf.h */
#else
#error "name this machine's ELF number here"
#endif

struct image {
	const char *path;
	int fd;
	uint64_t bytes;
	Elf *elf;
	size_t names; /* index of the section of section names */
};

static int refuse(const struct image *image, struct pfc_error *err, int status, const char *why)
{
	return error_set(err, status, why, "plugin %s", image->path);
}

static const char *machine_name(unsigned machine, char *to, size_t to_bytes)
{
	static const struct {
		unsigned machine;
		const char *name;
	} names[] = {
		{ EM_X86_64, "x86-64" }, { EM_AARCH64, "AArch64" }, { EM_386, "i386" },
		{ EM_ARM, "ARM" },       { EM_RISCV, "RISC-V" },    { EM_PPC64, "PowerPC64" },
		{ EM_PPC, "PowerPC" },   { EM_S390, "S/390" },      { EM_MIPS, "MIPS" },
		{ EM_SPARCV9, "SPARC" }, { 258, "LoongArch" },      { EM_BPF, "BPF" },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (names[i].machine == machine) {
			return names[i].name;
		}
	}
	snprintf(to, to_bytes, "machine number %u", machine);
	return to;
}

/* The first bytes of the file, before libelf: what kind of file is it? */
static int check_ident(const struct image *image, struct pfc_error *err)
{
	unsigned char head[EI_NIDENT + 4];
	char why[128];
	char number[32];
	uint16_t type;
	uint16_t machine;
	ssize_t got = pread(image->fd, head, sizeof(head), 0);

	if (got < 0) {
		return error_errno(err, errno, "plugin %s: read", image->path);
	}
	if (got < SELFMAG || memcmp(head, ELFMAG, SELFMAG) != 0) {
		return refuse(image, err, PFC_EINVAL,
			      got == 0 ? "not a plugin: the file is empty" : "not a plugin: no ELF file");
	}
	if (got < (ssize_t)sizeof(head) || image->bytes < HEADER_BYTES) {
		return refuse(image, err, PFC_ECORRUPT, "truncated: the ELF header is cut");
	}
	if (head[EI_DATA] != DATA_HERE) {
		return refuse(image, err, PFC_ENOTSUP, "built for a machine of the other byte order");
	}
	memcpy(&type, head + EI_NIDENT, sizeof(type));
	memcpy(&machine, head + EI_NIDENT + 2, sizeof(machine));
	if (machine != MACHINE_HERE || head[EI_CLASS] != CLASS_HERE) {
		char here[32];

		snprintf(why, sizeof(why), "built for %s (%s bits), this profcore is %s (%zu bits)",
			 machine_name(machine, number, sizeof(number)),
			 head[EI_CLASS] == ELFCLASS64 ? "64" : "32",
			 machine_name(MACHINE_HERE, here, sizeof(here)), sizeof(void *) * 8);
		return refuse(image, err, PFC_ENOTSUP, why);
	}
	if (type != ET_DYN) {
		return refuse(image, err, PFC_EINVAL, "not a plugin: an ELF file, but no shared object");
	}
	return 0;
}

/* Header and section table lie within the file. */
static int check_header(struct image *image, struct pfc_error *err)
{
	GElf_Ehdr header;
	GElf_Shdr names;
	size_t count;

	if (gelf_getehdr(image->elf, &header) == NULL) {
		return refuse(image, err, PFC_ECORRUPT, "truncated: the ELF header is cut");
	}
	if (header.e_shoff == 0) {
		return refuse(image, err, PFC_EINVAL,
			      "not a plugin: it has no section .profcore (all sections are stripped)");
	}
	if (header.e_shoff > image->bytes || elf_getshdrnum(image->elf, &count) < 0 ||
	    (count > header.e_shnum ? count : header.e_shnum) * header.e_shentsize >
		    image->bytes - header.e_shoff) {
		return refuse(image, err, PFC_ECORRUPT, "truncated: the file ends before its section table");
	}
	if (count > SECTIONS_MAX || elf_getshdrstrndx(image->elf, &image->names) < 0 ||
	    gelf_getshdr(elf_getscn(image->elf, image->names), &names) == NULL ||
	    names.sh_size > SECTION_NAMES_MAX || names.sh_type != SHT_STRTAB) {
		return refuse(image, err, PFC_ECORRUPT, "damaged: its section table makes no sense");
	}
	return 0;
}

static bool is_inside(const struct image *image, const GElf_Shdr *header)
{
	return header->sh_offset <= image->bytes && header->sh_size <= image->bytes - header->sh_offset;
}

/* The one section of that name or (with name NULL) of that type; NULL when there is none. */
static Elf_Scn *find_section(const struct image *image, const char *name, uint32_t type, GElf_Shdr *ret)
{
	for (Elf_Scn *section = elf_nextscn(image->elf, NULL); section != NULL;
	     section = elf_nextscn(image->elf, section)) {
		const char *its_name;

		if (gelf_getshdr(section, ret) == NULL) {
			continue;
		}
		its_name = name != NULL ? elf_strptr(image->elf, image->names, ret->sh_name) : NULL;
		if (name != NULL ? its_name != NULL && str_equal(its_name, name) : ret->sh_type == type) {
			return section;
		}
	}
	return NULL;
}

/* Whether the entry function is exported: defined, global or weak, a function. */
static int check_entry(const struct image *image, struct pfc_error *err)
{
	GElf_Shdr header;
	GElf_Shdr strings;
	Elf_Scn *section = find_section(image, NULL, SHT_DYNSYM, &header);
	Elf_Data *data;
	GElf_Sym symbol;

	if (section == NULL) {
		return refuse(image, err, PFC_EINVAL,
			      "it exports nothing, and " PFC_PLUGIN_ENTRY " must be there");
	}
	if (!is_inside(image, &header) || header.sh_size > DYNSYM_BYTES_MAX ||
	    header.sh_entsize != gelf_fsize(image->elf, ELF_T_SYM, 1, EV_CURRENT) ||
	    gelf_getshdr(elf_getscn(image->elf, header.sh_link), &strings) == NULL ||
	    strings.sh_type != SHT_STRTAB || !is_inside(image, &strings) ||
	    strings.sh_size > DYNSYM_BYTES_MAX || (data = elf_getdata(section, NULL)) == NULL) {
		return refuse(image, err, PFC_ECORRUPT,
			      "truncated or damaged: its dynamic symbols cannot be read");
	}
	for (int i = 1; gelf_getsym(data, i, &symbol) != NULL; i++) {
		const char *name = elf_strptr(image->elf, header.sh_link, symbol.st_name);
		unsigned char bind = GELF_ST_BIND(symbol.st_info);

		if (name != NULL && str_equal(name, PFC_PLUGIN_ENTRY) && symbol.st_shndx != SHN_UNDEF &&
		    (bind == STB_GLOBAL || bind == STB_WEAK) && GELF_ST_TYPE(symbol.st_info) == STT_FUNC) {
			return 0;
		}
	}
	return refuse(image, err, PFC_EINVAL,
		      "it does not export the function " PFC_PLUGIN_ENTRY
		      " (missing PFC_EXPORT, or a version script hides it?)");
}

/* Read the section's bytes by hand: its place is checked, and libelf need not guess at its type. */
static int read_section(const struct image *image, char **ret_text, size_t *ret_bytes, struct pfc_error *err)
{
	GElf_Shdr header;
	char *text;
	size_t at = 0;

	if (find_section(image, PFC_MANIFEST_SECTION, 0, &header) == NULL) {
		return refuse(image, err, PFC_EINVAL,
			      "not a plugin: it has no section " PFC_MANIFEST_SECTION
			      " (PFC_MANIFEST embeds one)");
	}
	if (header.sh_type == SHT_NOBITS || (header.sh_flags & SHF_COMPRESSED) != 0) {
		return refuse(image, err, PFC_EINVAL, "section " PFC_MANIFEST_SECTION " holds no plain text");
	}
	if (header.sh_size == 0 || header.sh_size > MANIFEST_TEXT_MAX) {
		return refuse(image, err, PFC_EINVAL,
			      header.sh_size == 0 ? "section " PFC_MANIFEST_SECTION " is empty"
						  : "section " PFC_MANIFEST_SECTION " is larger than 64 KiB");
	}
	if (!is_inside(image, &header)) {
		return refuse(image, err, PFC_ECORRUPT,
			      "truncated: section " PFC_MANIFEST_SECTION " lies past the file's end");
	}
	text = malloc(header.sh_size);
	if (text == NULL) {
		return error_nomem(err);
	}
	while (at < header.sh_size) {
		ssize_t got =
			pread(image->fd, text + at, header.sh_size - at, (off_t)(header.sh_offset + at));

		if (got <= 0 && !(got < 0 && errno == EINTR)) {
			free(text);
			return refuse(image, err, PFC_ECORRUPT, "truncated while it was read");
		}
		at += got > 0 ? (size_t)got : 0;
	}
	*ret_text = text;
	*ret_bytes = header.sh_size;
	return 0;
}

int manifest_read_fd(int fd, const char *path, struct manifest **ret, struct pfc_error *err)
{
	struct image image = { .path = path, .fd = fd };
	struct stat stat_buf;
	char *text = NULL;
	size_t bytes = 0;
	int rc;

	if (fstat(fd, &stat_buf) < 0) {
		return error_errno(err, errno, "plugin %s", path);
	}
	if (!S_ISREG(stat_buf.st_mode)) {
		return refuse(&image, err, PFC_EINVAL, "not a plugin: no regular file");
	}
	image.bytes = (uint64_t)stat_buf.st_size;
	rc = check_ident(&image, err);
	if (rc < 0) {
		return rc;
	}
	elf_version(EV_CURRENT);
	image.elf = elf_begin(fd, ELF_C_READ, NULL);
	if (image.elf == NULL || elf_kind(image.elf) != ELF_K_ELF) {
		rc = refuse(&image, err, PFC_ECORRUPT, "truncated or damaged: libelf cannot read it");
		goto out;
	}
	rc = check_header(&image, err);
	rc = rc == 0 ? read_section(&image, &text, &bytes, err) : rc;
	rc = rc == 0 ? check_entry(&image, err) : rc;
	rc = rc == 0 ? manifest_parse(text, bytes, path, ret, err) : rc;
out:
	elf_end(image.elf);
	free(text);
	return rc;
}

int manifest_read(const char *path, struct manifest **ret, struct pfc_error *err)
{
	/* O_NONBLOCK: a pipe of that name must not hold us up. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	int rc;

	if (fd < 0) {
		return error_errno(err, errno, "plugin %s", path);
	}
	rc = manifest_read_fd(fd, path, ret, err);
	close(fd);
	return rc;
}
