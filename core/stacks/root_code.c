/* SPDX-License-Identifier: MIT */
#include "stacks/root_code.h"

#include <elf.h>
#include <string.h>

#define BEFORE 13
#define AFTER  3

static uint32_t read_u32(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

/*
 * start_thread of glibc 2.34 on calls the routine and its argument, which stand side by side in struct pthread:
 *     mov disp+8(%reg),%rdi    48 8b b8+reg disp32
 *     call *disp(%reg)         ff 90+reg disp32
 */
static bool calls_start_routine(const uint8_t *call)
{
	const uint8_t *load = call - BEFORE;
	uint8_t base = load[2] & 7;

	return load[0] == 0x48 && load[1] == 0x8b && (load[2] & 0xf8) == 0xb8 && call[-6] == 0xff &&
	       call[-5] == (0x90 | base) && read_u32(load + 3) == read_u32(call - 4) + 8;
}

/*
 * __libc_start_call_main ends the process with what main returns:
 *     call *%reg               ff d0+reg
 *     mov %eax,%edi            89 c7
 *     call exit                e8 rel32
 */
static bool calls_main(const uint8_t *call)
{
	return call[-2] == 0xff && (call[-1] & 0xf8) == 0xd0 && call[0] == 0x89 && call[1] == 0xc7 && call[2] == 0xe8;
}

bool root_code_is(const struct elf_image *image, const struct elf_headers *headers, uint64_t return_vaddr)
{
	uint8_t code[BEFORE + AFTER];
	uint64_t offset;

	if (headers->machine != EM_X86_64 || return_vaddr < BEFORE ||
	    !elf_offset_of_vaddr(headers, return_vaddr - BEFORE, sizeof(code), &offset) ||
	    elf_read(image, offset, code, sizeof(code)) < 0) {
		return false;
	}
	return calls_start_routine(code + BEFORE) || calls_main(code + BEFORE);
}
